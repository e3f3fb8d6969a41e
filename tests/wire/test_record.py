"""Peer records and the proof of a link's other end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wire.support import EPOCH, TASK, keys

from deid.errors import LocalError, RemoteError
from deid.wire.keys import verify_signature
from deid.wire.messages import Open
from deid.wire.record import (
    PeerRecord,
    answer,
    parse_record,
    sign_record,
    verified_hello,
    verified_record,
)

RECORD = PeerRecord(keys(1).public, 4, EPOCH, "alpha", "tcp://host1:1", TASK, 0)
OPENED = Open(1, 0, b"s" * 8, keys(2).public, b"n" * 16)


def test_a_record_comes_back_as_it_was_signed() -> None:
    signed = sign_record(RECORD, keys(1))

    assert verified_record(parse_record(signed.raw), verify_signature).record == RECORD


def test_only_its_subject_can_change_a_record() -> None:
    forged = sign_record(replace(RECORD, incarnation=5), keys(2))

    with pytest.raises(RemoteError, match="not its own"):
        verified_record(forged, verify_signature)


def test_an_address_with_a_line_break_cannot_be_signed() -> None:
    with pytest.raises(LocalError, match="address: expected text"):
        sign_record(replace(RECORD, address="tcp://a\nb"), keys(1))


def test_a_hello_proves_its_key_to_who_asked() -> None:
    hello = answer(OPENED, sign_record(RECORD, keys(1)), b"t" * 8, keys(1))

    proven = verified_hello(hello, OPENED.nonce, keys(2).public, verify_signature)
    assert proven.record == RECORD


@pytest.mark.parametrize("what", ["nonce", "asker", "session", "record", "key"])
def test_a_hello_does_not_hold_elsewhere(what: str) -> None:
    record = sign_record(RECORD, keys(1))
    hello = answer(OPENED, record, b"t" * 8, keys(3 if what == "key" else 1))
    nonce = b"m" * 16 if what == "nonce" else OPENED.nonce
    asker = keys(4).public if what == "asker" else keys(2).public
    if what == "session":
        hello = replace(hello, session=b"u" * 8)
    if what == "record":
        hello = replace(hello, record=sign_record(replace(RECORD, incarnation=9), keys(1)).raw)

    with pytest.raises(RemoteError, match="proof"):
        verified_hello(hello, nonce, asker, verify_signature)


def test_known_bytes_are_not_verified_again() -> None:
    record = sign_record(RECORD, keys(1))
    hello = answer(OPENED, record, b"t" * 8, keys(1))
    checks: list[bytes] = []

    def counting(public: bytes, signature: bytes, message: bytes) -> bool:
        checks.append(message)
        return verify_signature(public, signature, message)

    verified_hello(hello, OPENED.nonce, keys(2).public, counting, record)

    assert len(checks) == 1
