"""Figures of the protocol core: ``python tests/sim/bench.py [--size 1000]``.

Messages a second of one node, a simulated hour of 32 idle nodes, and one large cluster.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from sim.cluster import Cluster, Weather  # noqa: E402
from sim.large import TASK, run_large  # noqa: E402
from wire.support import draft, linked, node  # noqa: E402

from deid.wire.config import NodeConfig  # noqa: E402
from deid.wire.messages import Have, Items, LogSeqs, Ping, Pong, Status, encode  # noqa: E402
from deid.wire.seqset import SeqSet  # noqa: E402

ROUNDS = 6_000


def messages_a_second() -> float:
    """A settled node is told what a busy peer tells: pings, pongs, statuses, items and names that
    it holds already; its answers are drained, its clock runs on."""
    pair = linked(node(1), node(2))
    items = pair.publish(0, *(draft(number) for number in range(8)))
    here, there = pair.nodes[1], pair.nodes[0]
    progress = there._progress()
    name = items[0].name
    batch = [
        encode(Ping(7, progress)),
        encode(Pong(7, progress)),
        encode(Status(progress, ())),
        encode(Items((items[0].raw,))),
        encode(Have((LogSeqs(name.origin, name.epoch, SeqSet(((1, 8),))),))),
    ]
    now_ms, started = pair.now_ms, time.perf_counter()
    for turn in range(ROUNDS):
        for data in batch:
            here.receive(now_ms, (0, "a"), data)
        if turn % 8 == 0:
            now_ms += 5
            here.tick(now_ms)
            here.events()
            here.outbox()
    return ROUNDS * len(batch) / (time.perf_counter() - started)


def idle_hour(size: int = 32) -> tuple[float, int]:
    """Seconds that a simulated hour of ``size`` idle nodes takes, and its messages."""
    cluster = Cluster(1)
    cluster.weather = Weather(delay_ms=(1, 20))
    addresses = tuple(f"tcp://node{number}" for number in range(size))
    for number, address in enumerate(addresses):
        cluster.add(NodeConfig(f"node{number}", address=address, seeds=addresses), TASK)
        cluster.nodes[-1].keeps_events = False
        cluster.at(0, cluster.nodes[-1].start)
    cluster.run(10_000)
    before = sum(each.node.counters.messages for each in cluster.nodes)
    started = time.perf_counter()
    cluster.run(3_610_000)
    seconds = time.perf_counter() - started
    return seconds, sum(each.node.counters.messages for each in cluster.nodes) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=0, help="run a large cluster of so many, too")
    options = parser.parse_args()
    print(f"one core: {messages_a_second():,.0f} messages/s")
    seconds, messages = idle_hour()
    print(f"a simulated hour of 32 idle nodes: {seconds:.1f} s, {messages:,} messages")
    if options.size:
        started = time.perf_counter()
        print(run_large(1, options.size))
        print(f"a cluster of {options.size:,}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
