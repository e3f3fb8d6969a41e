"""The node as a whole: what breaks a rule changes nothing; restoring; configuration."""

from __future__ import annotations

import pytest
from wire.support import (
    EPOCH,
    OTHER_TASK,
    draft,
    linked,
    node,
    picture,
    signed,
)

from deid.errors import RemoteError
from deid.wire.config import NodeConfig
from deid.wire.events import (
    InputRefused,
)
from deid.wire.messages import (
    Have,
    Items,
    LogSeqs,
    Ping,
    Progress,
    Pull,
    encode,
)
from deid.wire.seqset import SeqSet

PROGRESS = Progress(EPOCH, 1, 0, b"r" * 32)
NONSENSE = {
    "no MessagePack": b"\xc1",
    "no message": b"\x00",
    "broken bound": b"\x92\x05\xff",
    "hello of nobody": b"\x94\x02"
    + b"\xc4\x08"
    + b"s" * 8
    + b"\xc4\x03rec"
    + b"\xc4\x40"
    + b"p" * 64,
    "forged records": b"\x92\x08\x91\xc4\x50" + b"\x93" * 80,
    "forged item": encode(Items((signed(1, key=5).raw[:-1] + b"\x07",))),
    "item of another task": encode(Items((signed(1, key=5, task_hash=OTHER_TASK).raw,))),
    "endless pull": encode(Pull((LogSeqs(b"o" * 32, 1, SeqSet(((1, 1 << 52),))),))),
    "a log twice": encode(Have((LogSeqs(b"o" * 32, 1, SeqSet(((1, 1),))),) * 2)),
    "too big": encode(Ping(1, PROGRESS)) + bytes(1 << 20),
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_refused_input_changes_nothing(data: bytes) -> None:
    pair = linked(node(1), node(2))
    pair.publish(0, draft(1))
    before = picture(pair.nodes[1])
    pair.nodes[1].receive(pair.now_ms, (0, "a"), data)

    assert picture(pair.nodes[1]) == before
    assert [type(event) for event in pair.nodes[1].events()] == [InputRefused]
    assert pair.nodes[1].outbox() == []


def test_the_picture_of_a_node_sees_changes() -> None:
    """So that the test above can fail."""
    pair = linked(node(1), node(2))
    before = picture(pair.nodes[1])
    pair.nodes[1].receive(pair.now_ms, (0, "a"), encode(Ping(1, PROGRESS)))

    assert picture(pair.nodes[1]) != before


def test_a_stored_item_of_another_task_is_not_restored() -> None:
    with pytest.raises(RemoteError, match="another task"):
        node(1).restore(signed(1, task_hash=OTHER_TASK).raw)


def test_restoring_in_any_order_ends_in_the_same_log() -> None:
    publisher = node(1, window_rounds=2)
    raws = []
    for number in range(1, 9):
        items = publisher.publish(0, [draft(number, round_number=number)])
        publisher.committed(0, [each.name for each in items])
        raws += [each.raw for each in items]
    restored = node(1)
    for raw in reversed(raws):
        restored.restore(raw)

    assert restored.items() == publisher.items()


def test_a_quota_too_small_for_the_newest_of_each_epoch_is_a_wrong_configuration() -> None:
    with pytest.raises(ValueError, match="quota_bytes"):
        NodeConfig("n", quota_bytes=1 << 16)
