"""Messages: golden bytes, versions, bounds, and the table in the documents."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.support import keys, signed

from deid.errors import LocalError, RemoteError
from deid.wire.messages import (
    DECLARATIONS,
    Absent,
    Accuse,
    Bye,
    Compare,
    Digest,
    Have,
    Hello,
    Items,
    LogSeqs,
    Message,
    Open,
    Peers,
    Ping,
    Pong,
    Probe,
    Progress,
    Proof,
    Pull,
    Reason,
    Refuse,
    Status,
    Suspect,
    Tree,
    Variants,
    Vouch,
    decode,
    encode,
    message_table,
)
from deid.wire.seqset import SeqSet

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"

PROGRESS = Progress(epoch=2, round=3, held=4, root=b"r" * 32)
LOGS = (LogSeqs(b"o" * 32, 2, SeqSet(((1, 3), (6, 6)))),)

# Written by hand from the MessagePack specification: 9n array, c4 binary, a./d9 text.
_PROGRESS = "94" + "c410" + "00" * 15 + "02" + "03" + "04" + "c420" + "72" * 32
_LOGS = "91" + "93" + "c420" + "6f" * 32 + "c410" + "00" * 15 + "02" + "9400020100"
GOLDEN: list[tuple[Message, str]] = [
    (Open(1, 0, b"s" * 8, b"k" * 32, b"n" * 16),
     "96010100" + "c408" + "73" * 8 + "c420" + "6b" * 32 + "c410" + "6e" * 16),
    (Hello(b"s" * 8, b"rec", b"p" * 64, 5),
     "9502" + "c408" + "73" * 8 + "c403726563" + "c440" + "70" * 64 + "05"),
    (Refuse(Reason.FULL, "no"), "930302a26e6f"),
    (Bye(), "9104"),
    (Ping(9, PROGRESS), "930509" + _PROGRESS),
    (Pong(9, PROGRESS), "930609" + _PROGRESS),
    (Status(PROGRESS, (b"l" * 8,)), "9307" + _PROGRESS + "91c408" + "6c" * 8),
    (Peers((b"rec",)), "920891c403726563"),
    (Items((b"raw", b"two")), "920992c403726177c40374776f"),
    (Have(LOGS), "920a" + _LOGS),
    (Compare(True, LOGS, (b"d" * 16,), (b"f" * 32,), b"\0" * 7 + b"\x05"),
     "960bc3" + _LOGS + "91c410" + "64" * 16 + "91c420" + "66" * 32 + "c408" + "00" * 7 + "05"),
    (Pull(LOGS), "920c" + _LOGS),
    (Absent(LOGS), "920d" + _LOGS),
    (Variants(b"o" * 32, 2, SeqSet(((1, 3), (6, 6))), b"v" * 64),
     "950e" + "c420" + "6f" * 32 + "c410" + "00" * 15 + "02" + "9400020100" + "c440" + "76" * 64),
    (Proof(b"one", b"two"), "930fc4036f6e65c40374776f"),
    (Accuse(b"o" * 32, 2, 6, b"b" * 32),
     "9510" + "c420" + "6f" * 32 + "c410" + "00" * 15 + "02" + "06" + "c420" + "62" * 32),
    (Digest(b"h" * 512), "9211c50200" + "68" * 512),
    (Probe(b"k" * 32), "9212c420" + "6b" * 32),
    (Vouch(b"k" * 32), "9213c420" + "6b" * 32),
    (Suspect(b"k" * 32, 3), "9314c420" + "6b" * 32 + "03"),
    (Tree(b"k" * 32, 7, 2, True), "9515c420" + "6b" * 32 + "0702c3"),
]  # fmt: skip
BY_NAME = [type(message).__name__ for message, _ in GOLDEN]


@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=BY_NAME)
def test_golden_bytes(message: Message, expected: str) -> None:
    assert encode(message).hex() == expected
    assert decode(bytes.fromhex(expected)).message == message


def test_every_declared_message_has_golden_bytes() -> None:
    assert [each.built for each in DECLARATIONS.values()] == [type(each) for each, _ in GOLDEN]
    assert list(DECLARATIONS) == list(range(1, len(GOLDEN) + 1))


@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=BY_NAME)
def test_more_fields_come_from_a_newer_minor(message: Message, expected: str) -> None:
    newer = msgpack.packb([*msgpack.unpackb(bytes.fromhex(expected)), "new", 1.5])
    decoded = decode(newer)

    assert decoded.message == message
    assert decoded.unknown_fields == 2


def test_more_fields_inside_a_structure_are_counted_too() -> None:
    number, nonce, progress = msgpack.unpackb(encode(Ping(9, PROGRESS)))
    decoded = decode(msgpack.packb([number, nonce, [*progress, 1]]))

    assert decoded.message == Ping(9, PROGRESS)
    assert decoded.unknown_fields == 1


def test_an_unknown_message_is_no_error() -> None:
    assert decode(msgpack.packb([999, "anything"])).message is None


@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=BY_NAME)
def test_a_missing_field_is_refused(message: Message, expected: str) -> None:
    fields = msgpack.unpackb(bytes.fromhex(expected))
    required = DECLARATIONS[fields[0]].struct.required
    if required:
        with pytest.raises(RemoteError, match=type(message).__name__):
            decode(msgpack.packb(fields[:required]))


BROKEN = {
    "not an array": {"a": 1},
    "no number": [],
    "number is text": ["5"],
    "number is a boolean": [True],
    "number is negative": [-1],
    "short nonce": [1, 1, 0, b"s" * 8, b"k" * 32, b"n" * 15],
    "version as text": [1, "1", 0, b"s" * 8, b"k" * 32, b"n" * 16],
    "unknown reason": [3, 77, "no"],
    "reason with a control character": [3, 2, "a\nb"],
    "reason too long": [3, 2, "x" * 201],
    "ping of a float": [5, 9.0, [b"\0" * 16, 3, 4, b"r" * 32]],
    "progress is a map": [5, 9, {"epoch": 1}],
    "sixty-five neighbours": [7, [b"\0" * 16, 3, 4, b"r" * 32], [b"l" * 8] * 65],
    "sixty-five records": [8, [b"r"] * 65],
    "an empty record": [8, [b""]],
    "a record as text": [8, ["rec"]],
    "an item beyond its most": [9, [b"x" * 65_537]],
    "too many items": [9, [b"x"] * 1_025],
    "too many logs": [12, [[b"o" * 32, b"\0" * 16, [0, 0]]] * 513],
    "odd gaps": [12, [[b"o" * 32, b"\0" * 16, [0]]]],
    "negative gap": [12, [[b"o" * 32, b"\0" * 16, [0, -1]]]],
    "gaps of booleans": [12, [[b"o" * 32, b"\0" * 16, [False, False]]]],
    "gaps beyond the numbers": [12, [[b"o" * 32, b"\0" * 16, [1 << 53, 0]]]],
    "too many ranges": [12, [[b"o" * 32, b"\0" * 16, [0, 0] * 1_025]]],
    "a short digest": [11, True, [], [b"d" * 15], []],
    "too many digests": [11, True, [], [b"d" * 16] * 513, []],
    "too many proven origins": [11, True, [], [], [b"k" * 32] * 65],
    "bodies beyond their most": [14, b"o" * 32, b"\0" * 16, [0, 0], b"v" * (16 * 32_768 + 1)],
    "bodies as a list": [14, b"o" * 32, b"\0" * 16, [0, 0], [b"v" * 16]],
    "a proof of one item": [15, b"one", b""],
    "an item of a proof beyond its most": [15, b"one", b"x" * 65_537],
    "an accused item without a number": [16, b"o" * 32, b"\0" * 16, 0, b"b" * 32],
    "an accused item without its body": [16, b"o" * 32, b"\0" * 16, 1, b""],
    "epoch as a number": [12, [[b"o" * 32, 1, [0, 0]]]],
}


@pytest.mark.parametrize("plain", BROKEN.values(), ids=BROKEN)
def test_a_broken_bound_is_refused(plain: object) -> None:
    with pytest.raises(RemoteError):
        decode(msgpack.packb(plain))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        decoded = decode(data)
    except RemoteError:
        return

    if decoded.message is not None and not decoded.unknown_fields:
        assert decode(encode(decoded.message)) == decoded


@given(st.sampled_from([expected for _, expected in GOLDEN]), st.data())
def test_any_change_of_a_message_is_a_message_or_refused(
    expected: str, data: st.DataObject
) -> None:
    changed = bytearray(bytes.fromhex(expected))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(changed))
    except RemoteError:
        return

    assert decoded.message is None or type(decoded.message).__name__ in BY_NAME


def test_a_message_beyond_the_most_is_our_own_bug() -> None:
    with pytest.raises(LocalError, match="at most 1,048,576 bytes"):
        encode(Items((b"x" * 60_000,) * 20))


def test_items_carry_the_exact_bytes() -> None:
    raws = (signed(1).raw, signed(2, key=3).raw)
    decoded = decode(encode(Items(raws))).message

    assert isinstance(decoded, Items)
    assert decoded.raws == raws
    assert keys(3).public in raws[1]


def test_the_documents_show_the_declared_messages() -> None:
    text = PROTOCOL.read_text()
    table = text.split("<!-- messages: generated -->\n")[1].split("<!-- end -->")[0]

    assert table.strip() == message_table().strip()
