"""Proofs of equivocation in the journal."""

from __future__ import annotations

from pathlib import Path

from daemon.swarm import publisher
from daemon.test_claims import PROGRAMS, published

from deid.daemon.collective_events import CollectiveEvents
from deid.daemon.proofs import META_PROOFS, ProofStore
from deid.store import Journal, Transaction
from deid.wire.events import Equivocation, Event, ItemReceived
from deid.wire.proof import Fork


def fork(number: int) -> Fork:
    return Fork.of(published(number), published(number, genome=PROGRAMS[1]))


def event_of(each: Fork) -> Equivocation:
    return Equivocation(each.name, each.kept.raw, each.other.raw)


def test_what_the_events_store_the_next_start_gives_to_the_core(tmp_path: Path) -> None:
    seen: list[Event] = []
    events: list[Event] = [event_of(fork(3)), ItemReceived(published(4), 0, False)]
    with Journal(tmp_path / "journal.db") as journal:
        store = ProofStore(journal)
        rim = CollectiveEvents(journal, b"k", lambda: None, proofs=store, watch=seen.append)
        rim(events)
    core = publisher("alpha", 1)
    with Journal(tmp_path / "journal.db") as journal:
        assert [item.raw for item in journal.items()] == [published(4).raw]
        ProofStore(journal).restore(core)

    assert core.forks() == (fork(3),)
    assert seen == events


def test_as_many_are_stored_as_the_core_keeps_and_the_same(tmp_path: Path) -> None:
    numbers = range(2, 8)
    core = publisher("alpha", 1)
    with Journal(tmp_path / "journal.db") as journal:
        store = ProofStore(journal, proofs_max=3)
        for number in numbers:
            meta = store.add(event_of(fork(number)))
            journal.append(Transaction(meta=meta)).result(10)
        ProofStore(journal).restore(core)
    smallest = sorted(fork(number).name.origin for number in numbers)[:3]

    assert [each.name.origin for each in core.forks()] == smallest


def test_a_stored_proof_that_is_none_is_left_out(tmp_path: Path) -> None:
    core = publisher("alpha", 1)
    with Journal(tmp_path / "journal.db") as journal:
        good = event_of(fork(3))
        bad = Equivocation(fork(4).name, good.kept, good.kept)
        store = ProofStore(journal)
        store.add(bad)
        journal.append(Transaction(meta=store.add(good))).result(10)
        assert journal.meta(META_PROOFS)
        ProofStore(journal).restore(core)

    assert core.forks() == (fork(3),)
