import pytest

from thinghub.ota.domain.ranges import Span, wanted

WHOLE = Span(0, 10, part=False)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", WHOLE),
        ("bytes=0-3", Span(0, 4, part=True)),
        ("bytes= 2 - 3 ", Span(2, 4, part=True)),
        ("bytes=4-", Span(4, 10, part=True)),
        ("bytes=4-99", Span(4, 10, part=True)),
        ("bytes=-3", Span(7, 10, part=True)),
        ("bytes=-99", Span(0, 10, part=True)),
        ("bytes=9-9", Span(9, 10, part=True)),
        ("bytes=10-", None),
        ("bytes=-0", None),
        ("bytes=3-2", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=0-1,4-5", WHOLE),
        ("lines=0-1", WHOLE),
        ("bytes=x-1", WHOLE),
        ("bytes=" + "9" * 40 + "-", WHOLE),
    ],
)
def test_range_is_read(header: str, span: Span | None) -> None:
    assert wanted(header, 10) == span


def test_an_empty_file_has_no_part() -> None:
    assert wanted("", 0) == Span(0, 0, part=False)
    assert wanted("bytes=0-", 0) is None
    assert wanted("bytes=-1", 0) is None
