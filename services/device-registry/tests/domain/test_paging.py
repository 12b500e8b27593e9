import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_registry.domain.devices import DeviceId, page_token, read_page_token
from thinghub.device_registry.domain.paging import Page, page_limit, page_of
from thinghub.device_registry.errors import PageInvalid


def test_pages_are_numbered_from_one() -> None:
    assert page_of(1, 20) == Page(0, 20)
    assert page_of(3, 20) == Page(40, 20)
    assert page_of(0, 0).offset == 0


@pytest.mark.parametrize(("number", "size"), [(-1, 10), (1, -1), (1, 201), (10**9, 200)])
def test_impossible_pages_are_refused(number: int, size: int) -> None:
    with pytest.raises(PageInvalid):
        page_of(number, size)


def test_a_limit_has_bounds() -> None:
    assert page_limit(0) == 200
    for limit in (-1, 201):
        with pytest.raises(PageInvalid):
            page_limit(limit)


@given(st.text(alphabet="abcXYZ019_@.:-", min_size=4, max_size=32))
def test_a_token_leads_back_to_its_device(name: str) -> None:
    assert read_page_token(page_token(DeviceId("a1", name))) == name


@given(st.text(max_size=40))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with contextlib.suppress(PageInvalid):
        assert read_page_token(text)
