"""docs/protocol.md says what the code does: its settings, its tests, its worked example."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from wire.support import Pair, draft, keys, node

from deid.wire.config import NodeConfig
from deid.wire.events import ItemReceived, PeerState
from deid.wire.messages import Compare, Items, decode

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text()


def test_every_setting_is_shown_with_its_default() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", TEXT, re.MULTILINE))
    identity = {"name", "address", "seeds"}

    assert {name: int(value.replace(",", "")) for name, value in shown.items()} == {
        each.name: each.default for each in fields(NodeConfig) if each.name not in identity
    }


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    sources = [*(ROOT / "tests" / "wire").glob("*.py"), *(ROOT / "tests" / "sim").glob("*.py")]
    written = {name for path in sources for name in re.findall(r"def (test_\w+)", path.read_text())}

    assert named - written == set()
    assert len(named) > 15


def test_a_partition_heals_as_the_documents_say() -> None:
    a, b, c = sorted(range(1, 4), key=lambda number: keys(number).public)
    pair = Pair(node(a), node(b), node(c))
    for near, far in ((0, 1), (0, 2), (1, 2)):
        pair.link(near, far, f"{near}{far}")
    pair.publish(0, *(draft(number) for number in range(6)))
    pair.publish(2, *(draft(number) for number in range(10, 13)))
    pair.pass_time(3_000)
    started = pair.now_ms
    assert all(each.settled() for each in pair.nodes)

    # Second 0: C is cut off. 0.3: A publishes a7. 2: C publishes c4.
    pair.deliver = lambda near, far, data: None if 2 in (near, far) else data
    pair.pass_time(300)
    pair.publish(0, draft(7))
    assert [len(each.items()) for each in pair.nodes] == [10, 10, 9]
    pair.pass_time(1_700)
    pair.publish(2, draft(14))

    # 5: both sides suspect each other; nothing more is pushed to C.
    pair.pass_time(3_000)
    states = [{peer.key: peer.state for peer in each.peers()} for each in pair.nodes]
    cut = keys(c).public
    assert states[0][cut] is states[1][cut] is PeerState.SUSPECTED
    assert set(states[2].values()) == {PeerState.SUSPECTED}
    pair.log.clear()
    pair.publish(0, draft(8))
    pushed = [far for _, far, data in pair.log if isinstance(decode(data).message, Items)]
    assert pushed == [1]

    # 9: the network is whole. A ping later all are alive, two round trips later all is repaired.
    pair.pass_time(4_000)
    assert pair.now_ms == started + 9_000
    pair.deliver = lambda near, far, data: data
    pair.log.clear()
    pair.pass_time(1_300)
    assert {p.state for each in pair.nodes for p in each.peers()} == {PeerState.ALIVE}
    begun = [near for near, _, data in pair.log if _asks(data)]
    assert begun[0] in (0, 1)
    pair.pass_time(2_000)
    assert [len(each.items()) for each in pair.nodes] == [12, 12, 12]
    assert all(each.settled() for each in pair.nodes)
    got = {event.signed.item.code for event in pair.happened(2, ItemReceived)}
    assert got >= {b"draft 7", b"draft 8"}

    # Then: pings only.
    pair.log.clear()
    pair.pass_time(5_000)
    assert not [1 for _, _, data in pair.log if isinstance(decode(data).message, Compare)]


def _asks(data: bytes) -> bool:
    message = decode(data).message
    return isinstance(message, Compare) and message.ask
