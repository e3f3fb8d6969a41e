"""A process with one transport that sends back what it gets; prints its address first."""

from __future__ import annotations

import asyncio

from net.drive import LOOPBACK, QUICK

from deid.net.transport import Received
from deid.net.zeromq import ZmqTransport


async def main() -> None:
    transport = ZmqTransport(QUICK)
    print(transport.bind(LOOPBACK), flush=True)
    while True:
        await transport.wait(None)
        for arrival in transport.drain(64, 1 << 20):
            if isinstance(arrival, Received):
                transport.send(arrival.link, arrival.data)


if __name__ == "__main__":
    asyncio.run(main())
