"""Result codes of the device contract: CONNACK (device-mqtt §1.3) and Alink (§2)."""

from enum import IntEnum


class Connack(IntEnum):
    """MQTT 3.1.1 return codes, with what the contract uses each for."""

    ACCEPTED = 0
    # The protocol level is not served.
    BAD_PROTOCOL = 1
    # Malformed client id, or parameters in it that make no sense.
    BAD_CLIENT_ID = 2
    # The platform cannot decide now; the device should come again.
    UNAVAILABLE = 3
    # Bad user name, password or signature, or no such device.
    BAD_CREDENTIALS = 4
    # The device exists and may not connect: disabled, deleted a moment ago, or barred.
    NOT_AUTHORIZED = 5


class Alink(IntEnum):
    """General codes of Alink replies."""

    SUCCESS = 200
    REQUEST_ERROR = 400
    ARREARS = 403
    TOO_MANY_REQUESTS = 429
    PARAMETER_ERROR = 460
    SYSTEM_ERROR = 500
    PRODUCT_NOT_FOUND = 5005
    DEVICE_NOT_FOUND = 6100
    TOPIC_PARSE_ERROR = 6203
    DEVICE_DISABLED = 6204
    METHOD_MISSING = 6450
    DEVICE_NOT_ACTIVATED = 9200
    DEVICE_OFFLINE = 9201
    # Sub-devices (device-mqtt §10): topology, then log-in and forced log-out.
    UNAUTHORIZED = 401
    TOO_MANY_SUB_DEVICES = 6400
    NO_TOPOLOGY = 6401
    OWN_SUB_DEVICE = 6402
    FOUND_PRODUCT_UNKNOWN = 6250
    CONNECTED_ELSEWHERE = 427
    TOO_MANY_ONLINE = 428
    NO_SESSION = 520
    SUB_DEVICE_DELETED = 521
    SUB_DEVICE_DISABLED = 522
    DUPLICATE_LOGIN = 527
    BAD_SIGNATURE = 6287
