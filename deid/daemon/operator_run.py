"""One child process of an operator, from ready to end, and the calls in flight on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from deid.daemon.child import Child
from deid.daemon.frames import (
    Cancel,
    Complete,
    Completed,
    Failed,
    FrameError,
    NotCompleted,
    Propose,
    Proposed,
)
from deid.daemon.operator_port import (
    MESSAGE_CHARS_MAX,
    Relay,
    known_outcome,
)
from deid.daemon.proposals import GarbageError, Taken
from deid.errors import OperatorFailure
from deid.plugin.contracts import (
    ModelFailure,
    Proposal,
    Request,
)

__all__ = ["OperatorRun", "ProcessOptions", "quote"]

COMPLETIONS_MAX = 64  # model calls of one call in flight; more is no operator of ours


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How the child is run.

    memory_max_mb: limit of its address space, MiB; 0: none. niceness: added to the daemon's.
    start_timeout_s: to build domain and operator (some train a model then).
    cancel_grace_s: for a late call to give up before the process is killed.
    stop_grace_s: to end when it is asked to.
    restart_s, restart_max_s: pause after the second crash in a row (none after the first), and
    the longest; it doubles in between. calls_max: in flight; more are refused.
    modules, disabled: see :class:`deid.daemon.frames.Init`. environment: more variables for it.
    """

    memory_max_mb: int = 2048
    niceness: int = 5
    start_timeout_s: float = 60.0
    cancel_grace_s: float = 0.5
    stop_grace_s: float = 1.0
    restart_s: float = 0.2
    restart_max_s: float = 30.0
    calls_max: int = 64
    modules: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Call:
    """A call in flight on a child."""

    answer: asyncio.Future[Proposed | Failed]
    relay: Relay
    completions: set[asyncio.Task[None]] = field(default_factory=set)


