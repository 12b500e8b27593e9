"""What the connection plane counts of one session."""

from dataclasses import dataclass, replace

from thinghub.connection_gateway.domain.device import Device


@dataclass(frozen=True, slots=True)
class Live:
    """Since the session began; keep-alive, last packet and buffer are of the connection. `behind` is the gateway device
    whose connection carries the session, if one does; `sub_devices` is how many its own connection carries."""

    messages_up: int
    messages_down: int
    refused_permission: int
    refused_quota: int
    quota_delays: int
    in_flight: int
    queued: int
    subscriptions: tuple[str, ...]
    keep_alive_s: int
    last_packet_ms_ago: int
    out_buffer: int
    behind: Device | None = None
    sub_devices: int = 0

    def placed(self, behind: Device | None, sub_devices: int) -> "Live":
        return replace(self, behind=behind, sub_devices=sub_devices)
