"""Addresses of the collective: ``tcp://host:port``, one spelling for each, checked when read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from deid.errors import ConfigError

SCHEME = "tcp://"
PORT_MAX = 65_535
ADDRESS_CHARS_MAX = 300  # the longest name (253) with scheme and port; peers send addresses too

_NAME_CHARS_MAX = 253  # RFC 1035 §2.3.4
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")  # RFC 1123 §2.1
_PORT = re.compile(r"[0-9]{1,5}\Z")
_LOCALHOST = "localhost"  # RFC 6761 §6.3: it and all below it are loopback


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node listens or is dialled.

    host: an IPv4 or IPv6 address in canonical form and without brackets, or a lower-case name.
    port: 0 only where a system-chosen port makes sense (``listen``).
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}{host}:{self.port}"

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The numeric address; None for a name."""
        return _ip(self.host)

    @property
    def is_ipv6(self) -> bool:
        """True for a numeric IPv6 address."""
        return ":" in self.host

    @property
    def is_wildcard(self) -> bool:
        """True where it means every interface: fit to listen on, never to dial."""
        ip = self.ip
        return ip is not None and ip.is_unspecified

    @property
    def is_loopback(self) -> bool:
        """True when no packet can leave the machine; a name counts only by RFC 6761."""
        ip = self.ip
        if ip is not None:
            return ip.is_loopback
        return self.host == _LOCALHOST or self.host.endswith("." + _LOCALHOST)


def parse_address(text: str, key: str, *, port_zero: bool = False) -> Address:
    """The address that ``text`` spells.

    ``key`` names the setting in the error (``net.listen``, ``net.seeds[1]``). Raises
    :class:`ConfigError`. ``port_zero`` allows port 0.
    """
    if len(text) > ADDRESS_CHARS_MAX:
        raise _bad(key, text[:40] + "…", f"at most {ADDRESS_CHARS_MAX} characters")
    if not text.startswith(SCHEME):
        raise _bad(key, text, "tcp://HOST:PORT")
    host_text, colon, port_text = text[len(SCHEME) :].rpartition(":")
    if not colon or not _PORT.match(port_text):
        raise _bad(key, text, "tcp://HOST:PORT with a decimal port")
    port = int(port_text)
    if port > PORT_MAX or (port == 0 and not port_zero):
        raise _bad(key, text, f"a port from {0 if port_zero else 1} to {PORT_MAX}")
    return Address(_host(host_text, key, text), port)


def parse_listen(text: str) -> Address:
    """The address that ``[net] listen`` spells: numeric, port 0 allowed.

    Raises :class:`ConfigError`, for a name too: which interface it means could change unseen.
    """
    address = parse_address(text, "net.listen", port_zero=True)
    if address.ip is None:
        raise _bad("net.listen", text, "a numeric address of this machine, such as 127.0.0.1")
    return address


def advertised_address(listen: Address, advertise: str | None) -> Address:
    """The address that peers are told: ``[net] advertise``, or where the node listens.

    ``listen`` is the bound address. Port 0 in ``advertise`` stands for the bound port. Raises
    :class:`ConfigError` where peers could not dial the result.
    """
    if advertise is None:
        if listen.is_wildcard:
            raise ConfigError(
                f"net.advertise: missing, and {listen} names no host that peers could dial",
                hint='set [net] advertise = "tcp://HOST:PORT" to what peers reach this node by',
            )
        return listen
    address = parse_address(advertise, "net.advertise", port_zero=True)
    if address.is_wildcard:
        raise _bad("net.advertise", advertise, "one host that peers can dial, no wildcard")
    return address if address.port else Address(address.host, listen.port)


def _host(host: str, key: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        ip = _ip(host[1:-1])
        if not isinstance(ip, IPv6Address):
            raise _bad(key, text, "an IPv6 address between the brackets")
        return str(ip.ipv4_mapped or ip)
    if ":" in host:
        raise _bad(key, text, "brackets around an IPv6 address: tcp://[::1]:7701")
    if host == "*":
        return "0.0.0.0"  # ZeroMQ's spelling of the IPv4 wildcard
    ip = _ip(host)
    if ip is not None:
        return str(ip)
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    numeric = labels[-1].isdigit()  # "127.1" and "10.0.0.300" are no names
    if len(name) > _NAME_CHARS_MAX or numeric or not all(_LABEL.match(part) for part in labels):
        raise _bad(key, text, "a host name, an IPv4 address or a bracketed IPv6 address")
    return name


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _bad(key: str, text: str, expected: str) -> ConfigError:
    return ConfigError(f"{key}: expected {expected}, got {text!r}")
