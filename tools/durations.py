"""A pytest plugin that writes each test's seconds to a file as the run goes.

A run that is stopped from outside prints no `--durations`; what this left behind names the slowest tests and the one
that was running. `THINGHUB_DURATIONS` names the file; without it the plugin does nothing.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FILE = "THINGHUB_DURATIONS"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    target = os.environ.get(FILE)
    if not target:
        return (yield)
    begin = time.monotonic()
    with Path(target).open("a", buffering=1) as lines:
        lines.write(f"running {item.nodeid}\n")
        try:
            return (yield)
        finally:
            lines.write(f"{time.monotonic() - begin:.2f} {item.nodeid}\n")
