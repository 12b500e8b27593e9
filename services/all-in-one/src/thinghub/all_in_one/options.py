"""The options of `thinghub up`, as typed and as resolved: every port a number, every target known."""

import argparse
import errno
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thinghub.all_in_one.errors import CannotRun

# Below the range from which systems take the local port of outgoing connections.
EPHEMERAL = range(20000, 32000)
ATTEMPTS = 200


@dataclass(frozen=True)
class Options:
    data_dir: Path
    host: str
    mqtt_port: int
    mqtts_port: int
    api_port: int
    ota_port: int
    metrics_port: int
    demo: bool
    targets: tuple[str, ...]


def parser(known_targets: Sequence[str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="thinghub up",
        description="Runs the platform in one process on embedded parts, with a small demo, until Ctrl-C.",
        epilog=f"targets: {', '.join(known_targets)}; what a target needs is started with it",
    )
    made.add_argument("--data-dir", type=Path, default=Path("data"), help="everything that is kept (default: ./data)")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    made.add_argument("--mqtt-port", type=_port, default=1883, help="MQTT, plain and TLS (default: %(default)s)")
    made.add_argument("--mqtts-port", type=_port, default=8883, help="MQTT over TLS only (default: %(default)s)")
    made.add_argument("--api-port", type=_port, default=8080, help="HTTP and HTTPS (default: %(default)s)")
    made.add_argument("--ota-port", type=_port, default=8081, help="packages, HTTP and HTTPS (default: %(default)s)")
    made.add_argument("--metrics-port", type=_port, default=9464, help="metrics and health (default: %(default)s)")
    made.add_argument("--no-demo", dest="demo", action="store_false", help="the platform alone, logs on stderr")
    made.add_argument(
        "--target",
        action="append",
        choices=known_targets,
        metavar="TARGET",
        help="only this one and what it needs (repeatable)",
    )
    return made


def parse(arguments: Sequence[str], known_targets: Sequence[str]) -> Options:
    """Exits with 2 and a usage line on a wrong option, as argparse does."""
    given = parser(known_targets).parse_args(arguments)
    return Options(
        data_dir=given.data_dir.expanduser().absolute(),
        host=given.host,
        mqtt_port=given.mqtt_port,
        mqtts_port=given.mqtts_port,
        api_port=given.api_port,
        ota_port=given.ota_port,
        metrics_port=given.metrics_port,
        demo=given.demo and not given.target,
        targets=tuple(given.target or known_targets),
    )


def with_free_ports(options: Options) -> Options:
    """Port 0 becomes a free one; a port that is taken raises CannotRun, naming it and its option."""
    taken: set[int] = set()
    chosen: dict[str, int] = {}
    for name in ("mqtt_port", "mqtts_port", "api_port", "ota_port", "metrics_port"):
        wanted: int = getattr(options, name)
        chosen[name] = wanted or _free(options.host, taken)
        _check(options.host, chosen[name], name, taken)
        taken.add(chosen[name])
    return replace(options, **chosen)  # type: ignore[arg-type]  # the four names above are all int


def _check(host: str, port: int, name: str, taken: set[int]) -> None:
    option = "--" + name.replace("_", "-")
    if port in taken:
        raise CannotRun(f"Port {port} is given twice: choose another with {option}.")
    try:
        _bind(host, port)
    except PermissionError:
        raise CannotRun(f"Port {port} needs privileges: choose one above 1023 with {option}.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotRun(
                f"Port {port} is already taken: choose another with {option} (0 takes any free one)."
            ) from None
        raise CannotRun(f"Cannot listen on {host}: {error.strerror or error}; choose another with --host.") from None


def _free(host: str, taken: set[int]) -> int:
    for _ in range(ATTEMPTS):
        port = random.choice(EPHEMERAL)
        try:
            if port not in taken:
                _bind(host, port)
                return port
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
    raise CannotRun(f"No free port was found on {host}.")


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port (0 to 65535)")
    return port
