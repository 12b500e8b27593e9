"""URLs of functions, and which addresses they may lead to."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.rule_engine.domain.urls import Url, may_connect, parse_url


def test_a_url_in_its_parts() -> None:
    text = "https://fn.example:8443/a%20b?x=1"
    assert parse_url(text) == Url(text, True, "fn.example", 8443, "fn.example:8443", "/a%20b?x=1")
    assert parse_url("http://[2001:db8::1]?q").host == "2001:db8::1"
    assert (parse_url("http://h").port, parse_url("https://h").port, parse_url("http://h").target) == (80, 443, "/")


@pytest.mark.parametrize(
    "text",
    [
        "", "/path", "ftp://h/", "file:///etc/passwd", "http://", "http://:80/", "http://h:0/", "http://h:70000/",
        "http://u:p@h/", "http://u@h/", "http://h/#f", "http://h/a b", "http://h/\n", "http://h\r\nX: y/", "http://h/\0",
        "http://h/é", "http://h\\@x/", "http://[::1", "http://[fe80::1%25eth0]/", "gopher://h/", "//h/",
    ],
)  # fmt: skip
def test_what_is_no_usable_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|has)"):
        parse_url(text)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.9", "0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "fd20:ce::254", "not an address", "",
    ],
)  # fmt: skip
def test_addresses_of_this_host_this_link_and_of_metadata_are_refused(address: str) -> None:
    assert not may_connect(address, ())


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "172.16.5.4", "8.8.8.8", "fd12::1", "2001:4860::1"])
def test_public_and_private_addresses_are_permitted(address: str) -> None:
    assert may_connect(address, ())


def test_an_operator_allows_networks() -> None:
    allowed = [ip_network("127.0.0.0/30"), ip_network("::1/128")]
    assert may_connect("127.0.0.1", allowed)
    assert may_connect("::1", allowed)
    assert may_connect("::ffff:127.0.0.1", allowed)  # the same place
    assert not may_connect("127.0.0.9", allowed)


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_within_ipv6(address: object) -> None:
    assert may_connect(f"::ffff:{address}", ()) == may_connect(str(address), ())


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_a_value_error(text: str) -> None:
    for url in (text, f"http://{text}", f"http://h/{text}"):
        try:
            parsed = parse_url(url)
        except ValueError:
            continue
        assert parsed.host
        assert parsed.target.isprintable()
        assert " " not in parsed.target + parsed.authority
