"""What waits for a link."""

from __future__ import annotations

from deid.wire.outbox import Outbox


def test_control_overtakes_items_and_each_keeps_its_order() -> None:
    box = Outbox(100, 100)
    box.put("a", b"item 1", bulk=True)
    box.put("a", b"item 2", bulk=True)
    box.put("a", b"ping 1")
    box.put("a", b"ping 2")

    assert [data for _, data in box.drain()] == [b"ping 1", b"ping 2", b"item 1", b"item 2"]


def test_a_full_lane_drops_says_so_and_harms_no_other() -> None:
    box = Outbox(10, 10)

    assert box.put("a", b"x" * 10, bulk=True)
    assert not box.put("a", b"y", bulk=True)
    assert box.put("a", b"ping")
    assert box.put("b", b"z" * 10, bulk=True)
    assert (box.dropped, box.bytes) == (1, 24)


def test_a_blocked_link_keeps_what_waits_for_it() -> None:
    box = Outbox(10, 10)
    box.put("a", b"1")
    box.put("b", b"2")

    assert box.drain(blocked={"a"}) == [("b", b"2")]
    assert box.drain() == [("a", b"1")]
    assert box.drain() == []


def test_a_lost_link_takes_its_queue_along() -> None:
    box = Outbox(10, 10)
    box.put("a", b"1")
    box.forget("a")

    assert box.drain() == []
