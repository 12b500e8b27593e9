"""Refusals in the log: one line a second, however many there were.

An operator at night sees what is refused, how often, and by the examples whom to ask; a storm of refused devices costs
one line a second. What a device calls itself is its own choice, so examples are shortened and printable.
"""

import asyncio
import logging
from collections import Counter
from typing import Never

EXAMPLES = 3
LONGEST = 80
PAUSE_SECONDS = 1.0

log = logging.getLogger("thinghub.connection_gateway.refusals")


class Refusals:
    """Bounded: reasons are ours, and few."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def note(self, what: str, reason: str, who: str, source: str) -> None:
        """`what` is `connect` or `login`; `who` names the device as it names itself, `source` its address."""
        key = f"{what} {reason}"
        self._counts[key] += 1
        examples = self._examples.setdefault(key, [])
        example = f"{_printable(who)} from {source}"
        if len(examples) < EXAMPLES and example not in examples:
            examples.append(example)

    async def run(self) -> Never:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            self.report()

    def report(self) -> None:
        """Says what was refused since the last time, and forgets it."""
        if not self._counts:
            return
        counts, examples = dict(self._counts.most_common()), self._examples
        self._counts, self._examples = Counter(), {}
        text = "; ".join(f"{reason} {many} ({', '.join(examples[reason])})" for reason, many in counts.items())
        # no reason as a name: the log hides what stands under a name like bad_signature
        told = [{"reason": reason, "count": many} for reason, many in counts.items()]
        log.warning("refused: %s", text, extra={"refused": told})


def _printable(text: str) -> str:
    shown = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return shown if shown.isprintable() else repr(shown)
