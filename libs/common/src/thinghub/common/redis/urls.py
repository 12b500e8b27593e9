"""Redis URLs."""

import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

Shape = Literal["single", "sentinel", "cluster"]

_SHAPES: dict[str, tuple[Shape, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
PORTS: dict[Shape, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Server:
    """A place to connect to: a host and port, or the path of a unix socket in `host` with port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


@dataclass(frozen=True, slots=True)
class Login:
    """What every new connection says first."""

    username: str = ""
    password: str = ""
    db: int = 0
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Login(db={self.db})"


@dataclass(frozen=True, slots=True)
class Address:
    shape: Shape
    servers: tuple[Server, ...]
    name: str  # of the master, for Sentinel
    login: Login
    prefix: str


def parse_url(url: str) -> Address:
    """Raises ValueError, whose message does not hold the password."""
    parts = urlsplit(url)
    if parts.scheme not in _SHAPES:
        raise ValueError(f"not a Redis URL: {parts.scheme}://; known: {', '.join(_SHAPES)}")
    shape, tls = _SHAPES[parts.scheme]
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    path = parts.path.strip("/")
    unix = parts.scheme.endswith("unix")
    db = query.get("db", "" if shape == "sentinel" or unix else path) or "0"
    if not db.isdigit():
        raise ValueError(f"not a database number in the Redis URL: {db!r}")
    if shape == "sentinel" and not path:
        raise ValueError("redis+sentinel:// needs the master's name as path: redis+sentinel://host:26379/mymaster")
    if shape == "cluster" and int(db):
        raise ValueError("a Redis Cluster has database 0 only")
    servers = (Server(unquote(parts.path), 0),) if unix else tuple(_server(host, shape) for host in hosts.split(","))
    login = Login(unquote(username), unquote(password), int(db), ssl.create_default_context() if tls else None)
    return Address(shape, servers, path if shape == "sentinel" else "", login, query.get("prefix", ""))


def _server(text: str, shape: Shape) -> Server:
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon:  # [::1] or a bare host
        host, port = text, str(PORTS[shape])
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"not a port in the Redis URL: {port!r}")
    return Server(host.strip("[]") or "127.0.0.1", int(port))
