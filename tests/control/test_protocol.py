"""The control channel's messages: exact round trips, strict refusals, stable JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import msgpack
import pytest
from control.fake import EVERY_REPLY, KEY, archive, cell, peers, status
from hypothesis import given
from hypothesis import strategies as st

from deid.control.protocol import (
    CONTROL_VERSION,
    REQUEST_BYTES_MAX,
    Failure,
    Request,
    Verb,
    decode_reply,
    decode_request,
    encode_failure,
    encode_reply,
    encode_request,
    request_id_of,
    to_json,
)
from deid.control.views import Scope
from deid.errors import (
    ConfigError,
    ControlError,
    DeidError,
    NoPeerError,
    NothingMatchedError,
    NotPermittedError,
    OperatorFailure,
)


@pytest.mark.parametrize("kind", EVERY_REPLY)
def test_every_reply_comes_back_as_it_was(kind: str) -> None:
    reply = EVERY_REPLY[kind]()

    assert decode_reply(encode_reply(7, reply)) == (7, reply)


@pytest.mark.parametrize("verb", Verb)
def test_every_request_comes_back_as_it_was(verb: Verb) -> None:
    request = Request(5, verb, "ab12")

    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize("kind", EVERY_REPLY)
def test_json_says_its_kind_and_version_first_and_holds_every_field(kind: str) -> None:
    reply = EVERY_REPLY[kind]()

    document = json.loads(to_json(reply))

    assert list(document)[:2] == ["schema_version", "kind"]
    assert document["schema_version"] == 1
    assert list(document)[2:] == [field.name for field in fields(reply)]


def test_json_writes_bytes_as_hex_and_an_epoch_as_32_digits() -> None:
    row = json.loads(to_json(archive(Scope.MERGED)))["rows"][0]

    assert row["content_hash"] == "01" * 32
    epoch = "00000000" + f"{1_700_000_000:08x}" + "0000000000000007"
    assert row["name"] == {"origin": KEY.hex(), "epoch": epoch, "seq": 3}


def test_json_of_equal_replies_is_the_same_text() -> None:
    assert to_json(archive(Scope.MERGED)) == to_json(archive(Scope.MERGED))


def test_a_merged_archive_takes_no_field_that_is_local_to_a_node() -> None:
    with pytest.raises(ValueError, match="local to a node"):
        replace(archive(Scope.MERGED), node="alpha")
    with pytest.raises(ValueError, match="local to a node"):
        replace(archive(Scope.MERGED), round=3)


def test_an_archive_has_one_row_a_cell_in_ascending_order() -> None:
    rows = (cell((2, 3), 1.0, "a"), cell((0, 1), 1.0, "a"))

    with pytest.raises(ValueError, match="ascend"):
        archive(rows=rows)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "MessagePack"),
        (b"\xc1", "MessagePack"),
        (b"\x80", "array"),
        (msgpack.packb("hello"), "array"),
        (msgpack.packb([]), "no message"),
        (msgpack.packb(["http", 1, 1, "status", ""]), "no message"),
        (msgpack.packb(["deid-control", True, 1, "status", ""]), "no message"),
        (msgpack.packb(["deid-control", 1]), "Request"),
        (msgpack.packb(["deid-control", 1, -1, "status", ""]), "Request.id"),
        (msgpack.packb(["deid-control", 1, True, "status", ""]), "Request.id"),
        (msgpack.packb(["deid-control", 1, 1, "format-disk", ""]), "Request.verb"),
        (msgpack.packb(["deid-control", 1, 1, ["status"], ""]), "Request.verb"),
        (msgpack.packb(["deid-control", 1, 1, "show", "a" * 129]), "Request.argument"),
        (msgpack.packb(["deid-control", 1, 1, "show", "\x1b[2J"]), "Request.argument"),
        (msgpack.packb(["deid-control", 1, 1, "show", b"ab"]), "Request.argument"),
        (msgpack.packb(["deid-control", 1, 1, "show", {"a": 1}]), "MessagePack"),
        (msgpack.packb("x" * REQUEST_BYTES_MAX), "4,096 bytes"),
        (b"\x91" * 3_000 + b"\xc0", "MessagePack"),
        (b"\xdd\xff\xff\xff\xff", "MessagePack"),
        (encode_request(Request(1, Verb.STATUS)) + b"\x00", "MessagePack"),
    ],
)
def test_a_malformed_request_is_refused_with_its_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(ControlError, match=reason):
        decode_request(frame)


def test_another_version_is_refused_by_naming_both() -> None:
    frame = msgpack.packb(["deid-control", CONTROL_VERSION + 1, 1, "whatever", {"new": 1}][:4])

    with pytest.raises(ControlError, match="2 meets 1") as caught:
        decode_request(frame)

    assert caught.value.hint == "use deictl and deid of the same version"


def test_a_field_of_a_newer_minor_version_is_ignored() -> None:
    frame = msgpack.packb(["deid-control", 1, 1, "status", "", "new"])

    assert decode_request(frame) == Request(1, Verb.STATUS)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_control_error(frame: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            decode(frame)
        except ControlError:
            continue


@given(st.data())
def test_no_damaged_reply_raises_anything_but_a_control_error(data: st.DataObject) -> None:
    frame = bytearray(encode_reply(1, archive()))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    try:
        decode_reply(bytes(frame))
    except ControlError:
        return


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ControlError("a", hint="b"), ControlError),
        (NothingMatchedError("a", hint="b"), NothingMatchedError),
        (NotPermittedError("a", hint="b"), NotPermittedError),
        (NoPeerError("a", hint="b"), NoPeerError),
        (ConfigError("a", hint="b"), ConfigError),
        (DeidError("a", hint="b"), ControlError),
    ],
)
def test_an_error_arrives_as_its_class_with_message_and_hint(
    error: DeidError, raised: type[DeidError]
) -> None:
    number, failure = decode_reply(encode_failure(9, error))

    assert number == 9
    assert isinstance(failure, Failure)
    arrived = failure.exception()
    assert type(arrived) is raised
    assert (arrived.message, arrived.hint) == ("a", "b")
    assert arrived.exit_code == error.exit_code


def test_an_error_without_a_class_of_its_own_keeps_its_message() -> None:
    frame = encode_failure(1, OperatorFailure("edit", "raised", "boom " + "é" * 9_000))

    failure = decode_reply(frame)[1]

    assert isinstance(failure, Failure)
    assert failure.message.startswith("plugin 'edit': boom")
    assert len(failure.message.encode()) <= 8_192


def test_a_reply_beyond_its_limits_is_refused_where_it_is_made() -> None:
    with pytest.raises(ControlError, match=r"Status\.node"):
        encode_reply(1, replace(status(), node="a" * 300))
    with pytest.raises(ControlError, match=r"Peers\.peers"):
        encode_reply(1, replace(peers(), peers=peers().peers * 4_097))
    with pytest.raises(ControlError, match="finite"):
        encode_reply(1, replace(status(), uptime_s=float("nan")))


def test_a_request_that_cannot_be_taken_still_tells_its_id() -> None:
    assert request_id_of(msgpack.packb(["deid-control", 1, 77, "nonsense"])) == 77
    assert request_id_of(b"\xc1") == 0
    assert request_id_of(msgpack.packb(["deid-control", 1, "x"])) == 0
