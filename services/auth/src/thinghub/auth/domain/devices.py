"""Device credentials and the check of a device's proof (device-mqtt §1)."""

import secrets
from dataclasses import dataclass, field
from enum import Enum

from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import KeyRing, Place, Sealed
from thinghub.auth.errors import RequestInvalid
from thinghub.device_protocol.signing import SignMethod, verify

MAX_SECRET = 256
_MAX_PASSWORD = 128


@dataclass(frozen=True, slots=True, order=True)
class DeviceId:
    product_key: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored credential, its secret sealed. A deleted one is kept for a while as a fence for older writes:
    `deleted` is set and there is no secret. Versions of one device only rise, past deletion too."""

    device: DeviceId
    version: int
    iot_id: str
    disabled: bool
    deleted: bool
    sealed: Sealed | None
    rotation: Rotation | None = None

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of the master keys that it is sealed with."""
        former = self.rotation.former if self.rotation else None
        return tuple(sealed.key_id for sealed in (self.sealed, former) if sealed)


@dataclass(frozen=True, slots=True)
class NewCredential:
    """`secret` empty: keep the one in force, or generate one."""

    device: DeviceId
    iot_id: str
    secret: str = field(repr=False)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """`method` None: the device named a method that is not served."""

    device: DeviceId
    method: SignMethod | None
    content: bytes
    password: str = field(repr=False)


class Verdict(Enum):
    OK = "ok"
    UNKNOWN_DEVICE = "unknown_device"
    BAD_SIGNATURE = "bad_signature"
    DISABLED = "disabled"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`adopted`: the rotation whose new secret this is the first proof by."""

    verdict: Verdict
    iot_id: str = ""
    version: int = 0
    adopted: Rotation | None = None


def place(device: DeviceId) -> Place:
    """Where a device's secret belongs."""
    return ("device", device.product_key, device.device_name)


def judge(proof: Proof, credential: Credential | None, ring: KeyRing, now_ms: int) -> Judgement:
    """The signature is checked before the state, so only the owner of the secret learns that a device is disabled.
    Raises SealBroken."""
    if credential is None or credential.deleted or credential.sealed is None:
        return Judgement(Verdict.UNKNOWN_DEVICE)
    by_new = _proves(proof, credential.sealed, ring)
    if not by_new and not _proves(proof, _former(credential, now_ms), ring):
        return Judgement(Verdict.BAD_SIGNATURE, version=credential.version)
    verdict = Verdict.DISABLED if credential.disabled else Verdict.OK
    rotation = credential.rotation
    adopted = rotation if by_new and rotation and not rotation.adopted_ms else None
    return Judgement(verdict, credential.iot_id, credential.version, adopted)


def _former(credential: Credential, now_ms: int) -> Sealed | None:
    rotation = credential.rotation
    return rotation.former if rotation and rotation.under_way(now_ms) else None


def _proves(proof: Proof, sealed: Sealed | None, ring: KeyRing) -> bool:
    if sealed is None:
        return False
    secret = ring.open(sealed, place(proof.device))
    if proof.method is None or len(proof.password) > _MAX_PASSWORD:
        return False
    return verify(proof.method, secret, proof.content, proof.password)


def generate_secret() -> str:
    """32 hexadecimal characters, as the contract's device and product secrets look."""
    return secrets.token_hex(16)


def plausible(device: DeviceId) -> bool:
    """Identities may come from outside, so only what would break keys and rows is refused."""
    both = device.product_key + device.device_name
    return bool(device.product_key and device.device_name) and len(both) <= 256 and both.isprintable()


def check_device(device: DeviceId) -> None:
    if not plausible(device):
        raise RequestInvalid("a device is named by product key and device name, at most 256 characters together")


def check_secret(secret: str) -> None:
    if len(secret) > MAX_SECRET or "\0" in secret:
        raise RequestInvalid(f"a secret has at most {MAX_SECRET} characters and no NUL")


def check_iot_id(iot_id: str) -> None:
    if len(iot_id) > 128 or not iot_id.isprintable():
        raise RequestInvalid("an IotId has at most 128 printable characters")
