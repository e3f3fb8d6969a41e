"""One spelling for each address, and a clear line for what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import ConfigError
from deid.net.addresses import Address, advertised_address, parse_address, parse_listen


@pytest.mark.parametrize(
    ("text", "host", "port", "canonical"),
    [
        ("tcp://127.0.0.1:7701", "127.0.0.1", 7701, "tcp://127.0.0.1:7701"),
        ("tcp://[::1]:7701", "::1", 7701, "tcp://[::1]:7701"),
        ("tcp://[0:0:0:0:0:0:0:1]:80", "::1", 80, "tcp://[::1]:80"),
        ("tcp://[2001:DB8::A]:65535", "2001:db8::a", 65535, "tcp://[2001:db8::a]:65535"),
        ("tcp://[fe80::1%eth0]:1", "fe80::1%eth0", 1, "tcp://[fe80::1%eth0]:1"),
        ("tcp://[::ffff:10.0.0.1]:9", "10.0.0.1", 9, "tcp://10.0.0.1:9"),
        ("tcp://Node-1.Example.ORG.:7", "node-1.example.org", 7, "tcp://node-1.example.org:7"),
        ("tcp://localhost:00080", "localhost", 80, "tcp://localhost:80"),
        ("tcp://*:5", "0.0.0.0", 5, "tcp://0.0.0.0:5"),
    ],
)
def test_an_address_has_one_spelling(text: str, host: str, port: int, canonical: str) -> None:
    address = parse_address(text, "net.seeds[0]")

    assert address == Address(host, port)
    assert str(address) == canonical
    assert parse_address(canonical, "net.seeds[0]") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:7701",
        "udp://127.0.0.1:7701",
        "ipc:///tmp/socket",
        "tcp://",
        "tcp://:7701",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:١٢",  # digits, but not of ASCII
        "tcp://127.0.0.1:7701\n",
        "tcp://127.0.0.1:7701/path",
        "tcp://127.1:7701",
        "tcp://10.0.0.300:7701",
        "tcp://::1:7701",
        "tcp://[::1:7701",
        "tcp://[127.0.0.1]:7701",
        "tcp://[nonsense]:7701",
        "tcp://under_score.example:7701",
        "tcp://-dash.example:7701",
        "tcp://two..dots:7701",
        "tcp://user@example.org:7701",
        "tcp://127.0.0.1;127.0.0.2:7701",
        "tcp://" + "a" * 64 + ".example:7701",
        "tcp://" + "abc." * 80 + "example:7701",
    ],
)
def test_what_is_no_address_is_refused_with_the_name_of_its_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^net\.seeds\[3\]: expected .*, got '"):
        parse_address(text, "net.seeds[3]")


@given(st.text(max_size=400))
def test_any_text_is_an_address_or_a_configuration_error(text: str) -> None:
    try:
        address = parse_address("tcp://" + text, "key")
    except ConfigError as error:
        assert len(str(error)) < 600
    else:
        assert parse_address(str(address), "key") == address


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_numeric_address_survives_its_own_spelling(ip: object, port: int) -> None:
    host = f"[{ip}]" if ":" in str(ip) else str(ip)
    address = parse_address(f"tcp://{host}:{port}", "key")

    assert address.ip is not None
    assert parse_address(str(address), "key") == address


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.0.3", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("localhost", True),
        ("alpha.localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.1", False),
        ("[fe80::1]", False),
        ("[::2]", False),
        ("notlocalhost", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_what_never_leaves_the_machine(host: str, loopback: bool) -> None:
    assert parse_address(f"tcp://{host}:7701", "key").is_loopback is loopback


def test_a_node_listens_on_numbers_and_not_on_names() -> None:
    with pytest.raises(ConfigError, match=r"net\.listen: expected a numeric address"):
        parse_listen("tcp://localhost:7701")
    assert parse_listen("tcp://127.0.0.1:0") == Address("127.0.0.1", 0)


def test_a_node_advertises_where_it_listens_unless_told_otherwise() -> None:
    bound = Address("127.0.0.1", 7701)

    assert advertised_address(bound, None) == bound
    assert advertised_address(bound, "tcp://localhost:7000") == Address("localhost", 7000)
    assert advertised_address(bound, "tcp://localhost:0") == Address("localhost", 7701)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_wildcard_needs_an_advertised_address(host: str) -> None:
    bound = Address(host, 7701)

    with pytest.raises(ConfigError, match=r"net\.advertise: missing") as caught:
        advertised_address(bound, None)
    assert "set [net] advertise" in str(caught.value)
    with pytest.raises(ConfigError, match="no wildcard"):
        advertised_address(bound, "tcp://0.0.0.0:7701")
    assert advertised_address(bound, "tcp://10.0.0.1:0") == Address("10.0.0.1", 7701)
