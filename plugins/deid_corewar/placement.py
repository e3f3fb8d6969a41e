"""Where the warriors of a battle start, and who moves first.

Source: the slots of Digital Red Queen (arXiv 2601.03335). There the candidate always has the
first slot and the first move; here both rotate with the battle's number, so that neither is an
advantage. The offsets come from BLAKE2b, so they are the same on every platform and in every
release of every library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import gcd

import numpy as np
from numpy.typing import NDArray

from deid.errors import ConfigError

__all__ = ["drq_positions", "slots_max"]

BLOCK_WORDS = 16  # 32-bit words in one BLAKE2b-512 block
PERSON = b"deid-placement-1"  # separates these hashes from all others


def slots_max(core_size: int, length_max: int, distance: int) -> int:
    """Most warriors of ``length_max`` instructions that keep ``distance`` in a core."""
    return core_size // (length_max + distance)


def drq_positions(
    lengths: Sequence[int],
    core_size: int,
    distance: int,
    seeds: Sequence[int],
    first_battle: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Start positions and first movers of the battles ``first_battle`` + 0, 1, … .

    lengths: instructions of each of the N warriors. seeds: one per battle, in [0, 2**64).
    first_battle: number of the first of these battles; numbers, not indices, govern rotation.

    Returns positions (battles, N), the address of each warrior's first instruction, and first
    (battles,), the index of the warrior that moves first.

    With q, r = divmod(battle, N) and m the q-th (cyclically) of the numbers coprime to N:
    - warrior w has slot (m·w + r) mod N: over each N battles from a multiple of N on, every
      warrior has every slot once, and from one such cycle to the next the neighbours change;
    - the first mover is (q + r) mod N: over N such battles each warrior moves first once, and
      over N·N battles each first mover meets each rotation of the slots once.

    Slot s begins at s·(core_size // N); a warrior stands at an offset in 0 … room there, with
    room = core_size // N − length − distance, both ends included: word·(room + 1) >> 32, where
    ``word`` is the w-th little-endian 32-bit word of the blocks BLAKE2b-512(seed, block number).

    Raises :class:`ConfigError` where a slot cannot hold a warrior and the distance.
    """
    warriors = len(lengths)
    slot = core_size // warriors if warriors else 0
    room = slot - distance - np.asarray(lengths, dtype=np.int64)
    if not warriors or int(room.min()) < 0:
        raise _too_many(lengths, core_size, distance)
    numbers = np.arange(first_battle, first_battle + len(seeds), dtype=np.int64)
    cycle, shift = np.divmod(numbers, warriors)
    strides = _coprime(warriors)[cycle % len(_coprime(warriors))]
    slots = (strides[:, None] * np.arange(warriors) + shift[:, None]) % warriors
    offsets = (_words(seeds, warriors) * (room + 1).astype(np.uint64)) >> np.uint64(32)
    positions = slots * slot + offsets.astype(np.int64)
    return positions.astype(np.int32), ((cycle + shift) % warriors).astype(np.int32)


def _words(seeds: Sequence[int], warriors: int) -> NDArray[np.uint64]:
    """32 random bits for each battle and warrior, shape (battles, warriors)."""
    blocks = [number.to_bytes(8, "little") for number in range(-(-warriors // BLOCK_WORDS))]
    data = b"".join(
        blake2b(seed.to_bytes(8, "little") + block, person=PERSON).digest()
        for seed in seeds
        for block in blocks
    )
    words = np.frombuffer(data, dtype="<u4").reshape(len(seeds), len(blocks) * BLOCK_WORDS)
    return words[:, :warriors].astype(np.uint64)


@lru_cache(maxsize=64)
def _coprime(warriors: int) -> NDArray[np.int64]:
    """The numbers in 1 … N that have no divisor in common with N, ascending."""
    strides = [m for m in range(1, warriors + 1) if gcd(m, warriors) == 1]
    return np.asarray(strides, dtype=np.int64)


def _too_many(lengths: Sequence[int], core_size: int, distance: int) -> ConfigError:
    longest = max(lengths, default=0)
    return ConfigError(
        f"placement: {len(lengths)} warriors share a core of {core_size}, so that a slot has "
        f"{core_size // max(1, len(lengths))} cells; the longest warrior and the distance need "
        f"{longest} + {distance}",
        hint="fewer warriors, shorter ones, or a larger core",
    )
