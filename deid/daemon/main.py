"""``deid run``: one daemon in the foreground, from its configuration to its exit code."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from deid.config import Config
from deid.daemon.daemon import Daemon

log = structlog.get_logger(__name__)


async def run(config: Config, *, until_done: bool, linger_s: float) -> int:
    """Runs until stopped (SIGTERM, SIGINT, ``deictl stop``), or until done where asked.

    Returns 0; raises :class:`deid.errors.DeidError` where the daemon cannot start or go on. The
    first signal ends it in order, a second one at once.
    """
    daemon = Daemon(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not daemon.request_stop():
            os._exit(130)
        log.info("daemon.stopping")

    await daemon.open()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        log.info("daemon.running", node=config.node.name, address=daemon.address)
        await daemon.run(until_done=until_done, linger_s=linger_s)
    finally:
        await daemon.close()
    log.info("daemon.stopped")
    return 0
