"""Three engines that exchange all they share, whatever the delays."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from search.driver import TOY, Driver, Swarm, toy_answer

from deid.search.archive import Archive, Elite
from deid.search.records import Arrived, RoundClosed

NODES = ("alpha", "beta", "gamma")


def swarm(rng: Random, **changed: object) -> Swarm:
    return Swarm(NODES, lambda bound: rng.randrange(bound), **changed).finish()


def nameless(archive: Archive) -> Archive:
    """``archive`` as if none of its elites had been published under a name."""
    elites = [Elite(each.content_hash, each.cell, each.points) for each in archive]
    return Archive(archive.grid, archive.context_hash, elites)


@given(st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=20)
def test_nodes_that_hold_the_same_items_show_the_same_merged_archive(
    rng: Random, ordered: bool
) -> None:
    members = swarm(rng, ordered=ordered).members
    archives = [Swarm.merged(member) for member in members]

    assert len({frozenset(member.held) for member in members}) == 1
    assert archives[0] == archives[1] == archives[2]
    assert len({archive.digest() for archive in archives}) == 1


@given(st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_the_merged_archive_is_the_merge_of_what_each_node_published(rng: Random) -> None:
    members = swarm(rng).members
    alpha, beta, gamma = (member.driver.engine.published for member in members)

    merged = nameless(Swarm.merged(members[0]))
    assert merged == alpha.merge(beta).merge(gamma)
    assert all(len(merged) >= len(own) > 0 for own in (alpha, beta, gamma))


@given(st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_no_node_publishes_what_another_had_sent_it(rng: Random) -> None:
    for member in swarm(rng).members:
        received: set[bytes] = set()
        snapshot: set[bytes] = set()
        for record in member.driver.records:
            if isinstance(record, Arrived):
                snapshot = {item.genome.content_hash for item in record.items}
            elif isinstance(record, RoundClosed):
                assert not received & set(record.shared)
                received |= snapshot


@given(st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=10)
def test_every_node_can_be_rebuilt_from_its_journal(rng: Random, ordered: bool) -> None:
    for member in swarm(rng, ordered=ordered).members:
        live = member.driver
        rebuilt = Driver(TOY, toy_answer(TOY, "nobody")).resume(live.stored)

        assert rebuilt.engine.state_digest() == live.engine.state_digest()
        assert rebuilt.records == live.records


def test_the_same_delays_give_the_same_journals() -> None:
    one, other = swarm(Random(5)), swarm(Random(5))

    assert [m.driver.chain for m in one.members] == [m.driver.chain for m in other.members]


def test_other_delays_give_other_journals() -> None:
    one, other = swarm(Random(5)), swarm(Random(6))

    assert [m.driver.chain for m in one.members] != [m.driver.chain for m in other.members]


def test_a_node_that_hears_nothing_searches_as_if_it_were_alone() -> None:
    def never(bound: int) -> int:
        return bound - 1  # in finish(): no delivery while any node still runs

    late = Swarm(NODES, never).finish()
    alone = Swarm(NODES[2:], never).finish()

    assert late.members[2].driver.chain == alone.members[0].driver.chain
