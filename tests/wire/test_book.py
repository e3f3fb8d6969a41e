"""Whom to dial, and when again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from wire.support import keys

from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig

A, B = keys(1).public, keys(2).public


def book(*seeds: str, **settings: Any) -> Book:
    config = NodeConfig("n", address="tcp://me", seeds=seeds, **settings)
    return Book(config, Stream(1, "n", "book"))


def due(table: Book, now_ms: int, *linked: bytes, full: bool = False) -> list[str]:
    return table.due(now_ms, lambda key: key in linked, full=full)


def test_seeds_are_dialled_at_once_and_for_ever_ever_more_seldom() -> None:
    table = book("tcp://a", dial_ms=1_000, dial_max_ms=8_000)
    dialled = [now for now in range(0, 120_000, 100) if due(table, now)]
    pauses = [b - a for a, b in pairwise(dialled)]

    assert dialled[0] == 0
    assert all(500 <= pause <= 8_100 for pause in pauses)
    assert pauses[0] < 1_100
    assert all(pause >= 4_000 for pause in pauses[4:])
    assert len(dialled) > 15


def test_one_does_not_dial_oneself() -> None:
    table = book("tcp://me", "tcp://alias")
    first = due(table, 0)
    table.is_self("tcp://alias")

    assert first == ["tcp://alias"]
    assert due(table, 10**6) == []


def test_a_linked_address_is_left_alone_until_its_link_is_gone() -> None:
    table = book("tcp://a", dial_ms=1_000)
    due(table, 0)
    table.up("tcp://a")
    table.proven("tcp://a", A)
    while_up = due(table, 10**6)
    table.down(10**6, "tcp://a")

    assert while_up == []
    assert due(table, 10**6 + 1_000) == ["tcp://a"]


def test_who_dialled_us_is_not_dialled_back() -> None:
    table = book()
    table.learn(0, "tcp://a", A)

    assert due(table, 0, A) == []
    table.lost(50, A)
    assert due(table, 1_100) == ["tcp://a"]


def test_a_learned_address_can_be_put_off() -> None:
    table = book()
    table.learn(0, "tcp://a", A, defer_ms=2_000)

    assert due(table, 1_999) == []
    assert due(table, 2_000) == ["tcp://a"]


def test_a_claim_to_a_seed_does_not_stop_it_from_being_dialled() -> None:
    table = book("tcp://seed")
    table.learn(0, "tcp://seed", B)

    assert due(table, 0, B) == ["tcp://seed"]


def test_two_claims_to_one_address_are_settled_by_dialling() -> None:
    table = book()
    table.learn(0, "tcp://a", A)
    table.learn(0, "tcp://a", B)

    assert due(table, 0, A, B) == ["tcp://a"]


def test_learned_addresses_are_bounded_and_failing_ones_make_room() -> None:
    table = book("tcp://seed", addresses_max=3)
    for number in range(5):
        table.learn(0, f"tcp://{number}", keys(number).public)
    kept = table.addresses()
    for now in range(0, 20_000, 100):
        due(table, now)
    table.learn(20_000, "tcp://new", keys(9).public)

    assert kept == ("tcp://0", "tcp://1", "tcp://2")
    assert "tcp://new" in table.addresses()
    assert len(table.addresses()) == 3


def test_with_all_places_taken_only_seeds_are_tried_and_nothing_spins() -> None:
    table = book("tcp://seed")
    table.learn(0, "tcp://a", A)

    assert due(table, 0, full=True) == ["tcp://seed"]
    next_ms = table.next_due_ms()
    assert next_ms is not None
    assert next_ms > 0


def test_who_refused_is_tried_seldom() -> None:
    table = book("tcp://a", dial_ms=1_000, dial_max_ms=30_000)
    due(table, 0)
    table.refused(0, "tcp://a")

    assert due(table, 14_999) == []
    assert due(table, 30_000) == ["tcp://a"]
