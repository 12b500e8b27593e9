"""`thinghub admin deadletters ...`: what sinks refused for the last time, looked at and tried again."""

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from thinghub.cli import api
from thinghub.cli.audit import printable, span

PAGE = 200
PORTION = 1000


def add_deadletters(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("deadletters", help="what the sinks of rules refused for the last time; try it again")
    ways = parser.add_subparsers(dest="way", required=True)
    listing = ways.add_parser("list", help="newest first")
    _add_selection(listing)
    listing.add_argument("--all", action="store_true", help="those that were tried again as well")
    listing.add_argument("--limit", type=_limit, default=50, metavar="N", help="at most (default: 50)")
    listing.add_argument("--json", action="store_true", help="one a line, as the API tells it")
    listing.set_defaults(answer=list_letters)
    showing = ways.add_parser("show", help="one, with what the sink was given")
    showing.add_argument("id", type=_id, metavar="ID")
    showing.set_defaults(answer=show)
    redriving = ways.add_parser("redrive", help="try again: by ids, by a rule, by a time")
    redriving.add_argument("ids", type=_id, nargs="*", metavar="ID")
    _add_selection(redriving)
    redriving.add_argument("--limit", type=_limit, default=PORTION, metavar="N", help="at most (default: 1000)")
    redriving.set_defaults(answer=redrive)
    for one in (listing, showing, redriving):
        api.add_options(one)


def list_letters(given: argparse.Namespace) -> None:
    """Raises CannotAsk, Refused."""
    access = api.access(given)
    filters = _selection(given) | ({"Redriven": "true"} if given.all else {})
    left, before = given.limit, 0
    while left:
        asked = filters | {"Limit": min(left, PAGE)} | ({"Before": before} if before else {})
        page = api.get(access, f"/v1/dead-letters?{urlencode(asked)}")
        for letter in page["DeadLetters"]:
            print(json.dumps(letter) if given.json else line(letter))
        left -= len(page["DeadLetters"])
        before = page.get("NextBefore", 0)
        if not before:
            return


def show(given: argparse.Namespace) -> None:
    """Raises CannotAsk, Refused."""
    answer = api.get(api.access(given), f"/v1/dead-letters/{quote(given.id, safe='')}")
    for name, value in answer["DeadLetter"].items():
        print(f"{name:16}{printable(str(value))}")
    print(f"{'Result':16}{printable(answer['Result']) if 'Result' in answer else _HIDDEN[answer['Hidden']]}")


_HIDDEN = {
    "role": "(shown to administrators)",
    "not_stored": "(not shown: messages of this product are not stored)",
}


def redrive(given: argparse.Namespace) -> None:
    """In portions, until nothing is left or the limit is reached. Raises CannotAsk, Refused."""
    selection = _selection(given)
    if bool(given.ids) == bool(selection):
        raise api.CannotAsk("give ids, or --rule, --since or --until.")
    access = api.access(given)
    left, redriven, gone = given.limit, 0, 0
    ids = given.ids[:left]
    while left:
        portion = {"DeadLetterIds": ids[:PORTION]} if given.ids else selection
        done = api.post(access, "/v1/dead-letters/redrive", {**portion, "Limit": min(left, PORTION)})
        redriven, gone = redriven + done["Redriven"], gone + done["Gone"]
        ids = ids[PORTION:]
        left -= PORTION if given.ids else done["Redriven"]
        if not (ids if given.ids else done["More"] and done["Redriven"]):
            break
        left = max(left, 0)
    rest = f"; {gone} cannot be, their actions were deleted" if gone else ""
    print(f"{redriven} put back to be tried again{rest}")


def line(letter: Mapping[str, Any]) -> str:
    state = f"REDRIVEN {letter['UtcRedriven'][:19].replace('T', ' ')}" if letter.get("UtcRedriven") else ""
    shown = (
        letter["UtcDied"][:19].replace("T", " "),
        letter["DeadLetterId"],
        f"{letter['RuleName']} ({letter['RuleId']})",
        f"{letter.get('ActionType', 'DELETED')} ({letter['ActionId']})",
        f"{letter['Tries']} tries",
        letter["Topic"],
        letter["Reason"],
        state,
    )
    return "  ".join(printable(text) for text in shown if text)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rule", type=_number, metavar="RULE_ID")
    parser.add_argument("--since", type=span, metavar="2h", help="refused within this time: a number with s, m, h or d")
    parser.add_argument("--until", type=span, metavar="1h", help="refused before that long ago")


def _selection(given: argparse.Namespace) -> dict[str, int]:
    now = time.time()
    filters = {
        "RuleId": given.rule,
        "FromMs": int((now - given.since) * 1000) if given.since else None,
        "UntilMs": int((now - given.until) * 1000) if given.until else None,
    }
    return {name: value for name, value in filters.items() if value}


def _id(text: str) -> str:
    return str(_number(text))


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text} is not an id")
    return int(text)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 100000")
    return int(text)
