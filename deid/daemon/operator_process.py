"""An operator in a child process: what it does to itself, it does to nobody else.

A call over its deadline is first cancelled, which costs that call alone; if the child does not
answer at once its loop is blocked, and the whole process group is killed. Whatever ends the
process, the calls in flight on it fail with outcome ``crashed`` (``garbage`` if it broke the
channel's format), and the next call starts a new one, after a pause that doubles with every crash
in a row.
"""

from __future__ import annotations

import asyncio

import structlog

from deid.daemon.breaker import BreakerPolicy
from deid.daemon.child import Child, Exit
from deid.daemon.frames import (
    Frame,
    FrameError,
    Init,
    Ready,
    Refused,
    pack,
)
from deid.daemon.operator_port import (
    NO_MODEL,
    ModelCall,
    OperatorCounters,
    Relay,
    Watch,
)
from deid.daemon.operator_run import OperatorRun, ProcessOptions, quote
from deid.daemon.proposals import Taken
from deid.errors import ConfigError, OperatorFailure, PluginError
from deid.plugin.contracts import (
    OperatorPlugin,
    Proposal,
    Request,
    Settings,
)

__all__ = ["ProcessOperator", "ProcessOptions"]

CHILD_MODULE = "deid.daemon.operator_child"

log = structlog.get_logger(__name__)


class ProcessOperator:
    """See the module; an :class:`deid.daemon.operator_port.OperatorPort`."""

    def __init__(
        self,
        plugin: OperatorPlugin,
        settings: Settings,
        domain: str,
        domain_settings: Settings,
        node: str,
        seed: int,
        options: ProcessOptions | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> None:
        self.kind = plugin.name
        self.needs_model = plugin.needs_model
        self._options = options or ProcessOptions()
        self._init = Init(
            kind=plugin.name,
            settings=settings,
            domain=domain,
            domain_settings=domain_settings,
            node=node,
            seed=seed,
            modules=self._options.modules,
            disabled=self._options.disabled,
            memory_max_mb=self._options.memory_max_mb,
            niceness=self._options.niceness,
        )
        self._watch = Watch(plugin.name, breaker)
        self._run: OperatorRun | None = None
        self._starting: asyncio.Task[OperatorRun] | None = None
        self._starts = 0
        self._crashes = 0  # in a row
        self._not_before = 0.0  # loop time
        self._cpu_s = 0.0  # of the processes that ended
        self._closed = False

    async def start(self) -> None:
        """See :class:`OperatorPort`; returns when the child says that it is ready."""
        try:
            pack(self._init)
        except FrameError as error:
            raise ConfigError(
                f"operator {self.kind!r}: a setting is no plain value: {error}"
            ) from error
        await self._running()

    async def propose(self, request: Request, model: ModelCall = NO_MODEL) -> Proposal:
        """See :class:`OperatorPort`; the deadline counts from when the child is ready."""
        relay = Relay(model)
        return await self._watch.run(self._ask, request, relay)

    async def available(self) -> None:
        """See :class:`OperatorPort`."""
        await self._watch.available()

    def counters(self) -> OperatorCounters:
        """See :class:`OperatorPort`."""
        run = self._run
        alive = run is not None and not run.ended
        return self._watch.counters(
            restarts=max(0, self._starts - 1),
            cpu_s=self._cpu_s + (run.child.cpu_s() if run is not None and alive else 0.0),
            pid=run.child.pid if run is not None and alive else 0,
        )

    async def close(self) -> None:
        """See :class:`OperatorPort`."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        if self._run is not None:
            await self._run.close(self._options.stop_grace_s)

    async def _ask(self, request: Request, relay: Relay) -> Taken:
        wait_s = self._not_before - _now()
        if wait_s > request.deadline_s:
            message = f"not asked: its process is started again in {wait_s:.1f} s"
            raise OperatorFailure(self.kind, "refused", message)
        try:
            run = await self._running()
        except OperatorFailure:
            raise
        except (ConfigError, PluginError) as error:  # it was built once, and is not any more
            raise OperatorFailure(self.kind, "crashed", error.message, hint=error.hint) from error
        taken = await run.call(request, relay)
        self._crashes = 0
        return taken

    async def _running(self) -> OperatorRun:
        """The live child, started if there is none; callers share one start."""
        if self._closed:
            raise OperatorFailure(self.kind, "refused", "the operator is closed")
        if self._run is not None and not self._run.ended:
            return self._run
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._started)
        return await asyncio.shield(self._starting)

    def _started(self, task: asyncio.Task[OperatorRun]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # whoever shares the start gets it; nobody may be left to

    async def _start(self) -> OperatorRun:
        if self._run is not None:
            await self._run.close(0.0)
        await asyncio.sleep(max(0.0, self._not_before - _now()))
        try:
            child = await Child.start(CHILD_MODULE, self._heard, self._options.environment)
        except OSError as error:
            message = f"no process can be made: {error}"
            raise OperatorFailure(self.kind, "crashed", message) from error
        self._starts += 1
        child.exited.add_done_callback(self._exited)
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                await child.channel.send(self._init)
                answer = await child.channel.receive()
        except TimeoutError:
            answer = None
            child.kill()
        except (OSError, FrameError):
            answer = None
        except BaseException:  # the start was cancelled
            child.kill()
            await asyncio.shield(child.close(0.0))
            raise
        if not isinstance(answer, Ready):
            await self._not_started(child, answer)
        self._run = OperatorRun(self.kind, child, self._options)
        return self._run

    async def _not_started(self, child: Child, answer: Frame | None) -> None:
        """Always raises; the child is gone then."""
        ended = await child.close(self._options.stop_grace_s)
        if isinstance(answer, Refused):
            if answer.config:
                raise ConfigError(answer.message, hint=answer.hint or None)
            raise PluginError(self.kind, answer.message, hint=answer.hint or None)
        raise OperatorFailure(
            self.kind, "crashed", f"its process {ended} before it was ready{quote(child)}"
        )

    def _exited(self, exited: asyncio.Future[Exit]) -> None:
        ended = exited.result()
        self._cpu_s += ended.cpu_s
        if self._closed:
            return
        self._crashes += 1
        pause_s = 0.0
        if self._crashes > 1:
            doubled = self._options.restart_s * 2.0 ** min(self._crashes - 2, 30)
            pause_s = min(doubled, self._options.restart_max_s)
        self._not_before = _now() + pause_s
        log.warning("operator.ended", operator=self.kind, reason=str(ended), pause_s=pause_s)

    def _heard(self, line: str) -> None:
        log.info("operator.stderr", operator=self.kind, line=line)


def _now() -> float:
    return asyncio.get_running_loop().time()
