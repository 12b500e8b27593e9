"""Log-in of sub-devices (device-mqtt §10): what a gateway device asks, and one table from the reason to the code.

The reason is also the name under which a refusal is counted. Codes of a session that was ended by force stand in a
table of their own: the gateway device hears them on `/ext/error`.
"""

from collections.abc import Sequence
from enum import StrEnum

from thinghub.connection_gateway.domain.device import Device
from thinghub.device_protocol.codes import Alink

OK = "ok"


class Step(StrEnum):
    """The last level of the topic."""

    LOGIN = "login"
    BATCH_LOGIN = "batch_login"
    LOGOUT = "logout"
    BATCH_LOGOUT = "batch_logout"

    @property
    def is_login(self) -> bool:
        return self in (Step.LOGIN, Step.BATCH_LOGIN)

    @property
    def is_batch(self) -> bool:
        return self in (Step.BATCH_LOGIN, Step.BATCH_LOGOUT)


CODES: dict[str, tuple[Alink, str]] = {
    OK: (Alink.SUCCESS, "success"),
    "malformed": (Alink.PARAMETER_ERROR, "request parameter error"),
    "not_a_gateway": (Alink.PARAMETER_ERROR, "a sub-device logs nobody in"),
    "bad_signature": (Alink.BAD_SIGNATURE, "invalid sign"),
    "unknown_device": (Alink.DEVICE_NOT_FOUND, "device not found"),
    "unknown_product": (Alink.DEVICE_NOT_FOUND, "device not found"),
    "no_topology": (Alink.NO_TOPOLOGY, "topological relation not exist"),
    "disabled": (Alink.SUB_DEVICE_DISABLED, "device is disabled"),
    # A tombstone: disabled or deleted a moment ago.
    "barred": (Alink.SUB_DEVICE_DISABLED, "device is disabled or deleted"),
    "superseded": (Alink.CONNECTED_ELSEWHERE, "device is connected elsewhere"),
    "too_many_online": (Alink.TOO_MANY_ONLINE, "too many sub-devices online"),
    "no_room": (Alink.TOO_MANY_REQUESTS, "too many devices here, try again"),
    "login_rate": (Alink.TOO_MANY_REQUESTS, "too many log-ins of this device"),
    "failure_rate": (Alink.TOO_MANY_REQUESTS, "too many failed log-ins of this gateway"),
    "overloaded": (Alink.TOO_MANY_REQUESTS, "too many log-ins wait"),
    "duplicate": (Alink.DUPLICATE_LOGIN, "a device is named twice"),
    "no_session": (Alink.NO_SESSION, "device has no session here"),
    "auth_unavailable": (Alink.SYSTEM_ERROR, "system error, try again"),
    "topology_unavailable": (Alink.SYSTEM_ERROR, "system error, try again"),
    "policy_unavailable": (Alink.SYSTEM_ERROR, "system error, try again"),
    "claims_unavailable": (Alink.SYSTEM_ERROR, "system error, try again"),
    "gateway_gone": (Alink.SYSTEM_ERROR, "the gateway's connection is over"),
    "stopping": (Alink.SYSTEM_ERROR, "system error, try again"),
    "internal": (Alink.SYSTEM_ERROR, "system error, try again"),
}

# Failures that count against the gateway device: what a guesser would produce.
GUESSES = frozenset({"unknown_device", "unknown_product", "bad_signature", "no_topology"})

# Kicks with this reason end sub-devices only: a device that connected by itself needs no gateway.
TOPOLOGY = "topology"

# Why a sub-device's session ended, as the kick said.
ENDED: dict[str, tuple[Alink, str]] = {
    "taken_over": (Alink.CONNECTED_ELSEWHERE, "device is connected elsewhere"),
    "deleted": (Alink.SUB_DEVICE_DELETED, "device is deleted"),
    "disabled": (Alink.SUB_DEVICE_DISABLED, "device is disabled"),
    TOPOLOGY: (Alink.NO_TOPOLOGY, "topological relation not exist"),
}
ENDED_OTHERWISE = (Alink.SYSTEM_ERROR, "the session was ended")
# The gateway asked for it.
LOGOUT = "logout"

Named = dict[str, str | int]


def named(device: Device) -> Named:
    return {"productKey": device.product_key, "deviceName": device.device_name}


def outcome(step: Step, results: Sequence[tuple[Device, str]], whole: str = OK) -> tuple[Alink, str, object]:
    """Code, message and data of the reply; `results` has a reason a device, `whole` one for all that is asked. One
    device is answered with `{}`; a batch with all its devices, or with the code of the first that failed and a list of
    those that did, each with a code of its own."""
    failed = [(device, *CODES[reason]) for device, reason in results if reason != OK]
    code, message = failed[0][1:] if failed else CODES[whole]
    if not step.is_batch:
        return code, message, {}
    if failed:
        return code, message, [{**named(device), "code": int(its), "message": why} for device, its, why in failed]
    return code, message, [named(device) for device, _ in results]
