"""Pages of several properties that go on at one time.

Every property has at most `limit` values on a page, and the page ends for all of them where the first one overflows: so
what is left of each begins at the time the page names, and nothing is shown twice. Of more than `limit` values of one
property at one millisecond those past the limit are passed over, or there would be no way on.
"""

from collections.abc import Mapping, Sequence

from thinghub.shadow.domain.thing_posts import Item


def page_together(
    found: Mapping[str, Sequence[Item]], start_ms: int, end_ms: int, limit: int, ascending: bool
) -> tuple[Mapping[str, Sequence[Item]], int]:
    """`found` has at most `limit` + 1 values of each in the order asked. The page, and the time to go on with, 0 for
    none."""
    over = [values[limit].time_ms for values in found.values() if len(values) > limit]
    if not over:
        return found, 0
    turn = min(over) if ascending else max(over)
    if turn == (start_ms if ascending else end_ms):
        # Everything of this millisecond, and on.
        page = {one: [item for item in values if item.time_ms == turn][:limit] for one, values in found.items()}
        turn += 1 if ascending else -1
        return page, turn if start_ms <= turn <= end_ms else 0
    if ascending:
        return {one: [item for item in values if item.time_ms < turn] for one, values in found.items()}, turn
    return {one: [item for item in values if item.time_ms > turn] for one, values in found.items()}, turn
