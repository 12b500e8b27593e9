"""What the demo shows: an introduction once, then a line for each hop as it happens; coloured on a terminal, plain in a
pipe, cut to fit where the terminal is narrow.

14:02:07  ▲ climate     21.4 °C  48 %  by greenhouse
          ├ climate     gateway, bus                                               2.1 ms
          ├ climate     shadow: checked, stored, replied                           7.4 ms
          └ climate     rule keep_greenhouse wrote row …1763: 21.4 °C  48 %        9.1 ms
14:02:08  ▼ socket      UpdateDeviceShadow  power on
          ├ socket      control arrived, the relay is on                           5.0 ms
          ├ socket      reported: power on, version 7                              9.2 ms
          └ socket      GetDeviceShadow says: power on                            12.0 ms
14:02:16  ~ climate     18.2 ▂▃▅▆▇▅▃ 23.1 temperature, QueryDevicePropertyData     6.0 ms

A chart has several lines on a terminal that is wide enough.
"""

import contextlib
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from thinghub.all_in_one.demo import chart, house
from thinghub.all_in_one.demo.chart import Point
from thinghub.all_in_one.demo.table import TABLE, Row

WIDTH = 88
NARROW = 60
NAME = 12
INDENT = 10
CHART_HEIGHT = 3
SPARKS = 24

WORDS = {
    "temperature": "{:.1f} °C",
    "humidity": "{:.0f} %",
    "moisture": "soil {:.0f} %",
    "light": "{:.0f} lx",
}


