"""Frames: what is packed comes back, and nothing else is taken."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import pytest
from daemon.support import request
from hypothesis import given
from hypothesis import strategies as st

from deid.daemon.frames import (
    Cancel,
    Complete,
    Completed,
    EvaluationFailed,
    EvaluationInit,
    Failed,
    Frame,
    FrameError,
    Init,
    NotCompleted,
    Propose,
    Proposed,
    Ready,
    Refused,
    Result,
    Task,
    pack,
    unpack,
)
from deid.plugin import Completion, Example, Kind, Message, Usage
from deid.plugin.toy import ToyDomain
from deid.search.evaluation import Evaluation

DOMAIN = ToyDomain()
PARENT = Example("start 5\nalways add 3\n", b"\x05\x00\x00\x33", 1.25, (3.5, -0.25), "beta")
FRAMES: list[Frame] = [
    Init(
        "edit",
        {"steps": 3, "tables": {"a": [1.5, "x"]}},
        "toy",
        {},
        "n",
        2**64 - 1,
        ("m",),
        (),
        9,
        5,
    ),
    Propose(3, request(kind=Kind.CROSS, parents=(PARENT, PARENT), feedback=("no", "näh"))),
    Cancel(3),
    Completed(1, Completion("text", "m", Usage(1, 2, 3, 4), "length")),
    NotCompleted(1, "rate-limited", "429"),
    Ready(),
    Refused(True, "message", "hint"),
    Proposed(3, ("a", "b"), 7, "note", "model", b"\x00\xff"),
    Failed(3, "raised", "why"),
    Complete(1, 3, (Message("user", "hi"), Message("system", "")), {"top_p": 0.5}),
    EvaluationInit("toy", {}, (), ("x",), 0),
    Task(DOMAIN.opponents()[0], DOMAIN.reference(), 2, 8),
    Result(Evaluation(2**40, (1, 2), 10)),
    EvaluationFailed("why"),
]


def body(*values: object) -> bytes:
    packed: bytes = msgpack.packb(list(values))
    return packed


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_comes_back_as_it_was(frame: Frame) -> None:
    data = pack(frame)

    assert struct.unpack(">I", data[:4])[0] == len(data) - 4
    assert unpack(data[4:]) == frame


def test_a_context_comes_back_with_the_same_hash() -> None:
    task = FRAMES[11]
    assert isinstance(task, Task)
    back = unpack(pack(task)[4:])

    assert isinstance(back, Task)
    assert back.context.context_hash == task.context.context_hash
    assert back.genome.content_hash == task.genome.content_hash


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no msgpack"),
        (b"\xc1", "no msgpack"),
        (b"\x91\xd9\xff", "no msgpack"),
        (body("Cancel", 1) + b"\x00", "no msgpack"),
        (msgpack.packb([msgpack.ExtType(1, b"x")]), "no msgpack"),
        (msgpack.packb({"Cancel": 1}), "begins with a name"),
        (body(), "begins with a name"),
        (body(1, 2), "begins with a name"),
        (body("Dance", 1), "unknown message 'Dance'"),
        (body("Cancel"), "has 1 fields, got 0"),
        (body("Cancel", 1, 2), "has 1 fields, got 2"),
        (body("Cancel", "1"), "Cancel.call: expected int, got '1'"),
        (body("Cancel", True), "Cancel.call: expected int, got True"),
        (body("Proposed", 1, ["a", 2], 0, "", "", b""), "Proposed.candidates: expected str"),
        (body("Proposed", 1, "ab", 0, "", "", b""), "Proposed.candidates: expected list"),
        (body("Proposed", 1, [], 0, "", "", ""), "Proposed.prompt_hash: expected bytes"),
        (body("Complete", 1, 1, [["user"]], {}), "Message has 2 fields, got 1"),
        (body("Complete", 1, 1, [], []), "Complete.options: expected dict"),
        (body("Propose", 1, ["dance", [], [], [], 1, 1, 1, 1.0, 1]), "'dance' is no Kind"),
        (msgpack.packb(["Complete", 1, 1, [], {1: 2}]), "no msgpack"),
        (msgpack.packb(["Complete", 1, 1, [], {b"x": 2}]), "Complete.options: expected str"),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(data: bytes, says: str) -> None:
    with pytest.raises(FrameError) as caught:
        unpack(data)

    assert says in str(caught.value)


@given(st.binary(max_size=200))
def test_random_bytes_give_a_frame_or_a_frame_error(data: bytes) -> None:
    try:
        frame = unpack(data)
    except FrameError:
        return

    assert unpack(pack(frame)[4:]) == frame


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(st.sampled_from(FRAMES), st.lists(PLAIN, max_size=11))
def test_wrong_fields_give_a_frame_error_and_no_other(frame: Frame, values: list[Any]) -> None:
    try:
        taken = unpack(body(type(frame).__name__, *values))
    except FrameError:
        return

    assert type(taken) is type(frame)


def test_a_frame_over_the_limit_is_not_sent() -> None:
    with pytest.raises(FrameError, match="is over the 100 of a frame"):
        pack(NotCompleted(1, "x" * 100, ""), 100)


@pytest.mark.parametrize("value", [object(), 1 << 64, "\ud800", {1: 2}.keys()])
def test_what_msgpack_cannot_hold_is_not_sent(value: object) -> None:
    with pytest.raises(FrameError, match="Complete cannot be sent"):
        pack(Complete(1, 1, (), {"x": value}))
