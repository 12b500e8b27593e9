"""The howtos' blocks, run as a reader would: one shell, from the checkout, beside `thinghub up --no-demo`."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.support.platform import AllInOne

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto"


async def followed(page: str, data_dir: Path, scratch: Path) -> str:
    """What the page's commands print."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (HOWTO / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "\n".join(blocks),
        cwd=ROOT,
        env=os.environ | {"DATA": str(data_dir), "TMPDIR": str(scratch)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(shell.communicate(), 90)
    assert shell.returncode == 0, errors.decode()
    return said.decode()


@pytest.mark.timeout(120)
async def test_the_page_on_connecting_a_device_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = await followed("connect-a-device.md", all_in_one.data_dir, tmp_path)
    assert '"Outcome":"delivered"' in text.replace(" ", "")
    assert '"Status":"ONLINE"' in text.replace(" ", "")
    assert text.strip().endswith("command: blinds down")


@pytest.mark.timeout(120)
async def test_the_page_on_a_device_that_is_away_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = await followed("find-out-why-a-device-is-away.md", all_in_one.data_dir, tmp_path)
    assert "It has never connected" in text
    assert "exit code 1" in text
    assert "Its last 3 connects were refused: wrong signature, from 127.0.0.1 " in text
    assert "It is online since " in text.splitlines()[-1]
