"""Where the API is, and one question to it.

    --api URL, else THINGHUB_API unless --data-dir is given, else `endpoints.json`, which `thinghub up` writes into its
    data directory
    access key: THINGHUB_ACCESS_KEY_ID and THINGHUB_ACCESS_KEY_SECRET, else `endpoints.json`, which is used only with
    the address it belongs to
    --ca FILE, else THINGHUB_CA, else `endpoints.json`, else the system's authorities

A secret is never an option: the list of processes shows those.
"""

import json
import os
import ssl
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

SECONDS = 20.0


class CannotAsk(Exception):
    """There is no answer; the text says why and what to do."""


class Refused(Exception):
    """The API answered with a code of its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Access:
    url: str
    key_id: str
    key_secret: str = field(repr=False)
    ca: str = ""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--api", metavar="URL", help="default: THINGHUB_API, else that of the data directory")
    parser.add_argument("--ca", metavar="FILE", help="authority of its certificate, PEM; default: THINGHUB_CA")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="of `thinghub up` (default: ./data)")
    parser.epilog = (
        "The access key comes from THINGHUB_ACCESS_KEY_ID and THINGHUB_ACCESS_KEY_SECRET, or from endpoints.json in "
        "the data directory."
    )


def access(given: Namespace, environment: Mapping[str, str] = os.environ) -> Access:
    """Raises CannotAsk when something is missing."""
    url = given.api or ("" if given.data_dir else environment.get("THINGHUB_API", ""))
    here = {} if url else _endpoints(given.data_dir or Path("data"))
    key = (environment.get("THINGHUB_ACCESS_KEY_ID", ""), environment.get("THINGHUB_ACCESS_KEY_SECRET", ""))
    if not all(key):
        key = (here.get("access_key_id", ""), here.get("access_key_secret", ""))
    if not all(key):
        raise CannotAsk("there is no access key: set THINGHUB_ACCESS_KEY_ID and THINGHUB_ACCESS_KEY_SECRET.")
    ca = given.ca or environment.get("THINGHUB_CA", "") or here.get("ca", "")
    return Access((url or here["api"]).rstrip("/"), *key, ca)


def get(access: Access, path: str) -> dict[str, Any]:
    """The answer, JSON of any shape. Raises CannotAsk, Refused."""
    return _asked(access, "GET", path, None)


def post(access: Access, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """The same, with a body."""
    return _asked(access, "POST", path, body)


def _asked(access: Access, method: str, path: str, content: Mapping[str, object] | None) -> dict[str, Any]:
    try:
        trust = ssl.create_default_context(cafile=access.ca or None)
        with httpx.Client(verify=trust, timeout=SECONDS, trust_env=False) as client:
            answer = client.request(
                method, f"{access.url}{path}", auth=(access.key_id, access.key_secret), json=content
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise CannotAsk(f"{access.url} does not answer ({_why(error)}): {_advice(error)}") from error
    body = _json(answer)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise CannotAsk(f"{access.url} does not know the access key {access.key_id}: give a valid one.")
    if answer.is_success and body:
        return body
    if "code" in body and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
        raise Refused(str(body["code"]), str(body.get("message", "")))
    said = body.get("message") or answer.reason_phrase
    raise CannotAsk(f"{access.url} answered {answer.status_code} ({said}): look at the platform's health (/readyz).")


def environment(data_dir: Path) -> dict[str, str]:
    """The variables by which a command reaches the parts of the platform that runs on a data directory. Raises
    CannotAsk."""
    told = _endpoints(data_dir).get("environment", {})
    return {str(name): str(value) for name, value in told.items()}


def _endpoints(data_dir: Path) -> dict[str, Any]:
    file = data_dir / "endpoints.json"
    try:
        read: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        raise CannotAsk(
            f"no platform runs on the data directory {data_dir}: give --data-dir, or --api (THINGHUB_API) with an "
            "access key in THINGHUB_ACCESS_KEY_ID and THINGHUB_ACCESS_KEY_SECRET."
        ) from None
    except (OSError, ValueError) as error:
        raise CannotAsk(f"{file} cannot be read ({error}): run this as who runs the platform.") from None
    return read


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _advice(error: Exception) -> str:
    if "CERTIFICATE" in str(error):
        return "name the authority of its certificate with --ca."
    if isinstance(error, FileNotFoundError | ssl.SSLError):
        return "give --ca a file with certificates."
    return "start the platform, or give its address with --api."
