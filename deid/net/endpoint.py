"""From the ``[net]`` section to a transport that listens: everything checked, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from deid.errors import ConfigError
from deid.net.addresses import Address, advertised_address, parse_address, parse_listen
from deid.net.profile import NetProfile, profile_named
from deid.net.security import PLAIN, LinkSecurity, security_from
from deid.net.zeromq import ZmqTransport

SEEDS_MAX = 64  # half of the dials of a profile, so that learned peers have places too


@dataclass(frozen=True, slots=True)
class NetSettings:
    """``[net]`` as it was read, in one spelling.

    listen: None for a node that only dials. advertise: None to tell peers the bound address.
    """

    listen: Address | None
    advertise: str | None
    seeds: tuple[Address, ...]
    profile: NetProfile
    security: LinkSecurity


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A transport that listens, and what the core must know of it.

    advertised: what peers may dial; empty where nobody can. seeds: as the core is to name them.
    """

    transport: ZmqTransport
    advertised: str
    seeds: tuple[str, ...]


def net_settings(
    *,
    listen: str | None,
    advertise: str | None = None,
    seeds: Sequence[str] = (),
    profile: str = "lan",
    security: str = PLAIN,
) -> NetSettings:
    """Check the section; opens nothing. Raises :class:`ConfigError` naming the key."""
    kind = security_from(security)
    if len(seeds) > SEEDS_MAX:
        raise ConfigError(f"net.seeds: expected at most {SEEDS_MAX} addresses, got {len(seeds)}")
    parsed = []
    for number, seed in enumerate(seeds):
        key = f"net.seeds[{number}]"
        address = parse_address(seed, key)
        if address.is_wildcard:
            raise ConfigError(f"{key}: expected one host to dial, got the wildcard {seed!r}")
        kind.check(address, key)
        parsed.append(address)
    listening = None
    if listen is not None:
        listening = parse_listen(listen)
        kind.check(listening, "net.listen")
        kind.check(advertised_address(listening, advertise), "net.advertise")
    elif advertise is not None:
        raise ConfigError(
            "net.advertise: expected nothing where net.listen is missing",
            hint="peers dial what is advertised, so this node must listen there",
        )
    unique = tuple(dict.fromkeys(parsed))
    return NetSettings(listening, advertise, unique, profile_named(profile), kind)


def open_endpoint(settings: NetSettings, *, rng: Random | None = None) -> Endpoint:
    """Listen as ``settings`` say; inside a running event loop.

    Raises :class:`ConfigError` if the address is taken or not this machine's; nothing is left
    open then.
    """
    transport = ZmqTransport(settings.profile, settings.security, rng=rng)
    advertised = ""
    if settings.listen is not None:
        try:
            bound = parse_address(transport.bind(str(settings.listen)), "net.listen")
        except ConfigError:
            transport.abandon()
            raise
        advertised = str(advertised_address(bound, settings.advertise))
    return Endpoint(transport, advertised, tuple(str(seed) for seed in settings.seeds))
