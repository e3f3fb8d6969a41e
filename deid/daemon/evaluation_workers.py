"""Who runs trials: threads for domains that release the GIL, processes for those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from deid.daemon.child import Child
from deid.daemon.frames import (
    EvaluationFailed,
    EvaluationInit,
    Frame,
    FrameError,
    Ready,
    Refused,
    Result,
    Task,
)
from deid.errors import ConfigError, PluginError
from deid.plugin.contracts import Domain, Settings
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome

__all__ = ["DomainRecipe", "ProcessWorkers", "ThreadWorkers", "Workers"]

CHILD_MODULE = "deid.daemon.evaluation_child"
TRIES_MAX = 3  # a task that ends this many workers is at fault itself

log = structlog.get_logger(__name__)


class Workers(Protocol):
    """Runs at most ``count`` tasks at a time; the evaluator sees to that."""

    count: int

    async def run(self, genome: Genome, context: Context, first: int, trials: int) -> Evaluation:
        """Some trials; :class:`PluginError` where the domain raised."""

    def restarts(self) -> int:
        """Workers that were started in the place of one that died."""

    async def close(self) -> None:
        """Ends them; nothing runs any more. Idempotent."""


class ThreadWorkers:
    """Threads of this process."""

    def __init__(self, domain: Domain, count: int) -> None:
        self.count = count
        self._domain = domain
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="battle")

    async def run(self, genome: Genome, context: Context, first: int, trials: int) -> Evaluation:
        """See :class:`Workers`."""
        loop = asyncio.get_running_loop()
        evaluate = self._domain.evaluate
        try:
            return await loop.run_in_executor(self._pool, evaluate, genome, context, first, trials)
        except Exception as error:
            raise PluginError(
                self._domain.name,
                f"evaluate raised {type(error).__name__}: {error!s:.500}",
                hint=f"genome {genome.content_hash.hex()}, trials {first} + {trials}",
            ) from error

    def restarts(self) -> int:
        """See :class:`Workers`."""
        return 0

    async def close(self) -> None:
        """See :class:`Workers`."""
        self._pool.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class DomainRecipe:
    """How another process builds the same domain; ``modules``, ``disabled`` as for operators."""

    name: str
    settings: Settings = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    niceness: int = 0
    start_timeout_s: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)


class ProcessWorkers:
    """Child processes that build the domain themselves; one that dies is replaced, its task run
    again."""

    def __init__(self, recipe: DomainRecipe, count: int) -> None:
        self.count = count
        self._recipe = recipe
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._deaths = 0

    async def run(self, genome: Genome, context: Context, first: int, trials: int) -> Evaluation:
        """See :class:`Workers`."""
        task = Task(genome, context, first, trials)
        for _ in range(TRIES_MAX):
            child = await self._take()
            try:
                await child.channel.send(task)
                answer = await child.channel.receive()
            except OSError:
                answer = None
            except FrameError as error:
                self._discard(child)
                raise PluginError(self._recipe.name, error.message) from error
            except asyncio.CancelledError:
                self._discard(child)
                raise
            match answer:
                case Result(evaluation):
                    self._idle.append(child)
                    return evaluation
                case EvaluationFailed(message):
                    self._idle.append(child)
                    raise PluginError(
                        self._recipe.name,
                        message,
                        hint=f"genome {genome.content_hash.hex()}, trials {first} + {trials}",
                    )
                case None:
                    await self._died(child)
                case _:
                    self._discard(child)
                    message = f"its worker answered {type(answer).__name__}"
                    raise PluginError(self._recipe.name, message)
        raise PluginError(
            self._recipe.name,
            f"an evaluation ended its worker process {TRIES_MAX} times",
            hint=f"genome {genome.content_hash.hex()}, trials {first} + {trials}",
        )

    def restarts(self) -> int:
        """See :class:`Workers`."""
        return self._deaths

    async def close(self) -> None:
        """See :class:`Workers`."""
        children = list(self._all)
        self._all.clear()
        self._idle.clear()
        await asyncio.gather(*(child.close() for child in children))

    async def _take(self) -> Child:
        """An idle worker that lives, or a new one."""
        while self._idle:
            child = self._idle.pop()
            if not child.exited.done():
                return child
            await self._died(child)
        return await self._start()

    async def _start(self) -> Child:
        recipe = self._recipe
        try:
            child = await Child.start(CHILD_MODULE, self._heard, recipe.environment)
        except OSError as error:
            raise PluginError(recipe.name, f"no worker process can be made: {error}") from error
        self._all.add(child)
        init = EvaluationInit(
            recipe.name, recipe.settings, recipe.modules, recipe.disabled, recipe.niceness
        )
        answer: Frame | None
        try:
            async with asyncio.timeout(recipe.start_timeout_s):
                await child.channel.send(init)
                answer = await child.channel.receive()
        except OSError:  # a timeout, too
            answer = None
        except BaseException:
            self._discard(child)
            raise
        if isinstance(answer, Ready):
            return child
        self._discard(child)
        if isinstance(answer, Refused):
            if answer.config:
                raise ConfigError(answer.message, hint=answer.hint or None)
            raise PluginError(recipe.name, answer.message, hint=answer.hint or None)
        raise PluginError(recipe.name, "its worker process ended before it was ready")

    async def _died(self, child: Child) -> None:
        ended = await child.close(0.0)
        self._all.discard(child)
        self._deaths += 1
        log.warning("evaluation.worker_ended", domain=self._recipe.name, reason=str(ended))

    def _discard(self, child: Child) -> None:
        """Kills it; :meth:`close` reaps it."""
        child.kill()

    def _heard(self, line: str) -> None:
        log.info("evaluation.stderr", domain=self._recipe.name, line=line)
