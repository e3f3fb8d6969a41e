"""Placement: slots, rotation, portable offsets."""

from __future__ import annotations

import itertools
from hashlib import blake2b
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import ConfigError
from deid_corewar.placement import drq_positions, slots_max

SEEDS = st.integers(0, 2**64 - 1)


def slow_reference(
    lengths: list[int], core: int, distance: int, seed: int, battle: int
) -> tuple[list[int], int]:
    """One battle by the words of the docstring, in plain Python."""
    n = len(lengths)
    cycle, shift = divmod(battle, n)
    strides = [m for m in range(1, n + 1) if gcd(m, n) == 1]
    stride = strides[cycle % len(strides)]
    positions = []
    for warrior, length in enumerate(lengths):
        block, index = divmod(warrior, 16)
        data = seed.to_bytes(8, "little") + block.to_bytes(8, "little")
        digest = blake2b(data, digest_size=64, person=b"deid-placement-1").digest()
        word = int.from_bytes(digest[4 * index : 4 * index + 4], "little")
        slot = (stride * warrior + shift) % n
        room = core // n - length - distance
        positions.append(slot * (core // n) + (word * (room + 1) >> 32))
    return positions, (cycle + shift) % n


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), SEEDS, st.integers(0, 10**6))
def test_positions_and_first_movers_are_those_of_the_documented_formula(
    lengths: list[int], seed: int, battle: int
) -> None:
    positions, first = drq_positions(lengths, 8_000, 100, [seed], battle)

    assert (positions[0].tolist(), int(first[0])) == slow_reference(
        lengths, 8_000, 100, seed, battle
    )


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20), st.lists(SEEDS, min_size=1))
def test_warriors_keep_their_distance_on_the_ring(lengths: list[int], seeds: list[int]) -> None:
    positions, _ = drq_positions(lengths, 800, 20, seeds)

    for row in positions.tolist():
        starts = sorted(zip(row, lengths, strict=True))
        starts.append((starts[0][0] + 800, 0))
        for (here, length), (there, _) in itertools.pairwise(starts):
            assert there - (here + length) >= 20


@pytest.mark.parametrize("n", [1, 2, 3, 6, 13, 21])
def test_over_n_battles_each_warrior_has_each_slot_and_moves_first_once(n: int) -> None:
    for cycle in range(3):
        positions, first = drq_positions([5] * n, 8_000, 100, list(range(n)), cycle * n)
        slots = positions // (8_000 // n)

        assert all(sorted(column) == list(range(n)) for column in slots.T.tolist())
        assert sorted(first.tolist()) == list(range(n))


@pytest.mark.parametrize("n", [2, 3, 6, 13])
def test_over_n_squared_battles_each_first_mover_meets_each_slot_of_the_candidate(n: int) -> None:
    positions, first = drq_positions([5] * n, 8_000, 100, list(range(n * n)))
    candidate = positions[:, 0] // (8_000 // n)

    assert len(set(zip(candidate.tolist(), first.tolist(), strict=True))) == n * n


def test_neighbours_change_from_one_cycle_of_battles_to_the_next() -> None:
    positions, _ = drq_positions([5] * 7, 8_000, 100, list(range(14)))
    order = [np.argsort(row).tolist() for row in positions]
    following = [row[(row.index(0) + 1) % 7] for row in order]

    assert set(following[:7]) == {1}
    assert set(following[7:]) == {4}  # stride 2: 2·4 = 8 = 1 mod 7


def test_the_number_of_a_battle_not_its_index_governs_it() -> None:
    seeds = list(range(100, 130))
    positions, first = drq_positions([5, 9, 30], 8_000, 100, seeds)
    later, later_first = drq_positions([5, 9, 30], 8_000, 100, seeds[11:], 11)

    assert (positions[11:] == later).all()
    assert (first[11:] == later_first).all()


def test_offsets_reach_both_ends_of_the_room() -> None:
    positions, _ = drq_positions([10, 10], 240, 105, list(range(400)))  # room: 5 cells
    offsets = positions[:, 0] % 120

    assert set(offsets.tolist()) == set(range(6))


def test_a_full_core_leaves_no_room_and_one_warrior_more_is_refused() -> None:
    positions, _ = drq_positions([20] * 20, 800, 20, [7])

    assert sorted(positions[0].tolist()) == list(range(0, 800, 40))
    with pytest.raises(ConfigError, match=r"21 warriors share a core of 800.*20 \+ 20"):
        drq_positions([20] * 21, 800, 20, [7])
    assert slots_max(800, 20, 20) == 20


def test_nobody_cannot_be_placed() -> None:
    with pytest.raises(ConfigError):
        drq_positions([], 8_000, 100, [1])
