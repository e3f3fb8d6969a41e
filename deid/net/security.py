"""What protects a link: the seam between the transport and its keys.

This version has one kind, plain: no encryption and no admission, so it never leaves the machine.
"""

from __future__ import annotations

from typing import Protocol

import zmq

from deid.errors import ConfigError
from deid.net.addresses import Address

PLAIN = "plain"


class LinkSecurity(Protocol):
    """Says where a node may listen and dial, and sets up sockets before they bind or connect."""

    def check(self, address: Address, key: str) -> None:
        """Raise :class:`ConfigError`, naming the setting ``key``, if ``address`` is refused."""
        ...

    def secure_router(self, router: zmq.Socket[bytes]) -> None:
        """Set the options of the socket that listens; once, before it is bound."""
        ...

    def secure_dealer(self, dealer: zmq.Socket[bytes], address: Address) -> None:
        """Set the options of a socket that is about to connect to ``address``."""
        ...


class PlainSecurity:
    """Links without keys, on loopback only."""

    def check(self, address: Address, key: str) -> None:
        """Raise :class:`ConfigError` unless ``address`` is loopback."""
        if not address.is_loopback:
            raise ConfigError(
                f"{key}: plain links stay on this machine, got {address}",
                hint="listen on and dial 127.0.0.1, [::1] or localhost; links to other hosts need"
                " encryption, which arrives with the keys of a later version",
            )

    def secure_router(self, router: zmq.Socket[bytes]) -> None:
        """ZeroMQ's NULL mechanism is the default of a socket."""

    def secure_dealer(self, dealer: zmq.Socket[bytes], address: Address) -> None:
        """ZeroMQ's NULL mechanism is the default of a socket."""


def security_from(name: str) -> LinkSecurity:
    """The kind that ``[net] security`` names; :class:`ConfigError` for any but ``plain``."""
    if name != PLAIN:
        raise ConfigError(
            f"net.security: expected {PLAIN!r}, got {name!r}",
            hint="encryption arrives with the keys of a later version",
        )
    return PlainSecurity()
