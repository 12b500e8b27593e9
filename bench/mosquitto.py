"""The peer: Mosquitto's cost of one QoS 1 PUBACK, when the Debian package is there."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.child import free_port

PATHS = "/usr/sbin:/usr/local/sbin"
ABSENT = "Mosquitto is not installed (Debian package `mosquitto`), so this run has no peer."


def binary() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=PATHS)


@contextmanager
def running(command: str) -> Iterator[tuple[int, int]]:
    """Yields (port, pid)."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        settings = ("allow_anonymous true", "persistence false", "log_type error", "max_inflight_messages 0")
        config.write_text("\n".join([f"listener {port} 127.0.0.1", *settings, ""]))
        process = subprocess.Popen([command, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(5)
