"""An installation on the real servers of tests: its variables, and what the doctor says of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from thinghub.cli.doctor.command import doctor_command


@dataclass
class Said:
    code: int
    findings: dict[str, tuple[str, str]] = field(default_factory=dict)
    text: str = ""

    def verdicts(self, part: str) -> dict[str, str]:
        """Of the checks whose name begins with a part's; what is well is left out."""
        found = {name: verdict for name, (verdict, _) in self.findings.items() if name.split(" ")[0] == part}
        return {name.partition(" ")[2]: verdict for name, verdict in found.items() if verdict != "ok"}


Doctor = Callable[..., Said]


@pytest.fixture
def installation(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, postgres_dsn: str, prefix: str, tmp_path: Path
) -> Callable[..., None]:
    """Sets variables over a good installation on the shared servers; None takes one away."""
    for name in [name for name in os.environ if name.startswith("THINGHUB_")]:
        monkeypatch.delenv(name)
    key = tmp_path / "master.key"
    key.write_text("1:" + "A" * 44 + "\n")
    key.chmod(0o600)

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                monkeypatch.delenv(f"THINGHUB_{name}", raising=False)
            else:
                monkeypatch.setenv(f"THINGHUB_{name}", value)

    change(
        REDIS_URL=redis_url,
        POSTGRES_DSN=postgres_dsn,
        BUS_URL=f"streams+{redis_url}",
        BUS_PREFIX=prefix,
        AUTH_MASTER_KEY_FILE=str(key),
        CONNECTION_GATEWAY_MAX_CONNECTIONS="10",
    )
    return change


@pytest.fixture
def doctor(installation: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Doctor:
    def ask(*options: str) -> Said:
        capsys.readouterr()
        code = doctor_command(["--json", "--seconds", "5", *options])
        said = capsys.readouterr()
        document = json.loads(said.out)
        assert document["exit_code"] == code
        found = {one["check"]: (one["verdict"], one["sentence"]) for one in document["findings"]}
        return Said(code, found, said.out + said.err)

    return ask