class OperatorRun:
    """One child from ready to end, and the calls in flight on it."""

    def __init__(self, kind: str, child: Child, options: ProcessOptions) -> None:
        self.child = child
        self._kind = kind
        self._options = options
        self._calls: dict[int, _Call] = {}
        self._last_call = 0
        self._chores: set[asyncio.Task[None]] = set()
        self._dying = False
        self._main = asyncio.create_task(self._serve())

    @property
    def ended(self) -> bool:
        """Whether it takes no more calls."""
        return self._dying or self.child.exited.done()

    async def call(self, request: Request, relay: Relay) -> Taken:
        """One proposal; :class:`OperatorFailure` otherwise."""
        if len(self._calls) >= self._options.calls_max:
            raise self._failed("refused", f"{len(self._calls)} calls are in flight already")
        self._last_call += 1
        number = self._last_call
        call = _Call(asyncio.get_running_loop().create_future(), relay)
        self._calls[number] = call
        left = False
        try:
            return self._taken(await self._answer(number, call, request), request)
        except asyncio.CancelledError:
            left = True  # it is forgotten when the child has given it up
            self._own(asyncio.create_task(self._give_up(number, call)))
            raise
        finally:
            if not left:
                self._forget(number, call)

    async def _answer(self, number: int, call: _Call, request: Request) -> Proposed | Failed:
        try:
            async with asyncio.timeout(request.deadline_s) as limit:
                await self.child.channel.send(Propose(number, request))
                return await asyncio.shield(call.answer)
        except TimeoutError as error:
            if not limit.expired():
                raise
            await self._give_up(number, call)
            raise self._failed("timed-out", f"no answer in {request.deadline_s:g} s") from error
        except OSError:
            return await asyncio.shield(call.answer)  # the end of the child answers it
        except FrameError as error:
            raise self._failed("garbage", error.message) from error

    async def close(self, grace_s: float) -> None:
        """Ends the child; calls in flight fail."""
        await self.child.close(grace_s)
        await asyncio.wait((self._main,))
        while self._chores:
            await asyncio.wait(self._chores)

    def _taken(self, answer: Proposed | Failed, request: Request) -> Taken:
        if isinstance(answer, Failed):
            raise self._failed(known_outcome(answer.outcome), answer.message)
        given = Proposal(answer.candidates, answer.note, answer.model, answer.prompt_hash)
        try:
            return Taken.of(given, request.candidates_max, max(0, answer.surplus))
        except GarbageError as error:
            raise self._failed("garbage", str(error)) from error

    async def _give_up(self, number: int, call: _Call) -> None:
        """Cancels a call in the child; kills the child if its loop does not answer."""
        try:
            async with asyncio.timeout(self._options.cancel_grace_s):
                await self.child.channel.send(Cancel(number))
                await asyncio.shield(call.answer)
        except TimeoutError:
            self._dying = True
            self.child.kill()
            await asyncio.shield(self._main)
        except (OSError, OperatorFailure):
            pass  # it ended by itself
        finally:
            self._forget(number, call)

    def _forget(self, number: int, call: _Call) -> None:
        self._calls.pop(number, None)
        if not call.answer.cancel() and not call.answer.cancelled():
            call.answer.exception()  # nobody else will ask for it
        for task in call.completions:
            task.cancel()

    async def _serve(self) -> None:
        """Reads the child's frames to its end, then fails what is in flight."""
        reader = asyncio.create_task(self._read())
        await asyncio.wait((reader, self.child.exited), return_when=asyncio.FIRST_COMPLETED)
        if not reader.done():  # what it wrote before it died is still on its way
            await asyncio.wait((reader,), timeout=self._options.cancel_grace_s)
            reader.cancel()
            await asyncio.wait((reader,))
        broken = None if reader.cancelled() else reader.exception()
        ended = await self.child.close(0.0)
        if isinstance(broken, FrameError):
            self._end("garbage", f"broke the channel's format: {broken.message}")
        else:
            self._end("crashed", f"its process {ended}{quote(self.child)}")

    async def _read(self) -> None:
        """Until the end of the stream; :class:`FrameError` where it breaks the format."""
        while True:
            try:
                frame = await self.child.channel.receive()
            except OSError:
                return
            match frame:
                case None:
                    return
                case Proposed() | Failed():
                    call = self._calls.get(frame.call)
                    if call is not None and not call.answer.done():
                        call.answer.set_result(frame)
                case Complete():
                    self._complete(frame)
                case _:
                    raise FrameError(f"unexpected {type(frame).__name__}")

    def _complete(self, frame: Complete) -> None:
        call = self._calls.get(frame.call)
        if call is None:
            return  # given up meanwhile
        if len(call.completions) >= COMPLETIONS_MAX:
            raise FrameError(f"more than {COMPLETIONS_MAX} model calls in flight for one call")
        task = asyncio.create_task(self._relay(frame, call.relay))
        call.completions.add(task)
        task.add_done_callback(call.completions.discard)
        self._own(task)

    async def _relay(self, frame: Complete, relay: Relay) -> None:
        reply: Completed | NotCompleted
        try:
            reply = Completed(frame.ticket, await relay.complete(frame.messages, frame.options))
        except ModelFailure as error:
            reply = NotCompleted(frame.ticket, error.outcome, str(error)[:MESSAGE_CHARS_MAX])
        try:
            await self.child.channel.send(reply)
        except OSError:
            return  # the child is gone; its end is told elsewhere
        except FrameError as error:
            await self.child.channel.send(NotCompleted(frame.ticket, "garbage", error.message))

    def _end(self, outcome: str, message: str) -> None:
        self._dying = True
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(self._failed(outcome, message))

    def _own(self, task: asyncio.Task[None]) -> None:
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _failed(self, outcome: str, message: str) -> OperatorFailure:
        return OperatorFailure(self._kind, outcome, message[:MESSAGE_CHARS_MAX])


def quote(child: Child) -> str:
    """What it wrote to stderr last, as the end of a sentence."""
    return f"; its last words: {child.last_words!r}" if child.last_words else ""
