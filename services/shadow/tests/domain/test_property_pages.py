from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from thinghub.shadow.domain.property_pages import page_together
from thinghub.shadow.domain.thing_posts import Item

END = 40


def at(*times: int) -> list[Item]:
    return [Item(f"v{time_ms}", time_ms) for time_ms in times]


def times(page: Mapping[str, Sequence[Item]]) -> dict[str, list[int]]:
    return {identifier: [item.time_ms for item in values] for identifier, values in page.items()}


def test_what_fits_is_one_page() -> None:
    assert page_together({"a": at(1, 2), "b": []}, 0, 9, 2, True) == ({"a": at(1, 2), "b": []}, 0)


def test_a_page_ends_for_all_where_the_first_overflows() -> None:
    page, turn = page_together({"a": at(1, 2, 3), "b": at(2, 5)}, 0, 9, 2, True)
    assert (times(page), turn) == ({"a": [1, 2], "b": [2]}, 3)
    page, turn = page_together({"a": at(9, 8, 7), "b": at(8, 2)}, 0, 9, 2, False)
    assert (times(page), turn) == ({"a": [9, 8], "b": [8]}, 7)


def test_too_many_of_one_millisecond_do_not_stop_it() -> None:
    page, turn = page_together({"a": at(5, 5, 5), "b": at(6)}, 5, 9, 2, True)
    assert (times(page), turn) == ({"a": [5, 5], "b": []}, 6)
    assert page_together({"a": at(5, 5, 5)}, 5, 5, 2, True)[1] == 0
    assert page_together({"a": at(9, 9, 9)}, 5, 9, 2, False)[1] == 8


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, END), unique=True, max_size=30), min_size=1),
    st.integers(1, 6),
    st.booleans(),
)
def test_pages_show_every_value_once(held: dict[str, list[int]], limit: int, ascending: bool) -> None:
    shown: dict[str, list[int]] = {identifier: [] for identifier in held}
    start, end, pages = 0, END, 0
    while True:
        inside = {
            identifier: at(*sorted((one for one in all_of if start <= one <= end), reverse=not ascending)[: limit + 1])
            for identifier, all_of in held.items()
        }
        page, turn = page_together(inside, start, end, limit, ascending)
        for identifier, values in times(page).items():
            assert len(values) <= limit
            shown[identifier] += values
        pages += 1
        assert pages <= END + 2
        if not turn:
            break
        start, end = (turn, end) if ascending else (start, turn)
    # A page that goes on at 0 could not be told from the last one.
    if ascending or not any(0 in one for one in held.values()):
        assert shown == {identifier: sorted(one, reverse=not ascending) for identifier, one in held.items()}
