"""Who the device is, where the platform is, and the signature that proves the first to the second (device-mqtt §1)."""

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from thinghub.device_protocol.connect import ConnectClaims, signed_content
from thinghub.device_protocol.signing import SignMethod, sign
from thinghub.device_protocol.sub_devices import SubDeviceName, SubDeviceProof

PLAIN, TLS = 3, 2
VERSION = "thinghub-0.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """The three words a device is delivered with."""

    product_key: str
    device_name: str
    device_secret: str = field(repr=False)

    @property
    def name(self) -> SubDeviceName:
        return SubDeviceName(self.product_key, self.device_name)

    def sys(self, path: str) -> str:
        """A system topic: `/sys/{pk}/{dn}/` + path."""
        return f"/sys/{self.product_key}/{self.device_name}/{path}"

    def own(self, prefix: str) -> str:
        """A topic that ends in the device, such as `/shadow/update/{pk}/{dn}`."""
        return f"{prefix}/{self.product_key}/{self.device_name}"

    def custom(self, short: str) -> str:
        """A custom topic by its short name: `user/update` or `update` give `/{pk}/{dn}/user/update`."""
        return f"/{self.product_key}/{self.device_name}/user/{short.removeprefix('user/')}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`tls` is None for plain TCP; `with_ca` and `from_file` make the context for you."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str, tls: ssl.SSLContext | None = None) -> "Endpoint":
        """`host:port`, the host of IPv6 in brackets."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port), tls)

    @classmethod
    def with_ca(cls, text: str, ca: str | Path) -> "Endpoint":
        """TLS whose only trust is the given CA certificate (PEM file)."""
        return cls.parse(text, ssl.create_default_context(cafile=str(ca)))

    @classmethod
    def from_file(cls, endpoints: str | Path, *, tls: bool = False) -> "Endpoint":
        """From the endpoints.json that `thinghub up` writes into its data directory."""
        known = json.loads(Path(endpoints).read_text())
        return cls.with_ca(known["mqtts"], known["ca"]) if tls else cls.parse(known["mqtt"])


@dataclass(frozen=True, slots=True)
class Login:
    """The three strings of an MQTT CONNECT."""

    client_id: str
    username: str
    password: str = field(repr=False)


def login(identity: Identity, *, method: SignMethod, timestamp: int, ext: int, secure: bool) -> Login:
    """`timestamp` takes part in the signature only; any number will do, milliseconds are customary."""
    claims = ConnectClaims(
        product_key=identity.product_key,
        device_name=identity.device_name,
        client_id=f"{identity.product_key}.{identity.device_name}"[:64],
        sign_method=method,
        timestamp=str(timestamp),
        securemode=TLS if secure else PLAIN,
        ext=ext,
        ss=True,
        auth_type="",
        password="",
    )
    keys = {
        "securemode": claims.securemode,
        "signmethod": method.value,
        "timestamp": claims.timestamp,
        "ext": ext,
        "_ss": 1,
        "lan": "Python",
        "_v": VERSION,
    }
    pairs = ",".join(f"{key}={value}" for key, value in keys.items())
    return Login(
        client_id=f"{claims.client_id}|{pairs}|",
        username=f"{identity.device_name}&{identity.product_key}",
        password=sign(method, identity.device_secret, signed_content(claims)),
    )


def sub_device_proof(identity: Identity, *, method: SignMethod, timestamp: int) -> dict[str, str]:
    """What a gateway shows of a sub-device at log-in and when it adds it (device-mqtt §10): the secret stays here. The
    whole client id is signed."""
    client_id = f"{identity.product_key}.{identity.device_name}|lan=Python,_v={VERSION},_ss=1|"
    claims = SubDeviceProof(
        identity.product_key, identity.device_name, client_id, method, str(timestamp), clean=True, password=""
    )
    return {
        "productKey": identity.product_key,
        "deviceName": identity.device_name,
        "clientId": client_id,
        "timestamp": str(timestamp),
        "signMethod": method.value,
        "sign": sign(method, identity.device_secret, signed_content(claims)),
        "cleanSession": "true",
    }
