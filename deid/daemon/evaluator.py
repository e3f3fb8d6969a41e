"""Evaluations side by side, each computed once.

An evaluation is asked for by (content hash, context hash); one that is under way or done is
shared. When workers would be idle its trials are split among them: evaluations are additive
integers, so the result is the same for every split and number of threads. Order is that of
submission within a priority; what a round waits for goes before what is only useful to know.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from deid.daemon.evaluation_check import checked
from deid.daemon.evaluation_workers import DomainRecipe, ProcessWorkers, ThreadWorkers, Workers
from deid.errors import ConfigError, DeidError, PluginError
from deid.plugin.contracts import Domain, Parallelism
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome

__all__ = ["Evaluator", "EvaluatorCounters", "EvaluatorFullError", "Priority"]

QUEUE_MAX = 8_192  # evaluations that wait; a round has some hundreds
CACHE_MAX = 65_536  # finished ones that are kept; about 300 bytes each

Key: TypeAlias = tuple[bytes, bytes]  # content hash, context hash


class EvaluatorFullError(DeidError):
    """More evaluations wait than the queue takes."""


class Priority(IntEnum):
    """What goes first: lower values."""

    ROUND = 0  # warm-up and candidates of the round
    CLAIM = 1  # reference claims, and whatever is computed in advance


@dataclass(frozen=True, slots=True)
class EvaluatorCounters:
    """The figures of one moment.

    done: evaluations finished; failed: by the domain; shared: asked for again and not computed
    again; trials: finished. waiting, running: evaluations; workers_busy of workers.
    restarts: worker processes that replaced a dead one; kept: finished ones in the cache.
    """

    done: int
    failed: int
    shared: int
    trials: int
    waiting: int
    running: int
    workers: int
    workers_busy: int
    restarts: int
    kept: int


@dataclass(slots=True)
class _Job:
    """One evaluation that is not finished."""

    key: Key
    genome: Genome
    context: Context
    priority: Priority
    followers: list[asyncio.Future[Evaluation]] = field(default_factory=list)
    piece: int = 0  # trials of one task; 0 until it is begun
    next_trial: int = 0
    under_way: int = 0  # tasks
    total: Evaluation | None = None
    error: Exception | None = None
    keep: bool = True

    @property
    def begun(self) -> bool:
        return self.piece > 0

    @property
    def handed_out(self) -> bool:
        """Whether no trial is left to begin."""
        return self.error is not None or self.next_trial >= self.context.trials


class Evaluator:
    """Evaluates genomes of ``domain``; belongs to one event loop.

    threads: workers, threads or processes as the domain declares. recipe: how processes build the
    domain; needed for :attr:`Parallelism.PROCESSES` alone.
    """

    def __init__(
        self,
        domain: Domain,
        threads: int,
        *,
        recipe: DomainRecipe | None = None,
        queue_max: int = QUEUE_MAX,
        cache_max: int = CACHE_MAX,
    ) -> None:
        if threads < 1:
            raise ConfigError(f"battle threads must be at least 1, got {threads}")
        self._domain = domain
        self._workers: Workers
        if domain.parallelism is Parallelism.THREADS:
            self._workers = ThreadWorkers(domain, threads)
        elif recipe is None:
            raise PluginError(domain.name, "evaluates in processes, which need a DomainRecipe")
        else:
            self._workers = ProcessWorkers(recipe, threads)
        self._queue_max = queue_max
        self._cache_max = cache_max
        self._queues: dict[Priority, deque[_Job]] = {each: deque() for each in Priority}
        self._open: dict[Key, _Job] = {}
        self._done: OrderedDict[Key, Evaluation] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = self._finished = self._failed = self._shared = self._trials = 0
        self._closed = False

    def submit(
        self, genome: Genome, context: Context, priority: Priority = Priority.ROUND
    ) -> asyncio.Future[Evaluation]:
        """The evaluation of all trials, in a future of the caller's own.

        It ends with :class:`PluginError` where the domain raised or returned what is no evaluation
        of these trials. Cancelling it cancels nobody else's; an evaluation that nobody waits for
        any more and that was not begun is dropped. Asking again with a higher priority moves it.
        :class:`EvaluatorFullError` where ``queue_max`` wait already.
        """
        future: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        key = (genome.content_hash, context.context_hash)
        known = self._done.get(key)
        if known is not None:
            self._done.move_to_end(key)
            self._shared += 1
            future.set_result(known)
            return future
        if self._closed:
            future.cancel()
            return future
        if context.trials < 1:
            future.set_exception(PluginError(self._domain.name, "a context without trials"))
            return future
        job = self._open.get(key)
        if job is None:
            job = self._enqueue(key, genome, context, priority)
        else:
            self._shared += 1
            if priority < job.priority and not job.begun:
                job.priority = priority
                self._queues[priority].append(job)
        job.followers.append(future)
        self._dispatch()
        return future

    def forget(self, context_hash: bytes) -> None:
        """Drops the finished evaluations of a context, and those that finish later."""
        for key in [key for key in self._done if key[1] == context_hash]:
            del self._done[key]
        for job in self._open.values():
            if job.key[1] == context_hash:
                job.keep = False

    @property
    def room(self) -> int:
        """How many more may be submitted."""
        return self._queue_max - self._waiting

    def counters(self) -> EvaluatorCounters:
        """The figures of this moment."""
        return EvaluatorCounters(
            done=self._finished,
            failed=self._failed,
            shared=self._shared,
            trials=self._trials,
            waiting=self._waiting,
            running=len(self._open) - self._waiting,
            workers=self._workers.count,
            workers_busy=len(self._tasks),
            restarts=self._workers.restarts(),
            kept=len(self._done),
        )

    async def close(self) -> None:
        """Cancels what was not begun, waits for what was, ends the workers. Idempotent."""
        self._closed = True
        for job in [job for job in self._open.values() if not job.begun]:
            self._drop(job)
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._workers.close()

    def _enqueue(self, key: Key, genome: Genome, context: Context, priority: Priority) -> _Job:
        if self._waiting >= self._queue_max:
            raise EvaluatorFullError(
                f"{self._waiting:,} evaluations wait, the most is {self._queue_max:,}",
                hint="await some of them before submitting more",
            )
        job = _Job(key, genome, context, priority)
        self._open[key] = job
        self._queues[priority].append(job)
        self._waiting += 1
        return job

    def _dispatch(self) -> None:
        """Gives work to every idle worker."""
        while len(self._tasks) < self._workers.count:
            job = self._next_job()
            if job is None:
                return
            if not job.begun:
                self._waiting -= 1
                job.piece = self._piece(job.context.trials)
            first = job.next_trial
            count = min(job.piece, job.context.trials - first)
            job.next_trial += count
            job.under_way += 1
            task = asyncio.create_task(self._run(job, first, count))
            self._tasks.add(task)
            task.add_done_callback(self._ran)

    def _piece(self, trials: int) -> int:
        """Trials in one task: a share for each worker, or all where others wait anyway."""
        workers = self._workers.count
        return trials if self._waiting >= workers else -(-trials // workers)

    def _next_job(self) -> _Job | None:
        """The first job with trials to begin; it stays at the head of its queue."""
        for priority, queue in self._queues.items():
            while queue:
                job = queue[0]
                stale = self._open.get(job.key) is not job or job.priority != priority
                if stale or job.handed_out:
                    queue.popleft()
                elif not job.begun and all(each.cancelled() for each in job.followers):
                    self._drop(job)
                else:
                    return job
        return None

    async def _run(self, job: _Job, first: int, count: int) -> None:
        """One task; what it raises goes to those who wait for the job."""
        try:
            given = await self._workers.run(job.genome, job.context, first, count)
            part = checked(self._domain, given, count)
        except Exception as error:  # noqa: BLE001 - told to everyone who waits, a bug of ours too
            job.error = job.error or error
        else:
            job.total = part if job.total is None else job.total + part
            self._trials += count
        job.under_way -= 1
        if job.handed_out and not job.under_way:
            self._finish(job)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dispatch()

    def _finish(self, job: _Job) -> None:
        del self._open[job.key]
        waiting = [each for each in job.followers if not each.done()]
        if job.error is not None or job.total is None:
            self._failed += 1
            for future in waiting:
                future.set_exception(job.error or AssertionError("finished without a result"))
            return
        self._finished += 1
        if job.keep:
            self._done[job.key] = job.total
            if len(self._done) > self._cache_max:
                self._done.popitem(last=False)
        for future in waiting:
            future.set_result(job.total)

    def _drop(self, job: _Job) -> None:
        del self._open[job.key]
        self._waiting -= 1
        for future in job.followers:
            future.cancel()
