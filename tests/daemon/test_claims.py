"""The audit of claims: from the best down, one at a time, and accusations first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from daemon.swarm import DOMAIN, EPOCH, REFERENCE, claim_in, evaluate, evaluate_later, finished

from deid.daemon.claims import ClaimAudit
from deid.daemon.evaluator import EvaluatorFullError
from deid.daemon.exchange import cell_of_claims
from deid.errors import PluginError
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.wire.events import ClaimAccused, ItemReceived, ItemsExpired, KeyInUse
from deid.wire.item import Item, SignedItem, Usage, sign
from deid.wire.keys import KeyPair
from deid.wire.seqset import SeqSet

CELL_OF = cell_of_claims(DOMAIN.grid, REFERENCE)
PROGRAMS = [genome for family in DOMAIN.corpora().values() for genome in family]
TRUE = sorted(PROGRAMS, key=lambda genome: -evaluate(genome, REFERENCE).points)
BEST = claim_in(0).points


def published(
    number: int, seq: int = 1, genome: Genome = PROGRAMS[0], claim: Evaluation | None = None
) -> SignedItem:
    """An item of key ``number``; its claim is true unless one is given."""
    keys = KeyPair.from_seed(bytes([number]) * 32)
    item = Item(
        origin=keys.public,
        epoch=EPOCH,
        seq=seq,
        task_hash=DOMAIN.task_hash,
        node=f"node{number}",
        round=1,
        champion=True,
        code=genome.code,
        source="",
        parents=(),
        operator="toy",
        model="",
        prompt_hash=b"",
        usage=Usage(),
        price=0,
        claim=claim or evaluate(genome, REFERENCE),
        ancestry=(),
        live=SeqSet(((seq, seq),)),
    )
    return sign(item, keys)


def lie(number: int, seq: int = 1, cell: int = 0, points: int = BEST) -> SignedItem:
    claim = replace(claim_in(cell), points=points)
    return published(number, seq, PROGRAMS[number % len(PROGRAMS)], claim)


def key(number: int) -> bytes:
    return KeyPair.from_seed(bytes([number]) * 32).public


class Audit(ClaimAudit):
    """An audit of node 1, and what it found in order."""

    def __init__(self, evaluate: object = evaluate_later, liars: tuple[bytes, ...] = ()) -> None:
        self.found: list[tuple[SignedItem, bool]] = []
        super().__init__(DOMAIN, evaluate, CELL_OF, key(1), self._note, liars)  # type: ignore[arg-type]

    def _note(self, signed: SignedItem, holds: bool) -> None:
        self.found.append((signed, holds))

    def drain(self) -> list[tuple[SignedItem, bool]]:
        while finished(self.step()):
            pass
        return self.found


def test_claims_of_a_cell_are_checked_from_the_best_down_until_one_holds() -> None:
    audit = Audit()
    true = published(2)
    cell = CELL_OF(true.item.claim)
    lies = [lie(3, cell=cell), lie(4, cell=cell, points=BEST - 1)]
    worse = lie(5, cell=cell, points=1)
    for each in (worse, true, *lies):
        audit.add(each)

    assert audit.drain() == [(lies[0], False), (lies[1], False), (true, True)]
    assert audit.liars == {key(3), key(4)}


def test_a_liar_is_checked_once() -> None:
    audit = Audit()
    for seq, cell in ((1, 0), (2, 0), (3, 7), (4, 20)):
        audit.add(lie(3, seq, cell))

    assert [holds for _, holds in audit.drain()] == [False]


def test_known_liars_and_own_claims_are_not_checked() -> None:
    audit = Audit(liars=(key(3),))
    audit.add(lie(3))
    audit.add(published(1))

    assert audit.drain() == []


def test_an_accusation_goes_first_and_is_answered_even_if_it_is_false() -> None:
    audit = Audit()
    true = [published(2), published(6, genome=TRUE[3])]
    for each in true:
        audit.add(each)
    audit.observe(ClaimAccused(true[1], key(9)))
    found = audit.drain()

    assert found[0] == (true[1], True)
    assert set(found) == {(true[0], True), (true[1], True)}
    assert len(found) == 2 or CELL_OF(true[0].item.claim) == CELL_OF(true[1].item.claim)


def test_a_better_claim_is_checked_when_it_comes_and_a_worse_one_never() -> None:
    audit = Audit()
    true = published(2)
    cell = CELL_OF(true.item.claim)
    audit.add(true)
    audit.drain()
    worse, better = lie(3, cell=cell, points=0), lie(4, cell=cell)
    audit.observe(ItemReceived(worse, 0, False))
    assert len(audit.drain()) == 1
    audit.observe(ItemReceived(better, 0, False))

    assert audit.drain() == [(true, True), (better, False)]


def test_where_the_best_expires_the_next_is_checked() -> None:
    audit = Audit()
    true = published(2)
    below = lie(3, cell=CELL_OF(true.item.claim), points=1)
    audit.add(true)
    audit.add(below)
    audit.drain()
    audit.observe(ItemsExpired((true.name,)))

    assert audit.drain() == [(true, True), (below, False)]


def test_a_second_item_of_a_name_is_checked_in_its_place() -> None:
    audit = Audit()
    true = published(2)
    audit.add(true)
    audit.drain()
    other = lie(2, cell=CELL_OF(true.item.claim))
    assert other.name == true.name
    audit.add(other)

    assert audit.drain() == [(true, True), (other, False)]


def test_code_that_is_no_program_is_a_lie() -> None:
    audit = Audit()
    audit.add(published(3, genome=Genome("", b"\xff\xff", 1), claim=claim_in(4)))

    assert [holds for _, holds in audit.drain()] == [False]


def test_our_own_failure_proves_nothing() -> None:
    async def broken(genome: Genome, context: Context) -> Evaluation:
        raise PluginError("toy", "broken")

    audit = Audit(broken)
    audit.add(lie(3))

    assert [holds for _, holds in audit.drain()] == [True]
    assert audit.liars == set()


def test_other_events_change_nothing() -> None:
    audit = Audit()
    audit.observe(KeyInUse("link", None))

    assert audit.drain() == []


def test_a_full_evaluator_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deid.daemon.claims.RETRY_S", 0.0)
    refusals = [EvaluatorFullError("full")]

    async def once_full(genome: Genome, context: Context) -> Evaluation:
        if refusals:
            raise refusals.pop()
        return evaluate(genome, context)

    async def scenario() -> list[tuple[SignedItem, bool]]:
        audit = Audit(once_full)
        audit.add(lie(3))
        while await audit.step():
            pass
        return audit.found

    assert [holds for _, holds in asyncio.run(scenario())] == [False]


def test_run_waits_for_what_comes() -> None:
    async def scenario() -> list[tuple[SignedItem, bool]]:
        audit = Audit()
        found = asyncio.Event()
        note = audit._on_verdict

        def told(signed: SignedItem, holds: bool) -> None:
            note(signed, holds)
            found.set()

        audit._on_verdict = told
        task = asyncio.create_task(audit.run())
        await asyncio.sleep(0)
        audit.add(lie(3))
        await asyncio.wait_for(found.wait(), 5)
        found.clear()
        audit.add(lie(4))
        await asyncio.wait_for(found.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return audit.found

    assert [signed for signed, _ in asyncio.run(scenario())] == [lie(3), lie(4)]
