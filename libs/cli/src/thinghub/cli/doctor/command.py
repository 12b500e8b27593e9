"""`thinghub doctor`: whether the parts that an installation stands on are as they must be.

Exit code 0: all well; 1: warnings; 2: something must be mended; 3: something could not be asked.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from thinghub.cli import api
from thinghub.cli.doctor import checks
from thinghub.cli.doctor.deployment import Deployment, read
from thinghub.cli.doctor.findings import Finding, Verdict, exit_code
from thinghub.common.bus.kafka import quiet_library
from thinghub.common.settings import SettingsError

RED, GREEN, YELLOW, PLAIN = "\x1b[31;1m", "\x1b[32m", "\x1b[33;1m", "\x1b[0m"
_COLOURS = {Verdict.OK: GREEN, Verdict.WARN: YELLOW, Verdict.REFUSE: RED, Verdict.AWAY: RED}
WIDTH = 22
DEADLINE_SECONDS = 10.0


def doctor_command(arguments: Sequence[str]) -> int:
    """check the parts that an installation stands on"""
    given = _parser().parse_args(arguments)
    try:
        if given.data_dir:
            os.environ.update(api.environment(given.data_dir))
        deployment = read(given.processes)
    except (api.CannotAsk, SettingsError) as error:
        print(f"thinghub: {error}", file=sys.stderr)
        return Verdict.AWAY.exit_code
    quiet_library()
    logging.getLogger("thinghub").addHandler(logging.NullHandler())  # what goes wrong becomes a finding
    findings = asyncio.run(_examine(deployment, given.seconds, given.json))
    if given.json:
        print(json.dumps(_document(findings), indent=2, ensure_ascii=False))
    else:
        print(_conclusion(findings))
    return exit_code(findings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="thinghub doctor",
        description="Checks the parts that an installation stands on.",
        epilog="Reads the variables that the services read (THINGHUB_*). Exit code 0: all well; 1: warnings; 2: "
        "something must be mended; 3: something could not be asked.",
    )
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="of a `thinghub up` that runs, to check its parts")
    parser.add_argument("--processes", type=_positive, default=1, metavar="N", help="of each service, for the pools")
    parser.add_argument(
        "--seconds", type=_seconds, default=DEADLINE_SECONDS, metavar="S", help="bound of each question (default: 10)"
    )
    return parser


async def _examine(deployment: Deployment, seconds: float, quiet: bool) -> list[Finding]:
    """Says what is asked, then prints findings as they come."""
    asked = ", ".join(["host", *(part for part, places in deployment.places.items() if places)])
    print(f"asking {asked} (at most {seconds:g} s each)", file=sys.stderr, flush=True)
    findings: list[Finding] = []
    async for some in checks.run(deployment, seconds):
        findings += some
        if not quiet:
            print("\n".join(_line(one) for one in some), flush=True)
    return findings


def _line(finding: Finding) -> str:
    verdict = finding.verdict.value.ljust(6)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        verdict = f"{_COLOURS[finding.verdict]}{verdict}{PLAIN}"
    return f"{verdict}  {finding.check.ljust(WIDTH)}  {finding.sentence}"


def _conclusion(findings: list[Finding]) -> str:
    many = {verdict: sum(one.verdict is verdict for one in findings) for verdict in Verdict}
    if exit_code(findings) == 0:
        return f"All {len(findings)} checks are well."
    said = [
        (many[Verdict.AWAY], "could not be asked"),
        (many[Verdict.REFUSE], "must be mended"),
        (many[Verdict.WARN], "warned"),
    ]
    return f"Of {len(findings)} checks " + ", ".join(f"{number} {what}" for number, what in said if number) + "."


def _document(findings: list[Finding]) -> dict[str, object]:
    listed = [{"check": one.check, "verdict": one.verdict.value, "sentence": one.sentence} for one in findings]
    return {"exit_code": exit_code(findings), "conclusion": _conclusion(findings), "findings": listed}


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 300:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds up to 300")
    return seconds
