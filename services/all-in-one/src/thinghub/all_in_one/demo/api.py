"""A small client of the signed API (ACS3-HMAC-SHA256, open-api §2.1), as a user's server would have one."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

VERSION = "2018-01-20"
TIMEOUT_SECONDS = 15.0
EMPTY_BODY = hashlib.sha256(b"").hexdigest()


class ApiError(Exception):
    """The platform's answer was no; `code` is its error code."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.code = code


class Api:
    """`call` gives the answer's JSON, and raises ApiError unless it says Success."""

    def __init__(self, url: str, key_id: str, key_secret: str) -> None:
        self._key_id, self._key_secret = key_id, key_secret
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._host = httpx.URL(url).netloc.decode()

    async def call(self, action: str, **parameters: str | int | bool) -> dict[str, Any]:
        """Any: JSON, whose shape each caller knows."""
        query = "&".join(f"{_percent(name)}={_percent(_text(value))}" for name, value in sorted(parameters.items()))
        answer = await self._http.post(f"/?{query}" if query else "/", headers=self._headers(action, query))
        try:
            body: dict[str, Any] = answer.json()
        except ValueError as error:
            raise ApiError(action, str(answer.status_code), "the answer is not JSON") from error
        if answer.status_code != httpx.codes.OK or body.get("Success") is not True:
            raise ApiError(action, str(body.get("Code")), str(body.get("ErrorMessage") or body.get("Message")))
        return body

    async def put_secret(self, name: str, value: str) -> None:
        """Named secrets are REST's only: rule actions refer to them by name."""
        answer = await self._http.put(
            f"/v1/secrets/{name}", json={"Value": value}, auth=(self._key_id, self._key_secret)
        )
        if answer.is_error:
            raise ApiError("PUT /v1/secrets", str(answer.status_code), answer.text[:200])

    async def close(self) -> None:
        await self._http.aclose()

    def _headers(self, action: str, query: str) -> dict[str, str]:
        headers = {
            "accept": "application/json",
            "host": self._host,
            "x-acs-action": action,
            "x-acs-content-sha256": EMPTY_BODY,
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": VERSION,
        }
        names = ";".join(headers)  # written above in order
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{EMPTY_BODY}"
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self._key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self._key_id},SignedHeaders={names},Signature={signature}"
        return headers | {"authorization": f"ACS3-HMAC-SHA256 {credential}"}


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _percent(text: str) -> str:
    return quote(text, safe="-_.~")
