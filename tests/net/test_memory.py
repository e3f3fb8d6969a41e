"""What the in-memory network adds to the contract: cuts that heal, and turns to be counted."""

from __future__ import annotations

from net.drive import LOOPBACK, QUICK, Peer, run
from net.members import Member

from deid.net.memory import MemoryHub, MemoryTransport
from deid.net.transport import LinkUp, Received


def test_a_cut_takes_links_down_and_healing_brings_new_ones() -> None:
    async def main() -> None:
        hub = MemoryHub()
        one, other = (Peer(MemoryTransport(hub, QUICK)) for _ in range(2))
        one.transport.dial(other.transport.bind(LOOPBACK))
        (up,) = one.drain()
        hub.cut(one.transport, other.transport)  # type: ignore[arg-type]
        (down,) = one.drain()
        assert down.link == up.link
        assert not one.transport.send(up.link, b"into the void")
        hub.heal(one.transport, other.transport)  # type: ignore[arg-type]
        (again,) = one.drain()

        assert isinstance(again, LinkUp)
        assert again.link != up.link
        assert one.transport.send(again.link, b"healed")
        assert [type(each) for each in other.drain()] == [LinkUp, Received]

    run(main())


def test_a_cut_concerns_no_third_peer() -> None:
    async def main() -> None:
        hub = MemoryHub()
        middle, left, right = (MemoryTransport(hub, QUICK) for _ in range(3))
        address = middle.bind(LOOPBACK)
        left.dial(address)
        right.dial(address)
        hub.cut(left, middle)
        ups = [each for each in right.drain(8, 1_000) if isinstance(each, LinkUp)]

        assert len(ups) == 1
        assert right.send(ups[0].link, b"through")

    run(main())


def test_one_message_waits_for_one_quantum_of_a_flood() -> None:
    async def main() -> None:
        hub = MemoryHub()
        listener, flooder, honest = (Peer(MemoryTransport(hub, QUICK)) for _ in range(3))
        address = listener.transport.bind(LOOPBACK)
        for peer in (flooder, honest):
            peer.transport.dial(address)
            peer.drain()
        while flooder.transport.send(flooder.ups()[0].link, b"flood"):
            pass
        assert honest.transport.send(honest.ups()[0].link, b"ping")
        listener.drain(messages_max=QUICK.peer_quantum_messages + 1)

        assert listener.data().count(b"flood") <= QUICK.peer_quantum_messages
        assert b"ping" in listener.data()

    run(main())


def test_members_cut_apart_search_on_and_hold_the_same_after_healing() -> None:
    async def main() -> None:
        hub = MemoryHub()
        here, there = (MemoryTransport(hub, QUICK) for _ in range(2))
        alpha = Member("alpha", here, here.bind(LOOPBACK))
        beta = Member("beta", there, there.bind(LOOPBACK), [alpha.address])
        try:
            await beta.holds({alpha.share(1).raw})
            hub.cut(here, there)
            apart = {member.share(number).raw for member in (alpha, beta) for number in (2, 3)}
            assert not apart <= alpha.held()
            assert beta.collective.take(3).arrivals[0].signed.item.round == 1
            hub.heal(here, there)
            await alpha.holds(apart)
            await beta.holds(apart)

            assert alpha.held() == beta.held()
        finally:
            await alpha.collective.stop()
            await beta.collective.stop()

    run(main())
