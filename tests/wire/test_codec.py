"""What the strict unpacker refuses."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import RemoteError
from deid.wire.codec import MESSAGE_BYTES_MAX, pack, unpack

REFUSED = {
    "nothing": b"",
    "two values": b"\x01\x02",
    "a truncated array": b"\x93\x01",
    "an announced giant": b"\xdd\xff\xff\xff\xff",
    "a long array of nothing": b"\xdc" + struct.pack(">H", 4_097) + b"\xc0" * 4_097,
    "an extension": b"\xd4\x01\x00",
    "a timestamp": msgpack.packb(msgpack.Timestamp(1, 2)),
    "text that is not UTF-8": b"\xa2\xff\xfe",
    "a map with an integer key": b"\x81\x01\x02",
    "a map with an array key": b"\x81\x90\x02",
    "the byte that is never used": b"\xc1",
    "nesting beyond the stack": b"\x91" * 2_000 + b"\x01",
    "more than the most": b"\xc6" + struct.pack(">I", MESSAGE_BYTES_MAX) + bytes(MESSAGE_BYTES_MAX),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_the_unpacker_refuses(data: bytes) -> None:
    with pytest.raises(RemoteError):
        unpack(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = unpack(data)
    except RemoteError:
        return

    assert unpack(pack(value)) == value or value != value  # NaN is a value of no field
