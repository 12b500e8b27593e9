"""What the demo shows: an introduction once, then a line for everything that happens, coloured on a terminal.

14:02:07  ▲ kitchen     21.4 °C   48 %
          └ kitchen     rule keep_readings wrote row …1763:  21.4 °C   48 %      9.1 ms
14:02:08  ▼ garage      fan on
          └ garage      received it                                              5.0 ms
"""

from datetime import datetime

from rich.console import Console
from rich.text import Text

from thinghub.all_in_one.demo import house
from thinghub.all_in_one.demo.table import TABLE, Row

WIDTH = 88
NAME = 12
INDENT = 10


class View:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._width = min(WIDTH, self._console.width) if self._console.is_terminal else WIDTH

    def introduction(self, rooms: list[house.Room], rows: int, metrics: str) -> None:
        topic = f"/{rooms[0].product_key}/{house.SHORT_TOPIC}"
        sql = f'SELECT {house.SELECT}\nFROM "{topic}"\nWHERE {house.WHERE}'
        self._console.print()
        self._console.print(self._labelled("devices", ", ".join(room.name for room in rooms), "cyan"))
        self._console.print(self._labelled("rule", sql, "magenta"))
        self._console.print(
            self._labelled("table", f"{TABLE}, {rows} rows so far" if rows else f"{TABLE}, empty", "green")
        )
        self._console.print(self._labelled("metrics", metrics, ""))
        self._console.print(Text("Ctrl-C stops; the data stays.", style="dim"))
        self._console.print()

    def up(self, name: str, temperature: float, humidity: float) -> None:
        self._line(self._now(), ("▲ ", "bold cyan"), _name(name, "cyan"), (_climate(temperature, humidity), "bold"))

    def row(self, row: Row, milliseconds: float) -> None:
        self._line(
            *self._below(row.device, "cyan"),
            ("rule ", "dim"),
            (house.RULE, "magenta"),
            (" wrote ", "dim"),
            (f"row …{row.message_id % 10_000:04}:  ", "green"),
            (_climate(row.temperature, row.humidity), "green"),
            milliseconds=milliseconds,
        )

    def row_is_late(self, name: str, seconds: float) -> None:
        self._line(*self._below(name, "cyan"), (f"no row yet after {seconds:.0f} s", "bold yellow"))

    def command(self, name: str, words: str) -> None:
        self._line(self._now(), ("▼ ", "bold yellow"), _name(name, "yellow"), (words, "bold"))

    def received(self, name: str, milliseconds: float) -> None:
        self._line(*self._below(name, "yellow"), ("received it", "yellow"), milliseconds=milliseconds)

    def connection(self, name: str, connected: bool) -> None:
        words = ("● ", "green", "connected") if connected else ("○ ", "red", "disconnected")
        self._line(self._now(), (words[0], words[1]), _name(name, words[1]), (words[2], ""))

    def trouble(self, sentence: str) -> None:
        self._line(self._now(), ("! ", "bold red"), (sentence, "yellow"))

    def _line(self, *parts: tuple[str, str], milliseconds: float | None = None) -> None:
        line = Text.assemble(*parts)
        if milliseconds is not None:
            timing = _timing(milliseconds)
            gap = max(2, self._width - line.cell_len - len(timing))
            line.append(" " * gap + timing, "bold green" if milliseconds < 100 else "bold yellow")
        self._console.print(line)

    def _now(self) -> tuple[str, str]:
        return f"{datetime.now().astimezone():%H:%M:%S}  ", "dim"

    def _below(self, name: str, style: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (" " * INDENT + "└ ", "dim"), _name(name, style)

    def _labelled(self, label: str, text: str, style: str) -> Text:
        lines = text.split("\n")
        indented = f"\n{' ' * INDENT}".join(lines)
        return Text.assemble((f"{label:{INDENT}}", "dim"), (indented, style))


def _name(name: str, style: str) -> tuple[str, str]:
    return f"{name:{NAME}}", style


def _timing(milliseconds: float) -> str:
    if milliseconds >= 10_000:
        return f"{milliseconds / 1000:.0f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _climate(temperature: float, humidity: float) -> str:
    return f"{temperature:4.1f} °C  {humidity:3.0f} %"
