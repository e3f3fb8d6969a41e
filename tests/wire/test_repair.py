"""Pulls: whom to ask, when to ask again, when to stop."""

from __future__ import annotations

from typing import Any

from wire.support import EPOCH, keys

from deid.wire.config import NodeConfig
from deid.wire.item import ItemName
from deid.wire.repair import FAILURES_MAX, WINDOW_START, Repair

A, B, C = keys(1).public, keys(2).public, keys(3).public


def name(seq: int) -> ItemName:
    return ItemName(keys(9).public, EPOCH, seq)


def repair(**settings: Any) -> Repair:
    return Repair(NodeConfig("n", **settings))


def ask(table: Repair, now_ms: int, *usable: bytes) -> dict[bytes, list[int]]:
    asked = table.ask(now_ms, lambda key: key in usable, lambda _: True)
    return {key: [each.seq for each in names] for key, names in asked.items()}


def test_a_want_is_asked_once_while_its_answer_is_out() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)

    assert ask(table, 0, A) == {A: [1]}
    assert ask(table, 10, A) == {}


def test_nothing_is_asked_before_its_grace_is_over() -> None:
    table = repair()
    table.learn(200, name(1), A, backfill=False)

    assert ask(table, 199, A) == {}
    assert table.next_due_ms(199) == 200
    assert ask(table, 200, A) == {A: [1]}


def test_after_silence_another_source_is_asked() -> None:
    table = repair(pull_timeout_ms=2_000)
    table.learn(0, name(1), A, backfill=False)
    table.learn(0, name(1), B, backfill=False)
    ask(table, 0, A, B)
    table.time_out(1_999)
    before = ask(table, 1_999, A, B)
    table.time_out(2_000)

    assert before == {}
    assert ask(table, 2_000, A, B) == {B: [1]}


def test_progress_of_the_peer_extends_its_time() -> None:
    table = repair(pull_timeout_ms=2_000)
    for seq in (1, 2):
        table.learn(0, name(seq), A, backfill=False)
    ask(table, 0, A)
    table.done(1_500, name(1), A)
    table.time_out(2_500)

    assert ask(table, 2_500, A) == {}


def test_an_absent_answer_moves_on_at_once_and_ends_with_the_last_source() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)
    table.learn(0, name(1), B, backfill=False)
    ask(table, 0, A, B)
    table.absent(name(1), A)

    assert ask(table, 1, A, B) == {B: [1]}
    table.absent(name(1), B)
    assert len(table) == 0


def test_who_was_not_asked_cannot_say_absent_for_others() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)
    ask(table, 0, A)
    table.absent(name(1), C)

    assert table.want(name(1)) is not None


def test_an_unusable_peer_keeps_its_wants_for_its_return() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)

    assert ask(table, 0) == {}
    assert ask(table, 5, A) == {A: [1]}


def test_what_has_become_unwanted_is_not_asked() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)
    asked = table.ask(0, lambda _: True, lambda _: False)

    assert asked == {}
    assert len(table) == 0


def test_the_window_grows_with_answers_and_halves_with_silence() -> None:
    table = repair(pull_timeout_ms=1_000)
    for seq in range(1, 201):
        table.learn(0, name(seq), A, backfill=False)
    first = ask(table, 0, A)[A]
    for seq in first:
        table.done(10, name(seq), A)
    second = ask(table, 10, A)[A]
    table.time_out(2_000)
    third = ask(table, 2_000, A)[A]

    assert len(first) == WINDOW_START
    assert len(second) == 2 * WINDOW_START
    assert len(third) == WINDOW_START


def test_one_peer_cannot_fill_the_table() -> None:
    table = repair(wants_per_peer_max=10, wants_max=15)
    taken = [table.learn(0, name(seq), A, backfill=False) for seq in range(1, 13)]
    others = [table.learn(0, name(seq), B, backfill=False) for seq in range(20, 27)]

    assert taken == [True] * 10 + [False] * 2
    assert others == [True] * 5 + [False] * 2
    assert len(table) == 15


def test_a_want_whose_sources_stay_silent_is_let_go_and_can_be_learnt_again() -> None:
    table = repair(pull_timeout_ms=1_000)
    table.learn(0, name(1), A, backfill=False)
    for turn in range(FAILURES_MAX):
        ask(table, turn * 1_000, A)
        table.time_out((turn + 1) * 1_000)

    assert len(table) == 0
    assert table.learn(9_000, name(1), A, backfill=False)
    assert ask(table, 9_000, A) == {A: [1]}


def test_a_lost_peer_leaves_no_wants_of_its_own() -> None:
    table = repair()
    table.learn(0, name(1), A, backfill=False)
    table.learn(0, name(2), A, backfill=False)
    table.learn(0, name(2), B, backfill=False)
    ask(table, 0, A, B)
    table.keep_sources(lambda key: key == B)

    assert list(table.names()) == [name(2)]
    assert ask(table, 0, A, B) == {B: [2]}
