"""Numbered messages both ways while every process, Redis and Kafka is killed and frozen in turn.

    python -m bench.ledger [--messages 20000] [--gateways 3] [--devices 20] [--rate 60] [--seconds 0] [--seed N]
                           [--kills 1] [--freezes 1] [--lease 3] [--redis single|cluster]
                           [--logs DIRECTORY]

Ends with one table and one JSON line; docs/reference/ledger.md explains them. Exit code 1 when something promised is
lost, reordered or refused by policy, or a final status is wrong, or messages did not flow again after a fault.
"""

import argparse
import asyncio
import dataclasses
import json
import secrets
import sys
import time

from bench.ledger.result import Options, Result
from bench.ledger.run import run


def main() -> int:
    options = asked()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    result = asyncio.run(run(options, say))
    print(table(result))
    print(json.dumps(line(result)))
    return 0 if result.clean else 1


def asked() -> Options:
    parser = argparse.ArgumentParser(prog="make ledger ARGS=...", description=str(__doc__).splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000, help="at least so many acknowledged each way")
    parser.add_argument("--gateways", type=int, default=3, help="gateway processes")
    parser.add_argument("--devices", type=int, default=20, help="devices that publish, and as many that are called")
    parser.add_argument("--rate", type=float, default=60, help="messages a second each way")
    parser.add_argument("--seconds", type=float, default=0, help="go on for at least so long")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of faults and moves")
    parser.add_argument("--kills", type=int, default=1, help="times each part is killed")
    parser.add_argument("--freezes", type=int, default=1, help="times each part is frozen")
    parser.add_argument("--lease", type=float, default=3, help="seconds; a freeze lasts 2.7 leases")
    parser.add_argument("--redis", choices=("single", "cluster"), default="single", help="one, or three and replicas")
    parser.add_argument("--logs", default="", help="directory to keep the services' logs in")
    options = Options(**vars(parser.parse_args()))
    if options.gateways < 1 or options.devices < 1 or options.rate <= 0:
        parser.error("gateways, devices and rate are above 0")
    return options


def table(result: Result) -> str:
    def row(name: str, up: object, down: object) -> str:
        return f"{name:<26}{up!s:>10}{down!s:>10}"

    up, down = result.up, result.down
    lines = [row("", "up", "down")]
    for name in ("sent", "acknowledged", "refused_by_policy", "delivered", "lost", "reordered"):
        lines.append(row(name.replace("_", " "), getattr(up, name), getattr(down, name)))
    for cause in ("sender", "marked", "unmarked"):
        lines.append(row(f"duplicates: {cause}", up.duplicates.get(cause, 0), down.duplicates.get(cause, 0)))
    lines += [
        row("rows out of order", result.rows_reordered, ""),
        row("sessions forgotten", "", result.sessions_forgotten),
        row("acknowledged to nobody", "", result.unpromised),
        row("final status mismatches", len(result.status_mismatches), ""),
        row("kills / freezes", result.kills, result.freezes),
        f"{'seconds':<26}{result.seconds:>10}",
    ]
    wrong = [*up.examples, *down.examples, *result.status_mismatches[:10]]
    wrong += [f"messages did not flow again after: {fault}" for fault in result.stalled]
    wrong += [f"ended by itself and was started again: {name}" for name in result.restarted]
    return "\n".join([*lines, *wrong])


def line(result: Result) -> dict[str, object]:
    facts = dataclasses.asdict(result)
    return {"clean": result.clean, **facts}


if __name__ == "__main__":
    sys.exit(main())
