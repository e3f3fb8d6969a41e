from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.search.canonical import Plain, decode, digest, digest_bytes, encode

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_decoding_is_the_inverse_of_encoding(value: object) -> None:
    assert decode(encode(value)) == value  # type: ignore[arg-type]


def test_the_bytes_are_those_of_the_messagepack_specification() -> None:
    value: Plain = {"b": [1, -1, 300, None], "a": True, "": b"\x00"}

    assert encode(value) == bytes.fromhex("83 a0 c401 00 a161 c3 a162 94 01 ff cd012c c0")


def test_the_order_in_which_a_map_was_built_does_not_show() -> None:
    assert encode({"x": 1, "y": 2}) == encode({"y": 2, "x": 1})


def test_tuples_and_lists_are_the_same_array() -> None:
    assert encode((1, (2,))) == encode([1, [2]])


@pytest.mark.parametrize("value", [1.0, [float("nan")], {"a": 0.5}, {1, 2}, object()])
def test_floats_and_objects_have_no_canonical_form(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        encode(value)  # type: ignore[arg-type]


def test_hashes_are_blake2b_of_256_bits() -> None:
    assert digest_bytes(b"abc") == blake2b(b"abc", digest_size=32).digest()
    assert digest([1, "a"]) == blake2b(b"\x92\x01\xa1a", digest_size=32).digest()
