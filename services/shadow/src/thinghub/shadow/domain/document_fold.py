"""Requests of one device, one after the other, over the document as it was read: one write for all of them.

A request that changes something has a place in its device's order (epoch, sequence). One whose place is not above that
of the document was there before: the same place is a record that came again, and is answered as it was answered; a
lower one is out of date and has no answer. Neither changes anything (invariants §3). What is refused moves the place
too, so that it is refused again when it comes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from thinghub.shadow.domain import document_replies as replies
from thinghub.shadow.domain.document import DocumentError, Method, Problem, Request, Shadow, changed, state_of

Place = tuple[int, int]
NOWHERE: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A document as the store has it. `revision` rises with every write, and is below 0 when what is there is no
    document; `outcome` is what became of the request at `place`: empty for a success, else the problem."""

    revision: int = 0
    shadow: Shadow = field(default_factory=Shadow)
    place: Place = NOWHERE
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, or why it is none. A place with epoch 0 is the platform's and is not compared."""

    request: Request | DocumentError
    place: Place
    time_s: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`payload` is empty when there is no answer. `depends`: it may be given only once the write has succeeded.
    `outcome` is for the counters."""

    payload: bytes
    outcome: str
    depends: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """`state` is empty when nothing is to be written; `again`: nothing is new, a record came again."""

    held: Held
    answers: list[Answer]
    state: bytes = b""
    again: bool = False


def fold(held: Held, asked: Sequence[Asked]) -> Folded:
    """One answer a request, in order; the document after all of them."""
    if held.revision < 0:
        return Folded(held, [Answer(replies.refused(Problem.FAILED, one.time_s), Problem.FAILED) for one in asked])
    shadow, place, outcome, state = held.shadow, held.place, held.outcome, b""
    answers: list[Answer] = []
    new = again = False
    for one in asked:
        request = one.request
        if isinstance(request, DocumentError):
            answers.append(Answer(replies.refused(request.problem, one.time_s), request.problem))
        elif request.method is Method.GET:
            answers.append(Answer(replies.whole(shadow, one.time_s), "get", new))
        elif one.place[0] and one.place <= place:
            same = one.place == place
            again |= same
            answers.append(_again(outcome, shadow.version, one.time_s) if same else Answer(b"", "stale"))
        else:
            try:
                shadow, state, outcome = *_applied(shadow, request, one.time_s), ""
                answers.append(Answer(replies.updated(shadow.version, one.time_s), request.method, True))
            except DocumentError as error:
                outcome = error.problem.value
                answers.append(Answer(replies.refused(error.problem, one.time_s), outcome, True))
            new, place = True, one.place if one.place[0] else place
    if not (new or again):
        return Folded(held, answers)
    return Folded(Held(held.revision + new, shadow, place, outcome), answers, state or state_of(shadow), not new)


def writes(asked: Asked) -> bool:
    """Whether it wants the document changed, so that a document that is out of date would be found out."""
    return isinstance(asked.request, Request) and asked.request.method is not Method.GET


def _applied(shadow: Shadow, request: Request, now_s: int) -> tuple[Shadow, bytes]:
    """The new shadow and its state. Raises DocumentError."""
    new = changed(shadow, request, now_s)
    return new, state_of(new)


def _again(outcome: str, version: int, now_s: int) -> Answer:
    payload = replies.refused(Problem(outcome), now_s) if outcome else replies.updated(version, now_s)
    return Answer(payload, "repeated", True)
