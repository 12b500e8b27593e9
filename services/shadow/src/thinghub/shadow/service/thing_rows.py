"""Rows of history."""

from collections.abc import Sequence

from thinghub.device_protocol.message_ids import derive
from thinghub.shadow.domain.thing_bodies import by_time
from thinghub.shadow.domain.thing_posts import Post
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import PropertyRow


def rows_of(device: Device, received_ms: int, row_id: int, post: Post) -> Sequence[PropertyRow]:
    """One a post; of a post whose values have several times one a time, so that each is found by its own. `row_id` is
    the row's, and what further rows derive theirs from."""
    if post.plain:
        return [PropertyRow(device, received_ms, row_id, post.plain, {})]
    moments = by_time(post)
    return [
        PropertyRow(
            device,
            received_ms,
            derive(row_id, f"moment/{number}") if number else row_id,
            {},
            {identifier: [item] for identifier, item in items.items()},
        )
        for number, items in enumerate(moments)
    ]
