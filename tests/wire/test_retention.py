"""What stays: the origin's choice against its definition, the quota against its law."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from wire.support import EPOCH, signed

from deid.search.evaluation import Evaluation
from deid.wire.item import ITEM_BYTES_MAX, LIVE_RANGES_MAX, ItemName, SignedItem
from deid.wire.retention import Candidate, beyond_quota, choose_live
from deid.wire.seqset import SeqSet

QUOTA = 4 * ITEM_BYTES_MAX


@cache
def sized(seq: int, points: int, kilobytes: int) -> SignedItem:
    return signed(
        seq, claim=Evaluation(points, (seq % 5,), 10), source="x" * (kilobytes << 10), round=seq
    )


pool = st.lists(
    st.builds(sized, st.integers(1, 30), st.integers(1, 9), st.sampled_from([1, 12, 30])),
    unique_by=lambda each: each.name,
    max_size=20,
)


def kept(items: list[SignedItem], heads: set[ItemName]) -> set[bytes]:
    dropped = {each.raw for each in beyond_quota(items, heads, QUOTA)}
    return {each.raw for each in items} - dropped


@settings(max_examples=60, deadline=None)
@given(pool, st.data())
def test_the_quota_does_not_depend_on_the_order_of_arrival(
    items: list[SignedItem], data: st.DataObject
) -> None:
    heads = {max(items, key=lambda each: each.item.seq).name} if items else set()
    at_once = kept(items, heads)
    held: list[SignedItem] = []
    for each in data.draw(st.permutations(items)):
        now = kept([*held, each], heads)
        held = [old for old in [*held, each] if old.raw in now]

    assert {each.raw for each in held} == at_once


@settings(max_examples=60, deadline=None)
@given(pool)
def test_the_quota_holds_and_the_better_stay(items: list[SignedItem]) -> None:
    dropped = beyond_quota(items, set(), QUOTA)
    stay = [each for each in items if each not in dropped]

    assert sum(len(each.raw) for each in stay) <= QUOTA
    assert all(s.item.order_key < d.item.order_key for s in stay for d in dropped)
    if dropped:
        assert sum(len(each.raw) for each in stay) > QUOTA - ITEM_BYTES_MAX


def test_the_newest_of_an_epoch_stays_however_bad() -> None:
    items = [sized(seq, 9, 30) for seq in range(1, 12)] + [sized(20, 1, 30)]
    dropped = beyond_quota(items, {items[-1].name}, QUOTA)

    assert items[-1] not in dropped
    assert dropped


def choose(candidates: list[Candidate], seq: int, newest: int, window: int = 3) -> SeqSet:
    return choose_live(
        candidates,
        [],
        set(),
        seq=seq,
        newest_round=newest,
        window_rounds=window,
        quota_bytes=1 << 20,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 12)), max_size=25))
def test_the_best_of_every_cell_and_the_window_stay(drawn: list[tuple[int, int, int]]) -> None:
    candidates = [
        Candidate(signed(at, round=number, claim=Evaluation(points, (cell,), 1)), cell)
        for at, (cell, points, number) in enumerate(drawn, 1)
    ]
    seq, newest = len(drawn) + 1, 13
    live = choose(candidates, seq, newest)

    by_cell: dict[int, list[Candidate]] = {}
    for each in candidates:
        by_cell.setdefault(each.cell, []).append(each)
    best = {min(cell, key=lambda each: each.signed.item.order_key).seq for cell in by_cell.values()}
    recent = {each.seq for each in candidates if each.signed.item.round > newest - 3}
    assert live == SeqSet.of(best | recent | {seq})


def test_over_quota_the_rest_goes_before_any_best_and_the_worst_cells_next() -> None:
    champions = [
        Candidate(sized_cell(seq, cell=seq, points=seq * 10, round_number=1), seq)
        for seq in range(1, 21)
    ]
    rest = [
        Candidate(sized_cell(seq, cell=1, points=1, round_number=40), 1) for seq in range(21, 31)
    ]
    live = choose_live(
        [*champions, *rest],
        [],
        set(),
        seq=31,
        newest_round=40,
        window_rounds=8,
        quota_bytes=10 * ITEM_BYTES_MAX,
    )
    stay = sorted(live.descending())

    assert stay[-1] == 31
    assert not set(stay) & set(range(21, 31))
    assert stay[:-1] == list(range(21 - len(stay[:-1]), 21))
    assert sum(len(champions[seq - 1].signed.raw) for seq in stay[:-1]) <= 8 * ITEM_BYTES_MAX


@cache
def sized_cell(seq: int, cell: int, points: int, round_number: int) -> SignedItem:
    return signed(
        seq,
        round=round_number,
        claim=Evaluation(points, (cell,), 1),
        source="x" * 30_000,
        epoch=EPOCH,
    )


def test_the_ranges_of_a_live_set_are_bounded() -> None:
    candidates = [Candidate(signed(seq, round=1), seq) for seq in range(1, 2 * 1_100, 2)]
    live = choose(candidates, 2 * 1_100 + 1, 40)

    assert len(live.ranges) == LIVE_RANGES_MAX
    assert live.last == 2 * 1_100 + 1
