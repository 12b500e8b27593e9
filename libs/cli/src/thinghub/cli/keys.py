"""`thinghub admin keys`: the master keys by id, and whether an old one may be removed."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from thinghub.cli import api

_MEANS = {
    "active": "seals every secret",
    "in_use": "keep its line: secrets are still being sealed anew",
    "unused": "its line may be removed (bearer tokens issued under it end then)",
    "missing": "NOT GIVEN, and only it opens these secrets: put its line back",
}


def add_keys(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("keys", help="which master keys secrets are sealed with")
    parser.add_argument("--json", action="store_true", help="the API's answer as it is")
    api.add_options(parser)
    parser.set_defaults(answer=keys)


def keys(given: argparse.Namespace) -> None:
    """Raises CannotAsk, Refused."""
    answer = api.get(api.access(given), "/v1/master-keys")
    if given.json:
        print(json.dumps(answer, indent=2))
        return
    for key in answer["MasterKeys"]:
        print(line(key))


def line(key: Mapping[str, Any]) -> str:
    held = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in key["Records"].items()) or "nothing"
    return f"{key['KeyId']}  {_MEANS[key['State']]}; it opens {held}"
