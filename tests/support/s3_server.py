"""A real S3 server for tests: versitygw over a directory, built by Go into a cache outside the checkout.

Its version and the checksums of all it is made of are those of `s3/go.mod` and `s3/go.sum`. The first build takes a
minute or two; `make s3` makes it ahead of the tests, whose time is bounded.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.child import Child, ServerFailed, free_port, port_answers, remove_directory, scratch_directory

MODULE = Path(__file__).parent / "s3"
COMMAND = "github.com/versity/versitygw/cmd/versitygw"
BUCKET = "packages"
KEY_ID, SECRET = "tests", "secret-of-tests"
BUILD_SECONDS = 900
_IMPOSSIBLE = "These tests need the S3 server versitygw: install Go 1.25 or newer, which builds it from public modules."


class S3Server:
    """One bucket. start, stop, kill, pause, resume; port and data stay the same until `close`. With a certificate it
    speaks HTTPS only."""

    def __init__(self, cert: str = "", key: str = "") -> None:
        self._program = versitygw()
        self._tls = ["--cert", cert, "--key", key] if cert else []
        self._home = scratch_directory("s3")
        for name in ("data", "meta"):
            (self._home / name).mkdir()
        (self._home / "data" / BUCKET).mkdir()
        self._child: Child | None = None
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def url(self, prefix: str = "", bucket: str = BUCKET) -> str:
        """As ota's `packages_url`."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}"

    def settings(self, prefix: str = "") -> dict[str, str]:
        """ota's settings for packages below that prefix."""
        return {"packages_url": self.url(prefix), "s3_access_key_id": KEY_ID, "s3_secret_access_key": SECRET}

    def start(self) -> "S3Server":
        store = ["posix", "--sidecar", str(self._home / "meta"), str(self._home / "data")]
        command = [str(self._program), "--quiet", "--port", f"127.0.0.1:{self.port}", *self._tls, *store]
        given = {"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET}
        self._child = Child(command, self._home / "s3.log", {**os.environ, **given})
        self._child.wait_until(lambda: port_answers(self.port), "versitygw")
        return self

    def stop(self) -> None:
        self._running().stop()

    def kill(self) -> None:
        self._running().kill()

    def pause(self) -> None:
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def close(self) -> None:
        """For good: the process ends and the data goes."""
        if self._child is not None:
            self._child.kill()
        remove_directory(self._home)

    def _running(self) -> Child:
        if self._child is None:
            raise ServerFailed("versitygw was never started")
        return self._child


def versitygw() -> Path:
    """The program, built on first use. Raises ServerFailed with one sentence."""
    sums = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thinghub" / f"versitygw-{sums[:12]}"
    program = cache / "versitygw"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(cache / "versitygw.new")
            (cache / "versitygw.new").rename(program)
    return program


def _build(target: Path) -> None:
    if shutil.which("go") is None:
        raise ServerFailed(_IMPOSSIBLE)
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
    command = ["go", "build", "-C", str(MODULE), *flags, "-o", str(target), COMMAND]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServerFailed(f"{_IMPOSSIBLE} (Go took longer than {error.timeout} s)") from error
    if done.returncode:
        raise ServerFailed(f"{_IMPOSSIBLE} (Go said: {done.stderr[-500:].strip()})")


if __name__ == "__main__":
    try:
        versitygw()
    except ServerFailed as failed:
        raise SystemExit(f"s3: {failed}") from None