class Screen(Console):
    """A console whose reader may leave: what is printed is then lost, and nothing else happens."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        if self.file is sys.stdout:  # what is left in its buffer must not fail at the end
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())


class View:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Screen(highlight=False, soft_wrap=True)
        self._terminal = self._console.is_terminal

    @property
    def _width(self) -> int:
        return min(WIDTH, self._console.width) if self._terminal else WIDTH

    @property
    def _narrow(self) -> bool:
        return self._width < NARROW

    def introduction(self, home: house.House, rows: int, metrics: str) -> None:
        sensors = ", ".join(sensor.device_name for sensor in home.sensors)
        alone = f"{home.socket.device_name}, {home.speaker.device_name}"
        sql = f'SELECT {house.SELECT} FROM "/{home.sensors[0].product_key}/{house.SHORT_TOPIC}"'
        self._print(Text())
        self._print(self._labelled("devices", f"{home.greenhouse.device_name} with {sensors}; {alone}", "cyan"))
        self._print(self._labelled("rule", sql, "magenta"))
        self._print(self._labelled("table", f"{TABLE}, {rows} rows so far" if rows else f"{TABLE}, empty", "green"))
        self._print(self._labelled("metrics", metrics, ""))
        self._print(Text("Ctrl-C stops; the data stays.", style="dim"))
        self._print(Text())

    def logged_in(self, gateway: str, names: str, milliseconds: float) -> None:
        self._line(
            self._now(), ("● ", "green"), self._name(gateway, "green"), (f"logged in {names}", ""),
            milliseconds=milliseconds,
        )  # fmt: skip

    def up(self, name: str, values: Mapping[str, float], gateway: str) -> None:
        self._line(
            self._now(), ("▲ ", "bold cyan"), self._name(name, "cyan"), (_words(values), "bold"),
            (f"  by {gateway}", "dim"),
        )  # fmt: skip

    def on_the_bus(self, name: str, milliseconds: float) -> None:
        self._line(*self._below("├", name, "cyan"), ("gateway, bus", "dim"), milliseconds=milliseconds)

    def replied(self, name: str, milliseconds: float, last: bool) -> None:
        words = ("shadow: checked, stored, replied", "")
        self._line(*self._below("└" if last else "├", name, "cyan"), words, milliseconds=milliseconds)

    def row(self, row: Row, milliseconds: float, last: bool) -> None:
        self._line(
            *self._below("└" if last else "├", row.device, "cyan"),
            ("rule ", "dim"),
            (house.RULE, "magenta"),
            (" wrote ", "dim"),
            (f"row …{row.message_id % 10_000:04}: ", "green"),
            (_words(row.values), "green"),
            milliseconds=milliseconds,
        )

    def row_is_late(self, name: str, seconds: float) -> None:
        self._line(*self._below("└", name, "cyan"), (f"no row yet after {seconds:.0f} s", "bold yellow"))

    def down(self, name: str, action: str, words: str) -> None:
        self._line(
            self._now(), ("▼ ", "bold yellow"), self._name(name, "yellow"), (f"{action}  ", "dim"), (words, "bold")
        )

    def hop(self, name: str, words: str, milliseconds: float) -> None:
        self._line(*self._below("├", name, "yellow"), (words, ""), milliseconds=milliseconds)

    def announced(self, name: str, said: str, milliseconds: float) -> None:
        self._line(*self._below("├", name, "yellow"), ("♪ ", "bold"), (said, "bold"), milliseconds=milliseconds)

    def done(self, name: str, words: str, milliseconds: float) -> None:
        self._line(*self._below("└", name, "yellow"), (words, "yellow"), milliseconds=milliseconds)

    def chart(self, name: str, what: str, points: Sequence[Point], span: float, milliseconds: float) -> None:
        """`points` are (epoch seconds, value) of the last `span` seconds, oldest first."""
        values = [value for _, value in points]
        low, high = f"{min(values):.1f}", f"{max(values):.1f}"
        start = (self._now(), ("~ ", "bold blue"), self._name(name, "blue"))
        if not self._terminal or self._narrow:
            room = SPARKS if not self._narrow else 8
            curve = f"{low} {chart.sparkline(values, room)} {high} {what}, QueryDevicePropertyData"
            self._line(*start, (curve, ""), milliseconds=milliseconds)
            return
        now = time.time()
        span = min(span, now - points[0][0] + 1)
        about = f"{what}, last {span / 60:.0f} min" if span >= 120 else f"{what}, last {span:.0f} s"
        self._line(*start, (f"{about}, QueryDevicePropertyData", ""), milliseconds=milliseconds)
        room = self._width - INDENT - 2 - NAME
        for number, line in enumerate(chart.braille(points, now - span, now, room, CHART_HEIGHT)):
            label = {0: high, CHART_HEIGHT - 1: low}.get(number, "")
            self._line((f"{label:>{INDENT + NAME}}  ", "dim"), (line, "blue"))

    def connection(self, name: str, connected: bool) -> None:
        self._presence(name, connected, "connected" if connected else "disconnected")

    def session(self, name: str, logged_in: bool) -> None:
        """Of a sensor, on the gateway's connection."""
        self._presence(name, logged_in, "logged in" if logged_in else "logged out")

    def trouble(self, sentence: str) -> None:
        self._line(self._now(), ("! ", "bold red"), (" ".join(sentence.split()), "yellow"))

    def _presence(self, name: str, here: bool, words: str) -> None:
        sign, style = ("● ", "green") if here else ("○ ", "red")
        self._line(self._now(), (sign, style), self._name(name, style), (words, ""))

    def _line(self, *parts: tuple[str, str], milliseconds: float | None = None) -> None:
        line = Text.assemble(*parts)
        timing = "" if milliseconds is None else _timing(milliseconds)
        if self._terminal:
            line.truncate(max(self._width - (len(timing) + 1 if timing else 0), 1), overflow="ellipsis")
        if milliseconds is not None:
            gap = max(1, self._width - line.cell_len - len(timing))
            line.append(" " * gap + timing, "bold green" if milliseconds < 100 else "bold yellow")
        self._print(line)

    def _print(self, line: Text) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._console.print(line)

    def _now(self) -> tuple[str, str]:
        return f"{datetime.now().astimezone():%H:%M:%S}" + ("  " if not self._narrow else " "), "dim"

    def _below(self, corner: str, name: str, style: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (" " * (INDENT - (1 if self._narrow else 0)) + corner + " ", "dim"), self._name(name, style)

    def _name(self, name: str, style: str) -> tuple[str, str]:
        return f"{name} " if self._narrow else f"{name:{NAME}}", style

    def _labelled(self, label: str, text: str, style: str) -> Text:
        room = max(self._width - INDENT, INDENT)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        indented = f"\n{' ' * INDENT}".join(lines)
        return Text.assemble((f"{label:{INDENT}}", "dim"), (indented, style))


def _timing(milliseconds: float) -> str:
    if milliseconds >= 10_000:
        return f"{milliseconds / 1000:.0f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _words(values: Mapping[str, float]) -> str:
    return "  ".join(WORDS[name].format(value) for name, value in values.items())
