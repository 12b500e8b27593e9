import pytest

from thinghub.all_in_one.demo.chart import braille, sparkline


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 8, ""),
        ([5.0], 8, "▄"),
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([100, 1, 8], 2, "▁█"),
        ([3.3, 3.3, 3.3], 8, "▄▄▄"),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest_of_the_last_values(
    values: list[float], width: int, drawn: str
) -> None:
    assert sparkline(values, width) == drawn


def test_a_rising_line_is_a_diagonal_of_dots() -> None:
    assert braille([(0, 0.0), (9, 9.0)], 0, 10, 5, 2) == ["⠀⠀⢀⠤⠊", "⡠⠒⠁⠀⠀"]


def test_a_picture_has_its_size_whatever_the_points() -> None:
    for points in ([], [(5.0, 1.0)], [(-100.0, 1.0), (500.0, 2.0)], [(5.0, 1.0), (5.0, 9.0)]):
        lines = braille(points, 0, 10, 7, 3)
        assert [len(line) for line in lines] == [7, 7, 7]


def test_a_gap_is_left_where_nothing_was_measured() -> None:
    points = [(float(time), 1.0) for time in (*range(10), *range(60, 70))]
    (line,) = braille(points, 0, 70, 35, 1)
    assert "⠀" * 20 in line
    assert line[0] != "⠀"
    assert line[-1] != "⠀"
