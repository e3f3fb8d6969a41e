"""What peers send is stored before the search can see it, and what they do is acted upon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.loops import draft, peer, shared
from structlog.testing import capture_logs

from deid.daemon.collective_events import CollectiveEvents
from deid.errors import StoreError
from deid.plugin.toy import ToyDomain
from deid.store import Journal, Transaction
from deid.wire.events import (
    Equivocation,
    Event,
    InputRefused,
    ItemReceived,
    ItemsExpired,
    KeyInUse,
    LinkRefused,
    OriginRefused,
    OwnLogBehind,
    PeerChanged,
    PeerState,
    RefusedByPeer,
)
from deid.wire.item import SignedItem

TOY = ToyDomain(trials=2)
PROGRAMS = TOY.corpora()["climbers"]
KEY = b"k" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", quick_check=False) as opened:
        yield opened


def items(name: str = "beta", count: int = 2) -> list[SignedItem]:
    return shared(peer(name, TOY), *(draft(TOY, each) for each in PROGRAMS[:count]))


def received(signed: SignedItem) -> ItemReceived:
    return ItemReceived(signed, 5, False)


def never() -> None:
    raise AssertionError("no epoch is to be renewed")


def test_received_items_are_in_the_journal_ahead_of_whatever_follows(journal: Journal) -> None:
    events = CollectiveEvents(journal, KEY, never)
    first, second = items()
    events([received(first), received(second)])
    journal.append(_nothing()).result(5)  # what the search commits next

    stored = list(journal.items())
    assert [item.name for item in stored] == [first.name, second.name]
    assert [item.raw for item in stored] == [first.raw, second.raw]
    assert [item.content_hash for item in stored] == [
        first.item.content_hash,
        second.item.content_hash,
    ]
    assert not any(item.own for item in stored)
    assert events.received == 2


def test_a_turns_items_are_one_transaction_and_a_quiet_turn_none(journal: Journal) -> None:
    events = CollectiveEvents(journal, KEY, never)
    events([ItemsExpired(()), _changed()])
    assert journal.pending == 0
    events([received(each) for each in items(count=5)])
    journal.append(_nothing()).result(5)

    assert journal.commits <= 2
    assert len(list(journal.items())) == 5


def test_own_items_that_peers_bring_back_are_kept_as_own(journal: Journal) -> None:
    (signed,) = items("me", 1)
    CollectiveEvents(journal, signed.item.origin, never)([received(signed)])
    journal.append(_nothing()).result(5)

    assert [item.own for item in journal.items()] == [True]


def test_expired_items_leave_the_journal_even_in_the_turn_in_which_they_came(
    journal: Journal,
) -> None:
    events = CollectiveEvents(journal, KEY, never)
    first, second = items()
    events([received(first), received(second), ItemsExpired((first.name,))])
    journal.append(_nothing()).result(5)

    assert [item.name for item in journal.items()] == [second.name]


def test_a_log_that_is_behind_asks_for_an_epoch(journal: Journal) -> None:
    asked: list[int] = []
    CollectiveEvents(journal, KEY, lambda: asked.append(1))([OwnLogBehind(7, 3)])

    assert asked == [1]


def test_a_key_in_use_elsewhere_is_remembered(journal: Journal) -> None:
    events = CollectiveEvents(journal, KEY, never)
    assert not events.key_in_use
    events([KeyInUse("link", "tcp://127.0.0.1:9")])

    assert events.key_in_use


def test_items_that_the_journal_does_not_take_are_refused_aloud(tmp_path: Path) -> None:
    """The collective then keeps them from the search."""
    journal = Journal(tmp_path / "journal", quick_check=False)
    journal.close()
    with pytest.raises(StoreError):
        CollectiveEvents(journal, KEY, never)([received(items()[0])])


@pytest.mark.parametrize(
    ("event", "word", "level"),
    [
        (LinkRefused("link", None, "why"), "link.refused", "warning"),
        (RefusedByPeer("link", None, "why"), "link.refused_by_peer", "warning"),
        (InputRefused("link", KEY, "why"), "input.refused", "warning"),
        (InputRefused("link", None, "why"), "input.refused", "warning"),
        (OriginRefused(KEY, "why"), "origin.refused", "warning"),
        (Equivocation(items()[0].name, b"a", b"b"), "origin.equivocates", "error"),
        (KeyInUse("link", None), "key.in_use", "error"),
        (OwnLogBehind(7, 3), "epoch.behind", "warning"),
    ],
)
def test_what_a_person_should_know_is_logged(
    journal: Journal, event: Event, word: str, level: str
) -> None:
    with capture_logs() as logs:
        CollectiveEvents(journal, KEY, lambda: None)([event])

    assert [(entry["event"], entry["log_level"]) for entry in logs] == [(word, level)]


def test_every_change_of_a_peer_is_logged_with_its_state(journal: Journal) -> None:
    with capture_logs() as logs:
        CollectiveEvents(journal, KEY, never)([_changed()])

    (entry,) = logs
    assert (entry["event"], entry["peer"], entry["before"]) == ("peer.suspected", "beta", "alive")
    assert entry["silent_ms"] == 5_000


def _changed() -> PeerChanged:
    address = "tcp://127.0.0.1:9"
    return PeerChanged(KEY, "beta", address, PeerState.ALIVE, PeerState.SUSPECTED, 5_000)


def _nothing() -> Transaction:
    return Transaction(meta={"after": b"1"})
