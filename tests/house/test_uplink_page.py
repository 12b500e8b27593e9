"""docs/uplink.md names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "services" / "connection-gateway" / "core" / "src"
HOPS = [line for line in (ROOT / "docs" / "uplink.md").read_text().splitlines() if re.match(r"\| \d+ \|", line)]


def bases(place: str) -> list[Path]:
    """The package a hop says it is in; hops that do not say are in connection-gateway."""
    service = "rule-engine" if "in rule-engine" in place else "connection-gateway"
    return [ROOT, ROOT / "services" / service / "src" / "thinghub" / service.replace("-", "_")]


def test_every_hop_names_files_that_exist() -> None:
    assert len(HOPS) > 10
    for hop in HOPS:
        place = hop.split("|")[2]
        for name in re.findall(r"`([\w./-]+)`", place):
            candidates = (
                [CORE / name.removeprefix("core/")]
                if name.startswith("core/")
                else [base / name for base in bases(place)]
            )
            assert any(candidate.exists() for candidate in candidates), f"hop{hop.split('|')[1]}names {name}"
