"""Dead letters of rules: outputs that a sink refused for the last time, looked at and tried again.

REST only; the public contract has no such action.
"""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from thinghub.api_gateway.domain.dead_letters import DeadLetter, DeadLetterQuery, Redrive
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.errors import invalid
from thinghub.api_gateway.service.model import Members, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_MS = 2**53
MAX_INT64 = 2**63 - 1
MAX_REDRIVE = 1000

LetterId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$")]
"""A positive 63-bit number, as text: larger than what JSON readers keep exactly."""


class ListDeadLettersRequest(Request):
    """Newest first; filters that are absent match everything."""

    rule_id: int = Field(0, ge=0, le=MAX_INT64)
    from_ms: int = Field(0, ge=0, le=MAX_MS, description="Of the last refusal.")
    until_ms: int = Field(0, ge=0, le=MAX_MS, description="Exclusive.")
    redriven: bool = Field(False, description="Those that were tried again as well.")
    before: int = Field(0, ge=0, le=MAX_INT64, description="NextBefore of the page before; absent from the newest.")
    limit: int = Field(100, ge=1, le=200)


class DeadLetterInfo(Members):
    dead_letter_id: str = Field(description="The id that the sink was given: the same at every try.")
    rule_id: int
    rule_name: str
    action_id: int
    action_type: str | None = Field(None, description="Absent when the action was deleted.")
    message_id: str
    product_key: str
    device_name: str
    topic: str
    reason: str = Field(description="What the sink said last.")
    tries: int
    bytes: int = Field(description="Of the result.")
    utc_received: str | None = None
    utc_first_failed: str | None = None
    utc_died: str | None = None
    utc_redriven: str | None = Field(None, description="Absent while it waits for somebody.")
    redriven_times: int


class ListDeadLettersResponse(Response):
    dead_letters: list[DeadLetterInfo]
    next_before: int | None = Field(None, description="Absent on the last page.")


class DeadLetterRequest(Request):
    dead_letter_id: LetterId


class GetDeadLetterResponse(Response):
    dead_letter: DeadLetterInfo
    result: str | None = Field(None, description="What the sink was given, JSON; administrators only.")
    hidden: str | None = Field(None, description="Why the result is not shown: role, or not_stored.")


class RedriveDeadLettersRequest(Request):
    """By `DeadLetterIds`, or those that wait of a rule, of a time, or of both."""

    dead_letter_ids: list[LetterId] = Field(default_factory=list, max_length=MAX_REDRIVE)
    rule_id: int = Field(0, ge=0, le=MAX_INT64)
    from_ms: int = Field(0, ge=0, le=MAX_MS)
    until_ms: int = Field(0, ge=0, le=MAX_MS, description="Exclusive.")
    limit: int = Field(MAX_REDRIVE, ge=1, le=MAX_REDRIVE, description="The oldest come first.")


class RedriveDeadLettersResponse(Response):
    redriven: int = Field(description="Put back: they are tried within seconds.")
    gone: int = Field(description="Of deleted actions: they cannot be done any more.")
    more: bool = Field(description="More match: call again.")


async def list_dead_letters(call: Call, request: ListDeadLettersRequest) -> ListDeadLettersResponse:
    found = await call.owners.dead_letters.page(
        DeadLetterQuery(
            call.instance_id,
            request.rule_id,
            request.from_ms,
            request.until_ms,
            request.redriven,
            request.before,
            request.limit,
        )
    )
    return ListDeadLettersResponse(
        dead_letters=[DeadLetterInfo(**_members(letter)) for letter in found],
        next_before=found[-1].position if len(found) == request.limit else None,
    )


async def get_dead_letter(call: Call, request: DeadLetterRequest) -> GetDeadLetterResponse:
    letter, result = await call.owners.dead_letters.get(call.instance_id, _id(request.dead_letter_id))
    hidden = await _hidden(call, letter.product_key)
    return GetDeadLetterResponse(
        dead_letter=DeadLetterInfo(**_members(letter)),
        result=None if hidden else result.decode(),
        hidden=hidden or None,
    )


async def redrive_dead_letters(call: Call, request: RedriveDeadLettersRequest) -> RedriveDeadLettersResponse:
    if not (request.dead_letter_ids or request.rule_id or request.from_ms or request.until_ms):
        raise invalid("DeadLetterIds", "say which: by ids, by a rule or by a time")
    ids = tuple(dict.fromkeys(map(_id, request.dead_letter_ids)))
    limit = max(request.limit, len(ids))
    done = await call.owners.dead_letters.redrive(
        Redrive(call.instance_id, ids, request.rule_id, request.from_ms, request.until_ms, limit)
    )
    return RedriveDeadLettersResponse(redriven=done.redriven, gone=done.gone, more=done.more)


async def _hidden(call: Call, product_key: str) -> str:
    """A product that nobody knows any more may have been one whose messages are not stored."""
    if not call.shows_secrets:
        return "role"
    policy = await call.owners.products.policy(product_key)
    return "" if policy.found and not policy.not_stored else "not_stored"


def _id(text: str) -> int:
    id = int(text)
    if id > MAX_INT64:
        raise invalid("DeadLetterId", "it is a positive 63-bit number")
    return id


def _members(letter: DeadLetter) -> dict[str, Any]:
    """Any: texts, numbers and absent ones, which the model types."""
    return {
        "dead_letter_id": str(letter.dead_letter_id),
        "rule_id": letter.rule_id,
        "rule_name": letter.rule_name,
        "action_id": letter.action_id,
        "action_type": letter.action_type or None,
        "message_id": str(letter.message_id),
        "product_key": letter.product_key,
        "device_name": letter.device_name,
        "topic": letter.topic,
        "reason": letter.error,
        "tries": letter.tries,
        "bytes": letter.bytes,
        "utc_received": utc(letter.received_ms),
        "utc_first_failed": utc(letter.first_failed_ms),
        "utc_died": utc(letter.died_ms),
        "utc_redriven": utc(letter.redriven_ms) if letter.redriven_ms else None,
        "redriven_times": letter.redriven_times,
    }


OPERATIONS = (
    Operation(
        "ListDeadLetters", "Rules", Role.READER, False, ListDeadLettersRequest, ListDeadLettersResponse,
        list_dead_letters, Rest("GET", "/v1/dead-letters"),
        "Lists what sinks refused for the last time, newest first.", rpc=False,
        note="Kept for 7 days, and not more than 100,000 of all rules; both are settings of rule-engine.",
    ),
    Operation(
        "GetDeadLetter", "Rules", Role.READER, False, DeadLetterRequest, GetDeadLetterResponse,
        get_dead_letter, Rest("GET", "/v1/dead-letters/{DeadLetterId}"), "Reads one dead letter.", rpc=False,
        note="The result is shown to administrators, and not for products whose messages are not stored.",
    ),
    Operation(
        "RedriveDeadLetters", "Rules", Role.OPERATOR, True, RedriveDeadLettersRequest, RedriveDeadLettersResponse,
        redrive_dead_letters, Rest("POST", "/v1/dead-letters/redrive"), "Tries dead letters again.", rpc=False,
        note="Each goes back to its rule's action with the id it had, so a sink that knows ids takes a repeat once. "
        "One that is refused again is a dead letter again. Those named by id are tried even if they were before.",
    ),
)  # fmt: skip
