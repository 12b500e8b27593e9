"""`thinghub admin audit`: who changed what by the API, newest first."""

import argparse
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from thinghub.cli import api

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PAGE = 500


def add_audit(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("audit", help="who changed what by the API, newest first")
    parser.add_argument("--product", metavar="PRODUCT_KEY")
    parser.add_argument("--device", metavar="DEVICE_NAME")
    parser.add_argument("--key", metavar="ACCESS_KEY_ID", help="of the caller")
    parser.add_argument("--action", metavar="OPERATION")
    parser.add_argument("--code", help="OK, or the code of a refusal")
    parser.add_argument("--since", type=span, metavar="2h", help="a number with s, m, h or d")
    parser.add_argument("--limit", type=_limit, default=50, metavar="N", help="records at most (default: 50)")
    parser.add_argument("--json", action="store_true", help="one record a line, as the API tells it")
    api.add_options(parser)
    parser.set_defaults(answer=audit)


def audit(given: argparse.Namespace) -> None:
    """Raises CannotAsk, Refused."""
    access = api.access(given)
    filters = {
        "ProductKey": given.product,
        "DeviceName": given.device,
        "AccessKeyId": given.key,
        "Action": given.action,
        "Code": given.code,
        "FromMs": int((time.time() - given.since) * 1000) if given.since else None,
    }
    left, before = given.limit, 0
    while left:
        asked = {**{name: value for name, value in filters.items() if value}, "Limit": min(left, PAGE)}
        page = api.get(access, f"/v1/audit-records?{urlencode(asked | ({'Before': before} if before else {}))}")
        for record in page["Records"]:
            print(json.dumps(record, ensure_ascii=True) if given.json else line(record))
        left -= len(page["Records"])
        before = page.get("NextBefore", 0)
        if not before:
            return


def line(record: Mapping[str, Any]) -> str:
    names = sorted(record["Target"], key=lambda name: (name != "ProductKey", name != "DeviceName", name))
    target = " ".join(f"{name}={record['Target'][name]}" for name in names)
    shown = (
        record["UtcTime"][:19].replace("T", " "),
        record["AccessKeyId"],
        record["SourceAddress"],
        record["Action"],
        record.get("Code") or "CUT-OFF",
        target,
        record["RequestId"],
    )
    return "  ".join(printable(text) for text in shown if text)


def printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def span(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text} is not a number with s, m, h or d")
    return int(match[1]) * _SECONDS[match[2]]


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 100000")
    return int(text)
