"""`thinghub up`: the platform in one process on embedded parts, and its demo."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from thinghub.all_in_one import endpoints, targets
from thinghub.all_in_one.demo.main import Demo
from thinghub.all_in_one.embedded import places
from thinghub.all_in_one.errors import CannotRun
from thinghub.all_in_one.options import Options, parse, with_free_ports
from thinghub.all_in_one.platform import Platform
from thinghub.common.runtime import Process
from thinghub.common.settings import ServiceSettings, SettingsError, load

EXIT_FAILED = 1
SHUTDOWN_SECONDS = 40.0  # above what the children together may take


def up_command(arguments: Sequence[str]) -> int:
    """run the platform here, in one process on embedded parts, with a demo"""
    options = parse(arguments, targets.NAMES)
    try:
        with places.locked(options.data_dir):
            return _up(with_free_ports(options))
    except (CannotRun, SettingsError) as error:
        print(f"thinghub: {error}", file=sys.stderr)
        return EXIT_FAILED


def _up(options: Options) -> int:
    prepared = places.prepare(options.data_dir)
    endpoints.remove(prepared)
    settings = load(
        ServiceSettings,
        metrics_host=options.host,
        metrics_port=options.metrics_port,
        shutdown_seconds=SHUTDOWN_SECONDS,
    )
    log_file = prepared.logs / "thinghub.log"
    refusal: list[CannotRun] = []

    async def main() -> None:
        platform = Platform(process, options, prepared, targets.with_needs(options.targets))
        try:
            await platform.run(_say, Demo(prepared).run if options.demo else None)
        except* CannotRun as group:
            refusal.extend(error for error in group.exceptions if isinstance(error, CannotRun))

    process = Process("all-in-one", settings)
    with _logs_to(log_file) if options.demo else contextlib.nullcontext():
        code = process.run(main)
    if refusal:
        raise refusal[0]
    if options.demo:
        ending = "Stopped." if code == 0 else "A service failed."
        _say(f"{ending} The data stays in {options.data_dir}, the log is {log_file}.")
    return code


@contextlib.contextmanager
def _logs_to(file: Path) -> Iterator[None]:
    """The demo has the terminal for itself; what would be logged there goes to a file."""
    with file.open("w", buffering=1) as stream, contextlib.redirect_stderr(stream):
        yield


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more
        print(sentence, flush=True)
