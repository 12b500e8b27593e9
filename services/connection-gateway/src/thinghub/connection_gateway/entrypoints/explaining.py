"""What support is told, as messages: reasons go out with their words."""

from thinghub.connection_gateway.domain.attempts import Attempt, Kind, words
from thinghub.connection_gateway.service.explain import Explanation
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
