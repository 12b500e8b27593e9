"""`thinghub why PRODUCT_KEY DEVICE_NAME`: why a device does, or does not, work.

Exit code 0: it works; 1: something is wrong, and the answer says what; 2: the question could not be asked.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from urllib.parse import quote

from thinghub.cli import api
from thinghub.cli.why_page import page

HEALTHY, PROBLEM, CANNOT_ASK = 0, 1, 2
NO_PRODUCT = "iot.prod.NotExistedProduct"


def why_command(arguments: Sequence[str]) -> int:
    """say why a device does, or does not, work"""
    parser = argparse.ArgumentParser(prog="thinghub why", description="Says why a device does, or does not, work.")
    parser.add_argument("product_key", metavar="PRODUCT_KEY")
    parser.add_argument("device_name", metavar="DEVICE_NAME")
    parser.add_argument("--json", action="store_true", help="the API's answer as it is")
    api.add_options(parser)
    given = parser.parse_args(arguments)
    path = f"/v1/products/{quote(given.product_key, safe='')}/devices/{quote(given.device_name, safe='')}/why"
    try:
        answer = api.get(api.access(given), path)
    except api.CannotAsk as problem:
        return _cannot(str(problem))
    except api.Refused as refused:
        return _refused(refused, given.json)
    print(json.dumps(answer, indent=2, ensure_ascii=False) if given.json else page(answer, _colours()))
    return HEALTHY if answer["Healthy"] else PROBLEM


def _refused(refused: api.Refused, as_json: bool) -> int:
    """That there is no such product is an answer to the question; other refusals are not."""
    if refused.code != NO_PRODUCT:
        return _cannot(f"{refused} ({refused.code})")
    sentence = f"{refused} Look for a mistyped ProductKey, or use an access key of the product's instance."
    if as_json:
        print(json.dumps({"Healthy": False, "Cause": "no_product", "Conclusion": sentence}, indent=2))
    else:
        print(sentence)
    return PROBLEM


def _cannot(sentence: str) -> int:
    print(f"thinghub: {sentence}", file=sys.stderr)
    return CANNOT_ASK


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
