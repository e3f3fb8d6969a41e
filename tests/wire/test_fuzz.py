"""Anything may come over a link: ``receive`` never raises, and refusals leave no trace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from wire.support import EPOCH, Pair, draft, keys, node, picture, signed

from deid.errors import RemoteError
from deid.wire.item import open_item
from deid.wire.messages import (
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
    encode,
)
from deid.wire.record import parse_record
from deid.wire.seqset import SEQ_MAX, SeqSet

CODES = (b"one", b"two")  # two items under each name: equivocation

key = st.sampled_from([keys(number).public for number in range(1, 6)]) | st.binary(
    min_size=32, max_size=32
)
epoch = st.sampled_from([0, 1, EPOCH, EPOCH + 1, (1 << 128) - 1])
seqs = (
    st.lists(st.integers(0, 3) | st.sampled_from([1 << 40, SEQ_MAX // 8]), max_size=6)
    .filter(lambda flat: len(flat) % 2 == 0)
    .map(SeqSet.from_gaps)
)
entries = st.lists(st.builds(LogSeqs, key, epoch, seqs), max_size=4)
logs = entries.map(tuple) | entries.map(
    lambda each: tuple({(log.origin, log.epoch): log for log in sorted(each, key=repr)}.values())
)
number = st.integers(0, (1 << 63) - 1)
progress = st.builds(
    Progress, epoch, st.integers(0, (1 << 32) - 1), number, st.binary(min_size=32, max_size=32)
)
ITEMS = [
    signed(seq, key=by, code=code) for seq in range(1, 10) for by in range(1, 6) for code in CODES
]
raw = (
    st.sampled_from([each.raw for each in ITEMS])
    | st.binary(min_size=1, max_size=100)
    | st.builds(lambda at: signed(1).raw[:at], st.integers(1, 300))
)


def variants(count: int, byte: int) -> Variants:
    bodies = bytes([byte]) * 16 * count
    return Variants(keys(2).public, EPOCH, SeqSet(((1, count),)), bodies)


messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Open,
        st.integers(0, 2),
        st.integers(0, 2),
        st.binary(min_size=8, max_size=8),
        key,
        st.binary(min_size=16, max_size=16),
    ),
    st.builds(
        Hello,
        st.binary(min_size=8, max_size=8),
        st.binary(min_size=1, max_size=200),
        st.binary(min_size=64, max_size=64),
        st.integers(0, 255),
    ),
    st.builds(Refuse, st.sampled_from(list(Reason)), st.just("no")),
    st.builds(Bye),
    st.builds(Ping, number, progress),
    st.builds(Pong, number, progress),
    st.builds(Status, progress, st.lists(st.binary(min_size=8, max_size=8), max_size=4).map(tuple)),
    st.builds(Peers, st.lists(st.binary(min_size=1, max_size=200), max_size=3).map(tuple)),
    st.builds(Items, st.lists(raw, max_size=3).map(tuple)),
    st.builds(Have, logs),
    st.builds(
        Compare,
        st.booleans(),
        logs,
        st.lists(st.binary(min_size=16, max_size=16), max_size=4).map(tuple),
        st.lists(key, max_size=3).map(tuple),
        st.binary(min_size=8, max_size=8),
    ),
    st.builds(Pull, logs),
    st.builds(Absent, logs),
    st.builds(Variants, key, epoch, seqs, st.binary(max_size=200)),
    st.builds(variants, st.integers(1, 3), st.integers(0, 255)),
    st.builds(Proof, raw, raw),
    st.builds(Accuse, key, epoch, st.integers(1, 9), st.binary(min_size=32, max_size=32)),
    st.builds(Digest, st.binary(min_size=512, max_size=512)),
    st.builds(Probe, key),
    st.builds(Vouch, key),
    st.builds(Suspect, key, number),
    st.builds(Tree, key, st.integers(1, 9), st.integers(0, 64), st.booleans()),
    st.builds(lambda each: Accuse(*each.name, each.body_hash), st.sampled_from(ITEMS)),
)


def garbled(data: bytes, at: int, value: int) -> bytes:
    changed = bytearray(data)
    changed[at % len(data)] = value
    return bytes(changed)


wire = (
    messages.map(encode)
    | st.builds(garbled, messages.map(encode), st.integers(0, 400), st.integers(0, 255))
    | st.binary(max_size=100)
)
step = st.tuples(st.sampled_from(["a", "a", "a", "b"]), wire, st.integers(0, 900))


@settings(max_examples=120, deadline=None)
@given(st.lists(step, max_size=12))
def test_receive_never_raises_and_refusals_change_nothing(
    steps: list[tuple[str, bytes, int]],
) -> None:
    pair = Pair(node(1), node(2))
    pair.link()
    pair.publish(1, draft(1))
    here, now_ms = pair.nodes[1], pair.now_ms
    for name, data, pause_ms in steps:
        now_ms += pause_ms
        known = here._membership.links.get((0, name)) is not None
        before, refused = picture(here), here.counters.refused
        early, odd = here.counters.early, here.counters.unknown_messages
        here.receive(now_ms, (0, name), data)
        counters = here.counters
        nothing_taken = (counters.early, counters.unknown_messages) != (early, odd)
        only_refused = counters.refused == refused + 1 and b"\x09" not in data[:2]
        if known and (nothing_taken or only_refused):
            assert picture(here) == before
        here.tick(now_ms)
        here.outbox()
        here.events()
        here.dials()

    assert len(here.items()) >= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(step, max_size=20))
def test_whatever_a_peer_says_the_node_still_works_with_another(
    steps: list[tuple[str, bytes, int]],
) -> None:
    pair = Pair(node(1), node(2), node(7))
    pair.link(0, 1, "a")
    for name, data, pause_ms in steps:
        pair.now_ms += pause_ms
        pair.nodes[1].receive(pair.now_ms, (0, name), data)
        pair.nodes[1].tick(pair.now_ms)
        pair.nodes[1].outbox()
    pair.link(2, 1, "c")
    pair.pass_time(2_000)
    items = pair.publish(2, draft(7))

    assert items[0] in pair.nodes[1].items()


@given(st.binary(max_size=400))
def test_any_bytes_are_no_item(data: bytes) -> None:
    try:
        open_item(data)
    except RemoteError:
        return
    raise AssertionError("random bytes carried a valid signature")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        parsed = parse_record(data)
    except RemoteError:
        return

    assert parsed.raw == data
