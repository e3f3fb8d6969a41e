"""Every number of the network rim, in one place: its unit is in its name, its reason beside it."""

from __future__ import annotations

from dataclasses import dataclass

from deid.errors import ConfigError

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class NetProfile:
    """Times, sizes and bounds of one kind of network; the defaults are those of :data:`LAN`."""

    # A link that says nothing: noticed in at most heartbeat + heartbeat_timeout = 4 s, where TCP
    # alone takes minutes. The peer's I/O thread answers, so a busy interpreter does not look dead.
    heartbeat_ms: int = 1_000
    heartbeat_timeout_ms: int = 3_000

    # An attempt to connect: a dropped SYN must not hold the address for the kernel's two minutes.
    connect_timeout_ms: int = 2_000
    # From the TCP connection to the end of the ZeroMQ handshake, on both sides: a client that
    # connects and says nothing holds a descriptor no longer than this.
    handshake_ms: int = 3_000
    # On top of the two above, after which a dial that reported nothing is started anew. libzmq is
    # silent for ever about a server that answers with something else than ZeroMQ.
    dial_slack_ms: int = 500

    # Back-off between two dials of one address: doubled from min to max, each drawn from the
    # upper half of its range, so that a swarm does not knock in step. The cap is how late a seed
    # may be noticed.
    redial_min_ms: int = 100
    redial_max_ms: int = 2_000

    # Queued towards one peer, and from one peer: what lies beyond is dropped (sending) or left to
    # TCP's flow control (receiving). Repair brings back what was dropped.
    queue_messages_max: int = 256
    # Bytes queued towards one peer: a stopped peer costs this much memory until its heartbeat is
    # missed. At least one largest message.
    send_queue_bytes_max: int = 4 * _MIB
    # A refused send pauses its link so long, and paused links are looked at as often: well below
    # a round, well above the cost of looking.
    congestion_ms: int = 50
    # One message, one frame (docs/protocol.md, Limits): longer ones close their connection.
    message_bytes_max: int = _MIB

    # A learned address that does not answer is dropped after this, until the core asks again; its
    # place in the table is another's. Seeds are kept for ever.
    dial_give_up_ms: int = 10_000
    # Peers dialled at once: the core keeps a partial view beyond 32, seeds come on top.
    dials_max: int = 128
    # Peers that dialled us and are remembered; the longest silent one goes first. Above any
    # overlay's degree, below the usual limit of descriptors.
    inbound_max: int = 1_024
    # ROUTER tells of no disconnection: an identity unheard for so long is forgotten. Far above
    # the core's own ping interval, so that it only collects what the core has given up.
    inbound_idle_ms: int = 60_000

    # Work of one turn of the pump, after which every other task of the loop has its turn.
    # Checking a signature takes about 0.1 ms, so the times bound the loop's lag, and the counts
    # bound what is copied out of the sockets before the time is looked at. Sending has a time of
    # its own, so that a flood of input does not silence the node.
    receive_turn_ms: int = 4
    send_turn_ms: int = 2
    turn_messages_max: int = 64
    turn_bytes_max: int = 2 * _MIB
    # Messages taken from one dialled peer before the next one is served.
    peer_quantum_messages: int = 8

    # A clean close waits so long for what was accepted to leave; a stopped peer cannot hold us.
    linger_ms: int = 1_000

    # Connections that the kernel holds while we are busy; a whole swarm may start at once.
    backlog: int = 128


LAN = NetProfile()

# Long round trips and lossy paths: a handshake takes several of them and TCP's retransmissions
# back off to seconds, so nothing is judged in less; a wide-area queue holds more that is in flight.
WAN = NetProfile(
    heartbeat_ms=2_000,
    heartbeat_timeout_ms=8_000,
    connect_timeout_ms=8_000,
    handshake_ms=10_000,
    dial_slack_ms=2_000,
    redial_min_ms=500,
    redial_max_ms=15_000,
    dial_give_up_ms=60_000,
    send_queue_bytes_max=8 * _MIB,
    inbound_idle_ms=180_000,
    linger_ms=3_000,
)

_NAMED = {"lan": LAN, "wan": WAN}


def profile_named(name: str) -> NetProfile:
    """The profile that ``[net] profile`` names; :class:`ConfigError` if there is none."""
    if name not in _NAMED:
        known = " or ".join(repr(each) for each in _NAMED)
        raise ConfigError(f"net.profile: expected {known}, got {name!r}")
    return _NAMED[name]
