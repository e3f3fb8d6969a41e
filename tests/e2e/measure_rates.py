"""Measures whether peers cost a node its rate: alone, silent seeds, a live peer, a stopped peer.

    python tests/e2e/measure_rates.py [--runs 5] [--rounds 12]

One line a case: the median rate of evaluations, and the median, least and greatest of its ratios to
the run alone of the same turn. The peer has finished its own rounds, so that it takes no processor
from the node that is measured; it is live: it answers, and hands out what it holds.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from e2e.swarm import Node, is_done, until

from deid.cli.fleet import free_ports
from deid.control.views import RunState, Status

NAMES = ("alone", "silent seeds", "live peer", "stopped peer")


def rate(node: Node, ready: Callable[[Status], bool], begin: Callable[[], None]) -> float:
    """Evaluations a second of ``node``, from the end of its first round on to its last.

    ready: whether the situation to be measured has come about; begin: then called once.
    """
    node.start()
    first: list[Status] = []

    def begun() -> bool:
        status = node.status()
        if status is None or not ready(status):
            return False
        first.append(status)
        return True

    until(begun, "the situation to measure")
    begin()
    started_s = time.monotonic()
    last = first[-1]
    while last.state is not RunState.DONE:
        time.sleep(0.05)
        last = node.status() or last
    return (last.evaluations - first[-1].evaluations) / (time.monotonic() - started_s)


def turn(base: Path, number: int, rounds: int, peer: Node, silent: tuple[int, int]) -> list[float]:
    """One run of each case, in the order of :data:`NAMES`; each has its own folder and key."""

    def node(case: str, seeds: list[int]) -> Node:
        folder = base / f"{case}{number}"
        folder.mkdir()
        return Node("alpha", folder, free_ports(1)[0], seeds, rounds=rounds, iterations=60)

    def nothing() -> None:
        return

    def past_first_round(status: Status) -> bool:
        return status.round >= 1

    def met(status: Status) -> bool:
        return status.round >= 1 and status.peers_alive == 1

    rates = []
    for case, seeds, ready, begin in (
        ("alone", [], past_first_round, nothing),
        ("silent", list(silent), past_first_round, nothing),
        ("live", [peer.port], met, nothing),
        ("stopped", [peer.port], met, lambda: peer.send(signal.SIGSTOP)),
    ):
        measured = node(case, seeds)
        try:
            rates.append(rate(measured, ready, begin))
        finally:
            peer.send(signal.SIGCONT)
            measured.close()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="deid-rates-", dir="/tmp"))
    peer_port, closed = free_ports(2)
    peer = Node("peer", base, peer_port, rounds=3)
    try:
        peer.start()
        until(lambda: is_done(peer), "the peer has finished its rounds")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            silent = (closed, mute.getsockname()[1])
            turns = [turn(base, n, options.rounds, peer, silent) for n in range(options.runs)]
    finally:
        peer.close()
        shutil.rmtree(base)
    for case, name in enumerate(NAMES):
        rates = [each[case] for each in turns]
        ratios = [each[case] / each[0] for each in turns]
        print(
            f"{name:<13} {statistics.median(rates):7.1f} evaluations/s, ratio to alone"
            f" {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
