"""The howto's blocks, run as a reader would: one shell, from the checkout, beside `thinghub up --no-demo`."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.support.platform import AllInOne

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "connect-a-device.md"


@pytest.mark.timeout(120)
async def test_the_page_on_connecting_a_device_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "\n".join(blocks),
        cwd=ROOT,
        env=os.environ | {"DATA": str(all_in_one.data_dir), "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(shell.communicate(), 90)
    assert shell.returncode == 0, errors.decode()
    text = said.decode()
    assert '"Outcome":"delivered"' in text.replace(" ", "")
    assert '"Status":"ONLINE"' in text.replace(" ", "")
    assert text.strip().endswith("command: blinds down")
