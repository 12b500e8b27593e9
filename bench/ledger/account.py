"""The reckoning: what was promised against what came, for one direction. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# One arrival: number, try of the sender, whether it was marked as sent before (DUP).
Arrival = tuple[int, int, bool]


@dataclass
class Direction:
    """`examples` name the first few of what is wrong."""

    sent: int = 0
    acknowledged: int = 0
    refused_by_policy: int = 0
    delivered: int = 0
    lost: int = 0
    reordered: int = 0
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.reordered or self.refused_by_policy)


def reckon(
    sent: int,
    acknowledged: Mapping[str, set[int]],
    arrived: Mapping[str, Sequence[Arrival]],
    in_order: Mapping[str, Sequence[int]] | None = None,
) -> Direction:
    """`arrived` by device, as it came. Order is judged by `in_order` when that is given, otherwise by `arrived`."""
    account = Direction(sent, sum(map(len, acknowledged.values())))
    for name in acknowledged.keys() | arrived.keys():
        came = arrived.get(name, ())
        numbers = {number for number, _, _ in came}
        missing = sorted(acknowledged.get(name, set()) - numbers)
        account.delivered += len(numbers)
        account.lost += len(missing)
        count_duplicates(account.duplicates, came)
        late = reordered(in_order.get(name, ()) if in_order is not None else [number for number, _, _ in came])
        account.reordered += len(late)
        if missing:
            account.examples.append(f"{name} lost {missing[:5]}")
        if late:
            account.examples.append(f"{name} late {late[:5]}")
    return account


def reordered(numbers: Iterable[int]) -> list[int]:
    """The first deliveries that came after a higher number."""
    seen: set[int] = set()
    late, highest = [], 0
    for number in numbers:
        if number not in seen and number < highest:
            late.append(number)
        seen.add(number)
        highest = max(highest, number)
    return late


def count_duplicates(counts: dict[str, int], came: Sequence[Arrival]) -> None:
    """`sender`: a later try of the same number; `marked` and `unmarked`: the same try once more, with DUP or not."""
    numbers: set[int] = set()
    tries: set[tuple[int, int]] = set()
    for number, attempt, marked in came:
        if (number, attempt) in tries:
            cause = "marked" if marked else "unmarked"
            counts[cause] = counts.get(cause, 0) + 1
        elif number in numbers:
            counts["sender"] = counts.get("sender", 0) + 1
        numbers.add(number)
        tries.add((number, attempt))
