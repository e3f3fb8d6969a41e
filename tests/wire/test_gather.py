"""The mailbox: what the search gets, once, and what it is told beside it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from wire.support import EPOCH, keys, signed

from deid.wire.events import ItemReceived, PeerState, PeerStatus
from deid.wire.gather import Mailbox
from deid.wire.item import SignedItem


def received(each: SignedItem, at_ms: int = 100, *, backfill: bool = False) -> ItemReceived:
    return ItemReceived(each, at_ms, backfill)


def status(number: int = 1, **changes: Any) -> PeerStatus:
    fields: dict[str, Any] = {
        "name": "beta",
        "key": keys(number).public,
        "epoch": EPOCH,
        "address": "",
        "state": PeerState.ALIVE,
        "same_task": True,
        "round": 9,
        "lag": 0,
        "rtt_ms": 3,
        "sent": 0,
        "held": 1,
        "missing": 2,
        "in_step": True,
        "version": "1.0",
        "silent_ms": 40,
    }
    return PeerStatus(**{**fields, **changes})


@given(st.permutations(range(1, 9)))
def test_arrivals_are_sorted_by_content_whatever_came_first(order: list[int]) -> None:
    mailbox = Mailbox()
    for number in order:
        mailbox.put(received(signed(number)))
    contents = [a.signed.item.content_hash for a in mailbox.take(200, 1).arrivals]

    assert contents == sorted(signed(number).item.content_hash for number in range(1, 9))


def test_a_content_is_handed_out_once_in_a_run() -> None:
    handed: set[bytes] = set()
    mailbox = Mailbox(handed)
    mailbox.put(received(signed(1)))
    mailbox.take(200, 1)
    again = mailbox.put(received(signed(1, key=2)))
    second = mailbox.take(300, 2)
    after_restart = Mailbox(handed)
    after_restart.put(received(signed(1, key=3)))

    assert not again
    assert second.arrivals == ()
    assert second.report.duplicates == 1
    assert after_restart.take(400, 3).arrivals == ()


@given(st.permutations([1, 2, 3]))
def test_of_one_content_the_smallest_name_is_handed_out(order: list[int]) -> None:
    mailbox = Mailbox()
    for key in order:
        mailbox.put(received(signed(1, key=key)))
    snapshot = mailbox.take(200, 1)

    assert [a.signed.name for a in snapshot.arrivals] == [
        min(signed(1, key=key).name for key in order)
    ]
    assert snapshot.report.duplicates == 2


def test_lag_is_rounds_behind_the_newest_known_of_the_same_epoch() -> None:
    mailbox = Mailbox()
    for each in (signed(3), signed(5), signed(4, epoch=EPOCH + 1)):
        mailbox.put(received(each))
    lags = {a.signed.name.seq: a.lag for a in mailbox.take(200, 1, [status(round=9)]).arrivals}

    assert lags == {3: 6, 5: 4, 4: 0}


def test_without_word_of_its_peer_lag_follows_the_newest_item_seen() -> None:
    mailbox = Mailbox()
    mailbox.put(received(signed(7)))
    mailbox.take(100, 1)
    mailbox.put(received(signed(5)))

    assert mailbox.take(200, 2).arrivals[0].lag == 2


def test_fresh_and_late_and_backfill_are_told_apart() -> None:
    mailbox = Mailbox()
    mailbox.put(received(signed(9)))
    mailbox.put(received(signed(8)))
    mailbox.put(received(signed(7), backfill=True))
    report = mailbox.take(200, 4, [status(round=9)]).report

    assert (report.round, report.fresh, report.late, report.backfill) == (4, 1, 2, 1)


def test_the_time_an_item_was_held_is_told() -> None:
    mailbox = Mailbox()
    mailbox.put(received(signed(1), at_ms=100))

    assert mailbox.take(250, 1).arrivals[0].held_ms == 150


def test_the_report_names_every_peer() -> None:
    report = Mailbox().take(1, 1, [status(), status(2, state=PeerState.SUSPECTED)]).report

    assert [(p.key, p.state, p.round, p.age_ms, p.missing) for p in report.peers] == [
        (keys(1).public, PeerState.ALIVE, 9, 40, 2),
        (keys(2).public, PeerState.SUSPECTED, 9, 40, 2),
    ]


def test_what_expired_before_the_search_asked_is_not_handed_out() -> None:
    mailbox = Mailbox()
    mailbox.put(received(signed(1)))
    mailbox.expire([signed(1).name, signed(2).name])
    snapshot = mailbox.take(200, 1)

    assert snapshot.arrivals == ()
    assert snapshot.report.expired == 1


def test_a_content_stays_as_long_as_one_of_its_names_is_retained() -> None:
    """Found by the simulator (seed 312): the other name's item was forgotten."""
    mailbox = Mailbox()
    names = sorted([signed(1, key=2), signed(1, key=3)], key=lambda each: each.name)
    for each in names:
        mailbox.put(received(each))
    mailbox.expire([names[0].name])

    assert [a.signed for a in mailbox.take(200, 1).arrivals] == [names[1]]


def test_an_empty_mailbox_answers_at_once() -> None:
    snapshot = Mailbox().take(5, 1)

    assert snapshot.arrivals == ()
    assert (snapshot.report.fresh, snapshot.report.late) == (0, 0)


def test_an_item_takes_the_place_of_another_of_its_name() -> None:
    mailbox = Mailbox()
    mailbox.put(received(signed(1)))
    other = signed(1, code=b"other")
    taken = mailbox.put(received(other))

    assert taken
    assert [a.signed for a in mailbox.take(200, 1).arrivals] == [other]


def test_items_of_an_origin_in_quarantine_are_not_handed_out_nor_stand_before_others() -> None:
    mailbox = Mailbox()
    mine, copy = signed(1, key=2), signed(1, key=3)
    assert mine.item.content_hash == copy.item.content_hash
    mailbox.put(received(copy))
    mailbox.put(received(signed(2, key=3)))
    mailbox.quarantine(keys(3).public)
    mailbox.put(received(signed(3, key=3)))
    mailbox.put(received(mine))
    snapshot = mailbox.take(200, 1)

    assert [a.signed for a in snapshot.arrivals] == [mine]
    assert snapshot.report.expired == snapshot.report.duplicates == 0
