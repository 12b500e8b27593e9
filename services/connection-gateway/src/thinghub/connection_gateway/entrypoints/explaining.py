"""What support is told, as messages: reasons go out with their words."""

from thinghub.connection_gateway.domain.attempts import Attempt, Kind, words
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.service.explain import Explanation
from thinghubpb.device.v1.device_pb2 import DeviceId
from thinghubpb.gateway.v1 import gateway_pb2 as pb

_KINDS = {kind: pb.Attempt.Kind.Value(f"KIND_{kind.name}") for kind in Kind}


def explanation(explained: Explanation, session: pb.Session) -> pb.Explanation:
    """`session` is what GetSessions says of the same device."""
    history = explained.history
    return pb.Explanation(
        session=session,
        gateway_alive=explained.alive,
        barred_ms=history.barred_ms,
        attempts=[_attempt(attempt) for attempt in history.attempts],
        messages=[
            pb.SampledMessage(
                topic=one.topic,
                size=one.size,
                qos=one.qos,
                received_ms=one.received_ms,
                message_id=one.message_id,
                traceparent=one.traceparent,
            )
            for one in history.messages
        ],
        live=live_session(explained.live),
    )


def live_session(live: Live | None) -> pb.LiveSession | None:
    if live is None:
        return None
    behind = live.behind
    return pb.LiveSession(
        messages_up=live.messages_up,
        messages_down=live.messages_down,
        refused_permission=live.refused_permission,
        refused_quota=live.refused_quota,
        quota_delays=live.quota_delays,
        in_flight=live.in_flight,
        queued=live.queued,
        subscriptions=live.subscriptions,
        keep_alive_s=live.keep_alive_s,
        last_packet_ms_ago=live.last_packet_ms_ago,
        out_buffer=live.out_buffer,
        behind=DeviceId(product_key=behind.product_key, device_name=behind.device_name) if behind else None,
        sub_devices=live.sub_devices,
    )


def _attempt(attempt: Attempt) -> pb.Attempt:
    said = words(attempt)
    return pb.Attempt(
        kind=_KINDS[attempt.kind],
        reason=attempt.reason,
        meaning=said.meaning,
        advice=said.advice,
        client_address=attempt.client,
        gateway_address=attempt.gateway,
        time_ms=attempt.time_ms,
    )
