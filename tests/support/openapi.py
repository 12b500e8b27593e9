"""A client of the signed API, written from the reference alone (open-api §1-2): V1 and ACS3 signatures."""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

VERSION = "2018-01-20"


class ApiRefused(Exception):
    """The gateway's kind of error: an HTTP status and a code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def percent(text: str) -> str:
    return quote(text, safe="-_.~")


def joined(parameters: dict[str, str]) -> str:
    return "&".join(f"{percent(k)}={percent(v)}" for k, v in sorted(parameters.items()))


def flat(parameters: dict[str, Any]) -> dict[str, str]:
    """`Name=[a, b]` -> `Name.1=a&Name.2=b`; objects below lists likewise."""
    out: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, list):
            for i, item in enumerate(value, 1):
                nested = item if isinstance(item, dict) else {"": item}
                out |= {f"{name}.{i}" + (f".{k}" if k else ""): v for k, v in flat(nested).items()}
        elif isinstance(value, bool):
            out[name] = "true" if value else "false"
        elif value is not None:
            out[name] = str(value)
    return out


@dataclass(frozen=True)
class Key:
    access_key_id: str
    access_key_secret: str


class OpenApi:
    """`call(action, **parameters)` gives the answer's JSON, whatever its Success says."""

    def __init__(self, base_url: str, key: Key, *, face: str = "acs3", verify: Any = True) -> None:
        self.base_url = base_url
        self.key = key
        self.face = face
        self._http = httpx.AsyncClient(base_url=base_url, timeout=20, verify=verify, trust_env=False)

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        request = self.acs3(action, flat(parameters)) if self.face == "acs3" else self.v1(action, flat(parameters))
        answer = await self._http.send(request)
        body: dict[str, Any] = answer.json()
        if answer.status_code != 200:
            raise ApiRefused(answer.status_code, body.get("Code", ""), body.get("Message", ""))
        return body

    async def ok(self, action: str, **parameters: Any) -> dict[str, Any]:
        """As `call`, and Success must be true."""
        body = await self.call(action, **parameters)
        assert body["Success"] is True, f"{action}: {body}"
        return body

    async def rest(self, method: str, path: str, **options: Any) -> httpx.Response:
        auth = (self.key.access_key_id, self.key.access_key_secret)
        return await self._http.request(method, path, auth=auth, **options)

    async def close(self) -> None:
        await self._http.aclose()

    def v1(
        self, action: str, parameters: dict[str, str], *, nonce: str | None = None, when: float | None = None
    ) -> httpx.Request:
        query = {
            "Action": action,
            "Version": VERSION,
            "Format": "JSON",
            "AccessKeyId": self.key.access_key_id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": nonce or secrets.token_hex(16),
            "SignatureType": "",
            "Timestamp": stamp(when),
            **parameters,
        }
        to_sign = f"POST&%2F&{percent(joined(query))}"
        digest = hmac.new(f"{self.key.access_key_secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
        signed = joined(query | {"Signature": base64.b64encode(digest).decode()})
        return self._http.build_request("POST", f"/?{signed}", headers={"content-length": "0"})

    def acs3(
        self, action: str, parameters: dict[str, str], *, nonce: str | None = None, when: float | None = None
    ) -> httpx.Request:
        headers = {
            "host": httpx.URL(self.base_url).netloc.decode(),
            "x-acs-action": action,
            "x-acs-version": VERSION,
            "x-acs-date": stamp(when),
            "x-acs-signature-nonce": nonce or secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "accept": "application/json",
            "user-agent": "thinghub-tests",
        }
        names = ";".join(sorted(headers))
        canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = "\n".join(
            ["POST", "/", joined(parameters), canonical_headers, names, headers["x-acs-content-sha256"]]
        )
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self.key.access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"ACS3-HMAC-SHA256 Credential={self.key.access_key_id},SignedHeaders={names},Signature={signature}"
        )
        query = f"/?{joined(parameters)}" if parameters else "/"
        return self._http.build_request("POST", query, headers=headers)


def stamp(when: float | None = None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if when is None else when))
