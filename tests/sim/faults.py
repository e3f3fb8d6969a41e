"""What goes wrong in a run: faults of the network and of nodes, one scheduled action each."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from sim.cluster import Cluster, SimNode

KINDS = (
    "crash", "host", "cut", "one-way", "split", "slow", "leave", "amnesia", "stop", "clock", "move",
)  # fmt: skip
CLOCK_JUMPS_MS = (-30_000, -500, 3_000, 60_000)


def schedule_fault(
    cluster: Cluster, chaos_ms: int, chance: random.Random, *, amnesia: bool
) -> None:
    """Draw one fault and schedule it, and its end."""
    start = chance.randint(500, chaos_ms - 2_000)
    end = min(chaos_ms, start + chance.randint(500, 6_000))
    node = chance.choice(cluster.nodes)
    kind = chance.choice(KINDS)
    match kind:
        case "crash" | "host":
            cluster.at(start, partial(node.stop, host=kind == "host"))
            cluster.at(end, partial(restart, node))
        case "move":
            cluster.at(start, partial(_move, node))
            cluster.at(end, partial(restart, node))
        case "amnesia" if amnesia:
            keep = chance.random() < 0.5
            cluster.at(start, partial(node.stop, host=False))
            cluster.at(start, partial(node.amnesia, keep_epoch=keep))
            cluster.at(end, partial(restart, node))
        case "leave":
            back = chance.random() < 0.5 or node.number == 0  # the seed of all others comes back
            cluster.at(start, partial(_leave, node, for_good=not back))
            if back:
                cluster.at(end, partial(restart, node))
        case "slow":
            cluster.at(start, partial(setattr, node, "slow_until_ms", end))
        case "stop":
            cluster.at(start, partial(setattr, node, "stopped_until_ms", end))
        case "clock":
            jump_ms = chance.choice(CLOCK_JUMPS_MS)
            cluster.at(start, partial(setattr, node, "clock_ms", jump_ms))
        case "cut" | "one-way" | "split":
            _schedule_cut(cluster, kind, node, chance, start, end)
        case _:
            pass


def _schedule_cut(
    cluster: Cluster, kind: str, node: SimNode, chance: random.Random, start: int, end: int
) -> None:
    if kind == "split":
        side = {each.number for each in cluster.nodes if chance.random() < 0.5}
        numbers = range(len(cluster.nodes))
        pairs = {(a, b) for a in numbers for b in numbers if (a in side) != (b in side)}
    else:
        other = chance.choice(cluster.nodes)
        pairs = {(node.number, other.number)}
        pairs |= set() if kind == "one-way" else {(other.number, node.number)}
    cluster.at(start, lambda: cluster.weather.cut.update(pairs))
    cluster.at(end, lambda: cluster.weather.cut.difference_update(pairs))


def restart(node: SimNode) -> None:
    if not node.up and not node.gone:
        node.start()


def heal(cluster: Cluster) -> None:
    """The end of all faults: who did not leave for good is there."""
    cluster.weather = replace(cluster.weather, loss=0.0, duplicate=0.0, reorder=0.0, cut=set())
    for node in cluster.nodes:
        node.slow_until_ms = node.stopped_until_ms = 0
        node.host_up = True
        if node.life == 0:
            node.start()
        restart(node)


def _move(node: SimNode) -> None:
    """The host goes down and comes back elsewhere; the first, which all others know, stays."""
    node.stop(host=True)
    if node.number and node.config.address:
        node.move(f"{node.config.address}-moved")


def _leave(node: SimNode, *, for_good: bool) -> None:
    if node.up:
        node.node.leave(node.now_ms)
        node.after()
        node.stop(host=False)
    node.gone = node.gone or for_good
