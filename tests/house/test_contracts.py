"""The architecture contracts catch what they are for: each forbidden import, put into a copy, breaks its contract."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src")])

FORBIDDEN = {
    "services_are_strangers": (
        "thinghub/auth/service/stranger.py",
        "import thinghub.device_registry\n",
        "services are strangers",
    ),
    "only_all_in_one_knows_services": (
        "thinghub/cli/stranger.py",
        "import thinghub.auth\n",
        "services are strangers",
    ),
    "libraries_know_no_service": ("thinghub/common/stranger.py", "import thinghub.auth\n", "services are strangers"),
    "domain_knows_no_adapter": (
        "thinghub/auth/domain/stranger.py",
        "import thinghub.auth.adapters\n",
        "rooms of a service",
    ),
    "entrypoints_and_adapters_are_apart": (
        "thinghub/auth/entrypoints/stranger.py",
        "import thinghub.auth.adapters\n",
        "rooms of a service",
    ),
    "a_service_has_no_other_room": ("thinghub/auth/helpers.py", "", "rooms of a service"),
    "domain_knows_no_protobuf": (
        "thinghub/auth/domain/stranger.py",
        "import thinghubpb.auth.v1.auth_pb2\n",
        "only entrypoints and adapters",
    ),
    "service_knows_no_redis": ("thinghub/auth/service/stranger.py", "import redis\n", "only entrypoints and adapters"),
    "common_knows_no_record": (
        "thinghub/common/stranger.py",
        "import thinghubpb.bus.v1.record_pb2\n",
        "libs/common knows no record",
    ),
    "device_protocol_does_no_io": (
        "thinghub/device_protocol/stranger.py",
        "import socket\n",
        "device-protocol does no I/O",
    ),
    "device_sdk_is_light": (
        "thinghub/device_sdk/stranger.py",
        "import thinghub.common\n",
        "device-sdk needs gmqtt",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """All our packages below one directory, as an import path of their own."""
    for source in SOURCES:
        shutil.copytree(source, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / "pyproject.toml"),
        "--no-cache",
    ]
    environment = os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "200"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_the_tree_keeps_its_contracts(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_import_is_caught(copy: Path, name: str) -> None:
    file, text, contract = FORBIDDEN[name]
    (copy / file).write_text(text)
    done = lint(copy)
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1, done.stdout
    assert any(contract in line for line in broken), done.stdout
