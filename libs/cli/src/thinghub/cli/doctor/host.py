"""The checks of the host this runs on: limits, files, keys, certificates, and that the environment is right."""

import asyncio
import resource
import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from pydantic import SecretStr

from thinghub.cli.doctor.deployment import Deployment
from thinghub.cli.doctor.findings import Opinion, ok, refuse, warn

OTHER_FILES = 1000  # what a gateway holds beside its connections
CONNTRACK = Path("/proc/sys/net/netfilter/nf_conntrack_max")
CONNTRACK_NOW = Path("/proc/sys/net/netfilter/nf_conntrack_count")
CONNTRACK_FULL = 0.8
DAYS_WARN, DAYS_REFUSE = 30, 7


@dataclass(frozen=True, slots=True)
class Certificate:
    """`problem` says why the files cannot be used, or is empty."""

    file: str
    used_by: tuple[str, ...]
    begins: datetime | None = None
    ends: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HostState:
    """`conntrack` is the kernel's bound and what is in use, or None where connections are not tracked."""

    open_files: int
    conntrack: tuple[int, int] | None
    certificates: tuple[Certificate, ...]
    now: datetime


async def ask(deployment: Deployment, deadline: float) -> HostState:
    """Files may lie on a network: they are read beside the loop, with a deadline."""
    async with asyncio.timeout(deadline):
        return await asyncio.to_thread(_state, deployment)


def environment(state: HostState, deployment: Deployment) -> Opinion:
    wrong = [f"{service.name}: {service.wrong}" for service in deployment.services if service.wrong]
    if wrong:
        return refuse("; ".join(wrong))
    if not deployment.services:
        return warn("no service is installed beside this command: install it where the services are.")
    return ok(f"the settings of {len(deployment.services)} services can be read.")


def open_files(state: HostState, deployment: Deployment) -> Opinion:
    wanted = deployment.setting("connection-gateway", "max_connections")
    if not isinstance(wanted, int):
        return ok(f"{state.open_files} may be open; no connection-gateway is set up here.")
    if state.open_files < wanted + OTHER_FILES:
        return refuse(
            f"{state.open_files} may be open and {wanted} connections with what is beside them need "
            f"{wanted + OTHER_FILES}: raise it (ulimit -n, LimitNOFILE=), or lower "
            "THINGHUB_CONNECTION_GATEWAY_MAX_CONNECTIONS."
        )
    return ok(f"{state.open_files} may be open, enough for {wanted} connections.")


def conntrack(state: HostState, deployment: Deployment) -> Opinion:
    if state.conntrack is None:
        return ok("connections are not tracked here.")
    most, used = state.conntrack
    wanted = deployment.setting("connection-gateway", "max_connections")
    if isinstance(wanted, int) and most < wanted + OTHER_FILES:
        return warn(
            f"the kernel tracks {most} connections and {wanted} devices may come: raise net.netfilter.nf_conntrack_max."
        )
    if used > most * CONNTRACK_FULL:
        return warn(f"{used} of {most} tracked connections are used: raise net.netfilter.nf_conntrack_max.")
    return ok(f"{used} of {most} tracked connections are used.")


def master_key(state: HostState, deployment: Deployment) -> Opinion:
    file, inline = deployment.setting("auth", "master_key_file"), deployment.setting("auth", "master_key")
    if file is None:
        auth = next((service for service in deployment.services if service.name == "auth"), None)
        return refuse("auth's environment is wrong, see above.") if auth else ok("auth is not installed here.")
    if not file:
        given = isinstance(inline, SecretStr) and inline.get_secret_value()
        return (
            warn("it is given as a variable, which other processes of the user can read: use a file.")
            if given
            else (refuse("there is none: set THINGHUB_AUTH_MASTER_KEY_FILE."))
        )
    try:
        mode, size = Path(str(file)).stat().st_mode, Path(str(file)).stat().st_size
    except OSError as error:
        return refuse(f"{file} cannot be read ({error.strerror}): without it no stored secret can be opened.")
    if not size:
        return refuse(f"{file} is empty: restore it, without it no stored secret can be opened.")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warn(f"{file} can be read by others: chmod 600.")
    return ok("its file is there, and for its owner only.")


def certificates(state: HostState, deployment: Deployment) -> Opinion:
    if not state.certificates:
        return ok("none is configured: TLS ends before the platform, or nowhere.")
    opinions = [_certificate(one, state.now) for one in state.certificates]
    return max(opinions, key=lambda opinion: opinion.verdict.exit_code)


def _certificate(one: Certificate, now: datetime) -> Opinion:
    who = f"{one.file} ({', '.join(one.used_by)})"
    if one.problem or one.begins is None or one.ends is None:
        return refuse(f"{who} cannot be used: {one.problem}")
    days = (one.ends - now) / timedelta(days=1)
    if now < one.begins:
        return refuse(f"{who} holds from {one.begins:%Y-%m-%d} on: use one that holds now.")
    if days <= 0:
        return refuse(f"{who} ended on {one.ends:%Y-%m-%d}: renew it, devices are refusing it.")
    if days < DAYS_REFUSE:
        return refuse(f"{who} ends in {days:.0f} days: renew it now.")
    if days < DAYS_WARN:
        return warn(f"{who} ends in {days:.0f} days: renew it.")
    return ok(f"{who} holds for {days:.0f} days.")


def _state(deployment: Deployment) -> HostState:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    return HostState(1 << 30 if unlimited else soft, _conntrack(), tuple(_certificates(deployment)), datetime.now(UTC))


def _conntrack() -> tuple[int, int] | None:
    try:
        return int(CONNTRACK.read_text()), int(CONNTRACK_NOW.read_text())
    except (OSError, ValueError):
        return None


def _certificates(deployment: Deployment) -> list[Certificate]:
    users: dict[tuple[str, str], list[str]] = {}
    for service in deployment.services:
        chain, key = (str(getattr(service.settings, name, "") or "") for name in ("tls_cert_file", "tls_key_file"))
        if chain:
            users.setdefault((chain, key), []).append(service.name)
    return [_read(chain, key, tuple(names)) for (chain, key), names in users.items()]


def _read(chain: str, key: str, used_by: tuple[str, ...]) -> Certificate:
    """The one of the chain that ends first decides."""
    try:
        found = x509.load_pem_x509_certificates(Path(chain).read_bytes())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=lambda: "")
    except ssl.SSLError as error:
        return Certificate(chain, used_by, problem=f"its key does not fit ({error.reason or 'it cannot be read'}).")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not PEM"
        return Certificate(chain, used_by, problem=f"{why}.")
    begins = max(one.not_valid_before_utc for one in found)
    return Certificate(chain, used_by, begins, min(one.not_valid_after_utc for one in found))
