"""``deid run``: one daemon in the foreground, from its configuration to its exit code."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from deid.config import Config
from deid.daemon.daemon import Daemon

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run(config: Config, *, until_done: bool, linger_s: float) -> int:
    """Runs until stopped (SIGTERM, SIGINT, ``deictl stop``), or until done where asked.

    Returns 0; raises :class:`deid.errors.DeidError` where the daemon cannot start or go on. The
    first signal ends it in order, a second one at once.
    """
    daemon = Daemon(config)
    loop = asyncio.get_running_loop()

    opening = asyncio.create_task(daemon.open(), name="open")

    def stop() -> None:
        if not daemon.request_stop():
            os._exit(130)
        log.info("daemon.stopping")
        opening.cancel()  # an operator may take a minute to be built

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.wait((opening,))
        if not opening.cancelled():
            opening.result()
            log.info("daemon.running", node=config.node.name, address=daemon.address)
            await daemon.run(until_done=until_done, linger_s=linger_s)
    finally:
        opening.cancel()
        await asyncio.wait((opening,))
        await daemon.close()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    log.info("daemon.stopped")
    return 0
