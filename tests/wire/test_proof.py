"""Proofs of equivocation: what is one, and which are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.support import keys, signed

from deid.errors import RemoteError
from deid.wire.item import sign
from deid.wire.proof import Fork, Proofs, open_proof


def fork(key: int, seq: int = 1) -> Fork:
    return Fork.of(signed(seq, key=key), signed(seq, key=key, code=b"other"))


def test_two_items_of_one_name_are_a_proof_whichever_comes_first() -> None:
    one, two = signed(1, key=5), signed(1, key=5, code=b"other")
    opened = open_proof(one.raw, two.raw)

    assert opened == open_proof(two.raw, one.raw)
    assert opened.kept.body_hash < opened.other.body_hash
    assert {opened.kept.raw, opened.other.raw} == {one.raw, two.raw}


@pytest.mark.parametrize(
    "other",
    [
        signed(1, key=5),
        signed(2, key=5),
        signed(1, key=6, code=b"other"),
        signed(1, key=5, epoch=3, code=b"other"),
    ],
    ids=["the same item", "another number", "another origin", "another epoch"],
)
def test_items_that_prove_nothing_are_refused(other: object) -> None:
    with pytest.raises(RemoteError, match="two items of one name"):
        open_proof(signed(1, key=5).raw, other.raw)  # type: ignore[attr-defined]


def test_nobody_proves_equivocation_of_another_key() -> None:
    """An item that its origin did not sign: the body of one, the signature of the other."""
    one, two = signed(1, key=5), signed(1, key=5, code=b"other")
    with pytest.raises(RemoteError, match="signature"):
        open_proof(one.raw, one.raw[:64] + two.raw[64:])
    theirs = sign(signed(1, key=6).item, keys(6)).raw
    with pytest.raises(RemoteError):
        open_proof(one.raw, theirs[:64] + two.raw[64:])


def test_one_proof_of_an_origin_is_kept() -> None:
    table = Proofs(4)

    assert table.add(fork(5))
    assert not table.add(fork(5, seq=2))
    assert table.all() == (fork(5),)


@given(st.permutations(range(1, 9)))
def test_whatever_came_first_those_of_the_smallest_keys_are_kept(order: list[int]) -> None:
    table = Proofs(3)
    for number in order:
        table.add(FORKS[number])
    smallest = sorted(keys(number).public for number in range(1, 9))[:3]

    assert list(table.origins()) == smallest
    assert all(not table.wanted(key) for key in smallest)


FORKS = {number: fork(number) for number in range(1, 9)}
