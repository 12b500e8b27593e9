"""What is remembered of a device for the day somebody asks why it is away: its connects, its closes, and their reasons
in words.

The words are a table from the reason under which a refusal or a close is counted. A reason that is *unproven* says
nothing about whether the device exists: anybody can cause it under any name, so less of it is remembered.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connect, or the end of a session. `reason` is "" for an accepted connect, `client` the source (`ip:port`),
    `gateway` the RPC address of the gateway that saw it."""

    kind: Kind
    reason: str
    client: str
    gateway: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Traced:
    """A message that is sampled: everything but its payload. `size` is the payload's bytes."""

    topic: str
    size: int
    qos: int
    received_ms: int
    message_id: int
    traceparent: str


@dataclass(frozen=True, slots=True)
class Words:
    """`meaning` completes "the connect was refused: ..." or "the session ended: ..."; `advice` is a sentence."""

    meaning: str
    advice: str = ""


UNPROVEN = frozenset(
    {
        "malformed_client_id",
        "unknown_device",
        "failure_rate",
        "auth_unavailable",
        "too_late",
        "overloaded",
        "duplicate",
        "not_a_gateway",
        "stopping",
        "internal",
    }
)

_WAITS = "The device may try again; look at the platform's health, not at the device."

REFUSED: dict[str, Words] = {
    "malformed_client_id": Words(
        "malformed client id",
        "The client id must read name|securemode=3,signmethod=hmacsha256,...|; compare the firmware with the contract.",
    ),
    "bad_user": Words("malformed user name", "The user name must read DeviceName&ProductKey."),
    "unknown_device": Words(
        "the device was not registered",
        "Register it, or correct ProductKey and DeviceName in the firmware: capitals matter.",
    ),
    "bad_signature": Words(
        "wrong signature",
        "The DeviceSecret in the device differs from the registered one, or it signs other values than it sends: "
        "re-flash it with the registered secret, or register it anew.",
    ),
    "unknown_product": Words("the product does not exist", "Correct the ProductKey in the firmware."),
    "disabled": Words("the device was disabled", "Enable it again (EnableThing) if that was not meant."),
    "barred": Words(
        "the device was disabled, deleted or sent away a moment ago", "Enable it, or wait a minute and look again."
    ),
    "auth_unavailable": Words("the platform could not check the signature", _WAITS),
    "policy_unavailable": Words("the platform could not read the product's policy", _WAITS),
    "claims_unavailable": Words("the platform could not store the session", _WAITS),
    "too_late": Words("the platform was too slow", _WAITS),
    "overloaded": Words("the gateway had too many connects to answer", _WAITS),
    "stopping": Words("the gateway was being stopped", "The device reconnects to another gateway by itself."),
    "superseded": Words(
        "a newer connect of the same device came in between",
        "If this repeats, two devices use one identity: give each its own.",
    ),
    "connect_rate": Words(
        "the device connects too often",
        "It loses its connection soon after each connect, or has no back-off: see why its sessions end.",
    ),
    "failure_rate": Words(
        "too many failed connects came from its address",
        "Other devices behind the same address fail; mend those first, then this one is let in.",
    ),
    "internal": Words("a defect of the platform", "The gateway's log has the error."),
    # Of log-ins behind a gateway device; a malformed one is told of the gateway device.
    "malformed": Words("a log-in of its sub-devices was malformed", "Compare its firmware with the contract."),
    "no_topology": Words(
        "the device does not stand behind this gateway device", "Add it to the gateway's topology (thing/topo/add)."
    ),
    "topology_unavailable": Words("the platform could not read the topology", _WAITS),
    "too_many_online": Words(
        "its gateway device has as many sub-devices online as it may have", "Put some behind another gateway device."
    ),
    "no_room": Words(
        "the gateway process had as many sessions as it may have",
        "Add gateways, or raise MAX_SESSIONS if memory allows.",
    ),
    "login_rate": Words(
        "its gateway device logs it in too often", "The gateway has no back-off: see why the device's sessions end."
    ),
    "duplicate": Words("the log-in named it twice", "Correct the gateway's firmware: a batch names a device once."),
    "not_a_gateway": Words(
        "a device that is itself behind a gateway tried to log it in", "Log it in from the gateway device."
    ),
    "gateway_gone": Words("its gateway's connection ended meanwhile", "Ask why of the gateway."),
}

CLOSED: dict[str, Words] = {
    "client": Words("the device disconnected by itself"),
    "eof": Words(
        "the connection was closed without a DISCONNECT",
        "The device was restarted, or something between closed the connection.",
    ),
    "error": Words("the network failed", "Look at the device's network."),
    "keep_alive": Words(
        "nothing came from the device within 1.5 times its keep-alive",
        "The device lost power or network, or does not send PINGREQ.",
    ),
    "packet_timeout": Words("a packet began and did not end in time", "Look at the device's network."),
    "protocol": Words("the device broke the protocol", "Correct its MQTT client; it must speak MQTT 3.1.1."),
    "tls": Words("its TLS failed", "Look at the device's TLS library and clock."),
    "memory": Words("the gateway was short of memory, and this one held much of it", _WAITS),
    "slow_reader": Words("the device did not take its messages", "It reads too slowly: send it less, or mend it."),
    "record_failed": Words("its messages could not be stored, so it was made to send them again", _WAITS),
    "store": Words("its subscriptions could not be stored, so it was made to come again", _WAITS),
    "unacknowledged": Words(
        "the device did not acknowledge a message for a long time, so it was made to come again for it",
        "It must answer each PUBLISH of QoS 1 with a PUBACK; look at its MQTT client.",
    ),
    "stop": Words("the gateway was stopped", "The device reconnects to another gateway by itself."),
    "shutdown": Words("the gateway was stopped", "The device reconnects to another gateway by itself."),
    "internal": Words("a defect of the platform", "The gateway's log has the error."),
    "taken_over": Words(
        "the same device connected once more",
        "If this repeats from different addresses, two devices use one identity: give each its own.",
    ),
    "disabled": Words("the device was disabled", "Enable it again (EnableThing) if that was not meant."),
    "deleted": Words("the device was deleted", "Register it again if that was not meant."),
    "kicked": Words("the platform ended the session"),
    "topology": Words(
        "the device was taken from its gateway", "Add it to the gateway's topology again if that was not meant."
    ),
    "logout": Words("its gateway logged it out"),
}


def words(attempt: Attempt) -> Words:
    """A reason that is not in the tables is said as it is."""
    if attempt.kind is Kind.ACCEPTED:
        return Words("accepted")
    table = REFUSED if attempt.kind is Kind.REFUSED else CLOSED
    return table.get(attempt.reason) or Words(attempt.reason.replace("_", " "))
