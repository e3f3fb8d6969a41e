"""How long one gather takes while some peers are stopped: publish, commit, take.

    PYTHONPATH=tests python tests/net/measure_gather.py --peers 16 --stopped 0 1 15

Peers are real cores over real sockets in two other processes, one of which is stopped by SIGSTOP.
The measured node goes on while links fill, miss their heartbeats and are dialled again. Prints a
line for each number of stopped peers; ``lag`` is how late the event loop ran meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from net.drive import LOOPBACK
from net.members import Member, draft

from deid.net.profile import LAN
from deid.net.zeromq import ZmqTransport

CELLS = 40  # as many cells as a search fills, so that the log stays within its quota


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds, of one run."""

    calls_ms: list[float]
    lags_ms: list[float]
    received: int  # items that came from live peers meanwhile
    failures: int

    def line(self, peers: int, stopped: int) -> str:
        gather = f"p50 {_share(self.calls_ms, 50):.2f} p99 {_share(self.calls_ms, 99):.2f}"
        lag = f"p50 {_share(self.lags_ms, 50):.2f} p99 {_share(self.lags_ms, 99):.2f}"
        return (
            f"peers {peers:3d}  stopped {stopped:3d}  calls {len(self.calls_ms)}"
            f"  gather ms {gather} max {max(self.calls_ms):.2f}"
            f"  lag ms {lag} max {max(self.lags_ms):.2f}"
            f"  received {self.received}  failures {self.failures}"
        )


async def measure(peers: int, stopped: int, calls: int, pace_ms: int, chars: int) -> Figures:
    """Gather ``calls`` times, one item of ``chars`` characters each, ``stopped`` of ``peers``
    being stopped just before the first call."""
    transport = ZmqTransport(LAN)
    member = Member("measured", transport, transport.bind(LOOPBACK), profile=LAN)
    groups = {"stopped": stopped, "live": peers - stopped}
    processes = {
        name: await _start(name, count, member.address) for name, count in groups.items() if count
    }
    try:
        await member.knows(peers)
        if "stopped" in processes:
            processes["stopped"].send_signal(signal.SIGSTOP)
        return await _gather(member, calls, pace_ms, chars)
    finally:
        for process in processes.values():
            process.kill()
            await process.wait()
        await member.collective.stop(0)


async def _gather(member: Member, calls: int, pace_ms: int, chars: int) -> Figures:
    collective = member.collective
    calls_ms, lags_ms, received = [], [], 0
    loop = asyncio.get_running_loop()
    next_s = loop.time()
    for number in range(1, calls + 1):
        next_s += pace_ms / 1000
        await asyncio.sleep(max(0.0, next_s - loop.time()))
        lags_ms.append(max(0.0, loop.time() - next_s) * 1000)
        next_s = max(next_s, loop.time())
        item = draft("measured", number, source_chars=chars, cell=number % CELLS)
        begin_s = time.perf_counter()
        signed = collective.publish([item])
        collective.committed([each.name for each in signed])
        snapshot = collective.take(number)
        calls_ms.append((time.perf_counter() - begin_s) * 1000)
        received += len(snapshot.arrivals)
    return Figures(calls_ms, lags_ms, received, collective.counts.failures)


async def _start(name: str, count: int, seed: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__)),
        *("--serve", name, "--peers", str(count), "--seed", seed),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def _serve(name: str, count: int, seed: str) -> None:
    """``count`` members that publish an item a second each, until the process is killed."""
    members = []
    for number in range(count):
        transport = ZmqTransport(LAN)
        address = transport.bind(LOOPBACK)
        members.append(Member(f"{name} {number}", transport, address, [seed], profile=LAN))
    for number in range(1, 1 << 20):
        for member in members:
            item = draft(member.name, number, cell=number % CELLS)
            signed = member.collective.publish([item])
            member.collective.committed([each.name for each in signed])
            await asyncio.sleep(1 / count)


def _share(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=8)
    parser.add_argument("--stopped", type=int, nargs="+", default=[0, 1, 7])
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--pace-ms", type=int, default=6, help="between two calls")
    parser.add_argument("--chars", type=int, default=10_000, help="of source in one item")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--seed", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.peers, options.seed))
        return
    for stopped in options.stopped:
        figures = asyncio.run(
            measure(options.peers, stopped, options.calls, options.pace_ms, options.chars)
        )
        print(figures.line(options.peers, stopped), flush=True)


if __name__ == "__main__":
    main()
