"""Whole daemons and a liar: found out without anybody asking, for good, and told to peers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from daemon.nodes import config, running
from daemon.support import run

from deid.daemon.daemon import Daemon
from deid.plugin import toy
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.wire.item import Item, SignedItem, Usage, sign
from deid.wire.keys import KeyPair
from deid.wire.messages import Items, Proof, encode
from deid.wire.seqset import SeqSet

BAD = KeyPair.from_seed(b"b" * 32)


def published(code: Genome, claim: Evaluation, seq: int = 1) -> SignedItem:
    item = Item(
        origin=BAD.public,
        epoch=7,
        seq=seq,
        task_hash=DOMAIN.task_hash,
        node="bad",
        round=1,
        champion=True,
        code=code.code,
        source="",
        parents=(),
        operator="toy",
        model="",
        prompt_hash=b"",
        usage=Usage(),
        price=0,
        claim=claim,
        ancestry=(),
        live=SeqSet(((1, seq),)),
    )
    return sign(item, BAD)


DOMAIN = toy.ToyDomain()
PROGRAMS = DOMAIN.corpora()["swingers"]


def true_claim(genome: Genome) -> Evaluation:
    reference = DOMAIN.reference()
    return DOMAIN.evaluate(genome, reference, 0, reference.trials)


def hand(daemon: Daemon, message: Items | Proof) -> None:
    """As if it had come over the first link that is up."""
    node = daemon.collective.node
    peer = next(each for each in node._membership.all() if each.reachable)
    node.receive(daemon.collective.now_ms(), peer.connections[0].link, encode(message))
    daemon.collective.transport.wake()


async def until(goal: Callable[[], bool]) -> None:
    # A daemon tells nobody what it found: this is a view from outside.
    while not goal():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def linked(daemon: Daemon) -> bool:
    return any(each.reachable for each in daemon.collective.node._membership.all())


def test_a_liar_is_quarantined_at_both_nodes_over_restarts_and_its_item_stays() -> None:
    claim = true_claim(PROGRAMS[0])
    lie = published(PROGRAMS[0], Evaluation(claim.points + 1, claim.measures, claim.trials))

    async def scenario(root: Path) -> None:
        alpha = config(root, "alpha")
        async with running(alpha) as (one, _):
            beta = config(root, "beta", seeds=[one.address])
            async with running(beta) as (two, _):
                await until(lambda: linked(one) and linked(two))
                hand(one, Items((lie.raw,)))
                for each in (one, two):
                    await until(lambda each=each: BAD.public in each.loop.engine.quarantined)
                    assert lie in each.collective.node.items()
        async with running(alpha) as (again, _):
            assert BAD.public in again.loop.engine.quarantined
            assert lie in again.collective.node.items()

    with tempfile.TemporaryDirectory() as root:
        run(scenario(Path(root)))


def test_a_proof_of_equivocation_spreads_and_survives_a_restart() -> None:
    one_item, two_item = (published(each, true_claim(each)) for each in PROGRAMS[:2])
    kept = min(one_item, two_item, key=lambda each: each.body_hash)

    async def scenario(root: Path) -> None:
        alpha = config(root, "alpha")
        beta = config(root, "beta")
        async with running(alpha) as (one, _):
            beta = config(root, "beta", seeds=[one.address])
            async with running(beta) as (two, _):
                await until(lambda: linked(one) and linked(two))
                hand(one, Items((one_item.raw,)))
                hand(one, Items((two_item.raw,)))
                await until(lambda: len(two.collective.node.forks()) == 1)
                assert BAD.public not in two.loop.engine.quarantined
        for settings in (alpha, beta):
            async with running(settings) as (again, _):
                assert [fork.kept for fork in again.collective.node.forks()] == [kept]
                assert kept in again.collective.node.items()

    with tempfile.TemporaryDirectory() as root:
        run(scenario(Path(root)))
