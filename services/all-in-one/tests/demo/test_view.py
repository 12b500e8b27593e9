"""What is seen of the demo: in a pipe, on a terminal, on a narrow one."""

import io
import re
import time

import pytest
from rich.console import Console

from thinghub.all_in_one.demo.house import House
from thinghub.all_in_one.demo.table import Row
from thinghub.all_in_one.demo.view import WIDTH, Screen, View
from thinghub.device_sdk import Identity

HOUSE = House(
    Identity("gw", "greenhouse", "s"),
    tuple(Identity("a1", name, "s") for name in ("climate", "soil", "light")),
    Identity("b1", "socket", "s"),
    Identity("c1", "speaker", "s"),
)


def shown(width: int | None, color: bool = False) -> tuple[View, io.StringIO]:
    """`width` None: a pipe."""
    out = io.StringIO()
    terminal = Console(
        file=out,
        highlight=False,
        soft_wrap=True,
        force_terminal=width is not None,
        width=width,
        color_system="truecolor" if color else None,
    )
    return View(terminal), out


def everything(view: View) -> None:
    points = [(time.time() - 60 + second, 20 + second / 10) for second in range(60)]
    view.logged_in("greenhouse", "climate, soil, light", 31.0)
    view.up("climate", {"temperature": 21.4, "humidity": 48.0}, "greenhouse")
    view.on_the_bus("climate", 2.1)
    view.replied("climate", 7.4, last=False)
    view.row(Row(1763, "climate", 1, temperature=21.4, humidity=48.0), 9.1, last=True)
    view.row_is_late("climate", 5)
    view.down("socket", "UpdateDeviceShadow", "power on")
    view.hop("socket", "control arrived, the relay is on", 5.0)
    view.done("socket", "GetDeviceShadow says: power on", 112.0)
    view.announced("speaker", "Received 12.50", 4.0)
    view.chart("climate", "temperature", points, 300, 6.0)
    view.connection("socket", False)
    view.session("soil", True)
    view.trouble("something is\nwrong " * 10)


def test_a_pipe_gets_a_plain_line_an_event() -> None:
    view, out = shown(None)
    everything(view)
    lines = out.getvalue().splitlines()
    assert len(lines) == 14
    assert "\x1b" not in out.getvalue()
    assert re.search(r"▲ climate +21\.4 °C  48 %  by greenhouse", lines[1])
    assert lines[4].endswith(" 9.1 ms")
    assert "└ climate     rule keep_greenhouse wrote row …1763: 21.4 °C  48 %" in lines[4]
    assert "20.0 ▁" in lines[10]
    assert lines[13].count("something is wrong") == 10, "nothing is cut in a pipe"


@pytest.mark.parametrize("width", [20, 40, 59, 60, 88, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    view, out = shown(width)
    everything(view)
    assert max(len(line) for line in out.getvalue().splitlines()) <= min(width, WIDTH)


def test_a_wide_terminal_gets_a_picture_and_a_narrow_one_a_line() -> None:
    for width, lines in ((100, 4), (50, 1)):
        view, out = shown(width)
        view.chart("climate", "temperature", [(time.time() - 30, 20.0), (time.time(), 25.0)], 300, 6.0)
        assert len(out.getvalue().splitlines()) == lines
        assert "25.0" in out.getvalue()


def test_times_stand_at_the_right_edge_also_of_a_narrow_terminal() -> None:
    view, out = shown(44)
    view.replied("climate", 12.0, last=True)
    (line,) = out.getvalue().splitlines()
    assert line.endswith("… 12 ms")
    assert len(line) == 44


def test_a_terminal_with_colours_gets_them() -> None:
    view, out = shown(100, color=True)
    everything(view)
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize("width", [None, 44, 100])
def test_the_introduction_says_what_there_is(width: int | None) -> None:
    view, out = shown(width)
    view.introduction(HOUSE, 7, "http://127.0.0.1:9464/metrics")
    words = " ".join(out.getvalue().split())
    assert "greenhouse with climate, soil, light; socket, speaker" in words
    assert "items.temperature.value AS temperature" in words
    assert "greenhouse, 7 rows so far" in words


def test_a_reader_that_left_is_no_error() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    view = View(Screen(file=Closed()))
    everything(view)
