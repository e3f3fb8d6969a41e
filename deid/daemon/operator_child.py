"""``python -m deid.daemon.operator_child FD PARENT``: one operator in a process of its own.

The first frame says what to build; then every :class:`Propose` becomes a task, and an operator's
``context.complete`` becomes a reverse call to the daemon. Everything that an operator raises is
answered; what it does to the process (exit, crash, block) the daemon sees from outside.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar

from deid.daemon.channel import Channel
from deid.daemon.child_setup import limit, load_plugins, refusal, take_channel
from deid.daemon.frames import (
    Cancel,
    Complete,
    Completed,
    Failed,
    Frame,
    FrameError,
    Init,
    NotCompleted,
    Propose,
    Proposed,
    Ready,
)
from deid.daemon.proposals import GarbageError, Taken
from deid.plugin.contracts import (
    Completion,
    Domain,
    Message,
    ModelFailure,
    Operator,
    Request,
    Settings,
)

__all__ = ["main"]

MESSAGE_CHARS_MAX = 500  # of a failure's reason
STATUS_NO_MEMORY = 77  # any status tells the daemon; this one is easy to recognise in a log

_CALL: ContextVar[int] = ContextVar("deid_call")  # the call that the running task answers


class ChildContext:
    """The :class:`OperatorContext` of a child: ``complete`` asks the daemon."""

    def __init__(self, domain: Domain, node: str, seed: int, channel: Channel) -> None:
        self.domain = domain
        self.node = node
        self.seed = seed
        self._channel = channel
        self._tickets = 0
        self._waiting: dict[int, asyncio.Future[Completion]] = {}

    async def complete(
        self, request: Request, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """A reply of the model on behalf of the call that this task belongs to."""
        call = _CALL.get(None)
        if call is None:
            raise RuntimeError("complete() belongs inside propose(), in its task or in one of its")
        self._tickets += 1
        ticket = self._tickets
        reply: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = reply
        try:
            await self._channel.send(Complete(ticket, call, tuple(messages), dict(options or {})))
            return await reply
        finally:
            del self._waiting[ticket]

    def answer(self, frame: Completed | NotCompleted) -> None:
        """Gives a reply of the daemon to whoever waits for it."""
        reply = self._waiting.get(frame.ticket)
        if reply is None or reply.done():
            return  # its call was cancelled
        if isinstance(frame, Completed):
            reply.set_result(frame.completion)
        else:
            reply.set_exception(ModelFailure(frame.outcome, frame.message, retry=False))


class Calls:
    """The calls of one operator that are under way."""

    def __init__(self, operator: Operator, channel: Channel) -> None:
        self._operator = operator
        self._channel = channel
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, frame: Propose) -> None:
        """Starts a call."""
        task = asyncio.create_task(self._serve(frame.call, frame.request))
        self._tasks[frame.call] = task
        task.add_done_callback(lambda _: self._tasks.pop(frame.call))

    def cancel(self, frame: Cancel) -> None:
        """Gives a call up; it answers all the same."""
        task = self._tasks.get(frame.call)
        if task is not None:
            task.cancel()

    async def _serve(self, call: int, request: Request) -> None:
        _CALL.set(call)
        reply = await self._reply(call, request)
        try:
            await self._channel.send(reply)
        except FrameError as error:
            await self._channel.send(Failed(call, "garbage", _short(error)))

    async def _reply(self, call: int, request: Request) -> Frame:
        try:
            taken = Taken.of(await self._operator.propose(request), request.candidates_max)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                return Failed(call, "raised", "CancelledError: nobody cancelled the call")
            return Failed(call, "timed-out", "cancelled")
        except GarbageError as error:
            return Failed(call, "garbage", _short(error))
        except ModelFailure as error:
            return Failed(call, str(error.outcome), _short(error))
        except MemoryError:
            _end_without_memory()
            raise
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # noqa: BLE001 - foreign code; answered
            return Failed(call, "raised", f"{type(error).__name__}: {_short(error)}")
        proposal = taken.proposal
        return Proposed(
            call,
            proposal.candidates,
            taken.surplus,
            proposal.note,
            proposal.model,
            proposal.prompt_hash,
        )


def main(argv: Sequence[str]) -> None:
    """Serves until the daemon closes the channel."""
    status = 1
    try:
        asyncio.run(_serve(take_channel(argv)))
        status = 0
    except (OSError, FrameError) as error:  # the daemon went away, or is no daemon
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)  # threads and exit handlers of a plugin must not keep the process


async def _serve(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    init = await channel.receive()
    if init is None:
        return
    if not isinstance(init, Init):
        raise FrameError(f"expected Init first, got {type(init).__name__}")
    try:
        context, operator = _build(init, channel)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; the daemon names it
        await channel.send(refusal(error))
        await channel.receive()  # the daemon closes when it has read the reason
        return
    await channel.send(Ready())
    calls = Calls(operator, channel)
    while (frame := await channel.receive()) is not None:
        match frame:
            case Propose():
                calls.begin(frame)
            case Cancel():
                calls.cancel(frame)
            case Completed() | NotCompleted():
                context.answer(frame)
            case _:
                raise FrameError(f"unexpected {type(frame).__name__}")


def _build(init: Init, channel: Channel) -> tuple[ChildContext, Operator]:
    limit(init.niceness, init.memory_max_mb)
    host = load_plugins(init.modules, init.disabled)
    domain = host.domain(init.domain).create(init.domain_settings)
    context = ChildContext(domain, init.node, init.seed, channel)
    return context, host.operator(init.kind).create(init.settings, context)


def _end_without_memory() -> None:
    """What leaked stays leaked: only a new process helps."""
    os.write(2, b"out of memory: over the operator's memory_max_mb\n")
    os._exit(STATUS_NO_MEMORY)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())[:MESSAGE_CHARS_MAX]
    return text.encode(errors="replace").decode()


if __name__ == "__main__":
    main(sys.argv)
