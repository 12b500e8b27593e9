"""Where an HTTP function is: a URL in its parts, and which addresses may be connected to.

Names say nothing about where they lead (`localtest.me`, `2130706433`, a name that answers differently the second
time), so it is the address about to be connected to that is judged, never the text of the host.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

# Of this host, of this link, of nobody, of everybody, and where clouds keep what machines may know of themselves.
# Private networks are left out on purpose: the functions of a self-hosted platform live there.
_REFUSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # of Azure
        "192.0.0.192/32",  # of Oracle Cloud
        "::/128",
        "::1/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # of AWS
        "fd20:ce::254/128",  # of Google Cloud
        "fd00:c1::a9fe:a9fe/128",  # of Oracle Cloud
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Url:
    """`authority` is the Host header, `target` what stands in the request line; `host` has no brackets."""

    text: str
    secure: bool
    host: str
    port: int
    authority: str
    target: str


def parse_url(text: str) -> Url:
    """Raises ValueError saying what is wrong."""
    if not text.isascii() or any(char <= " " or char in '\x7f\\"<>^`{|}' for char in text):
        raise ValueError("is not a URL: it has a character that must be percent-encoded")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http:// or https:// URL")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("has a user, a password or a fragment: authenticate with hmac_ref")
    if port == 0 or "%" in parts.hostname:
        raise ValueError("has no usable host and port")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(text, secure, parts.hostname, port or (443 if secure else 80), parts.netloc, target)


def may_connect(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address, as a name was resolved to, may be connected to; `allowed` networks are an operator's."""
    try:
        found = ip_address(address)
    except ValueError:
        return False  # a scoped address belongs to a link
    return all(_permitted(one, allowed) for one in (found, *_embedded(found)))


def _permitted(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed) or not any(address in network for network in _REFUSED)


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # and the IPv4-compatible ones
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
