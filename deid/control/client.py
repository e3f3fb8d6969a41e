"""A blocking client of one daemon: what ``deictl`` and tests use."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import zmq

from deid.control.places import Running, find_node
from deid.control.protocol import (
    REPLY_BYTES_MAX,
    Failure,
    Request,
    Verb,
    decode_reply,
    encode_request,
)
from deid.control.views import (
    Ack,
    ArchiveView,
    Champions,
    OperatorsView,
    Peers,
    Reply,
    Show,
    Status,
)
from deid.errors import ControlError, NotRunningError

__all__ = ["TIMEOUT_S", "ControlClient"]

TIMEOUT_S = 10.0  # of one request; a daemon under full load answers in well under one

R = TypeVar("R", bound=Reply)


class ControlClient:
    """Asks one daemon; a context manager.

    running: from :func:`deid.control.places.find_node`. timeout_s: of each request. Methods raise
    :class:`NotRunningError` when no answer comes, :class:`ControlError` for a reply that is none,
    and what the daemon answered as the error that it raised there.
    """

    def __init__(self, running: Running, timeout_s: float = TIMEOUT_S) -> None:
        self.running = running
        self._timeout_s = timeout_s
        self._id = 0
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_BYTES_MAX)
        self._socket.connect(running.endpoint)

    @classmethod
    def find(cls, state_dir: Path | None = None, timeout_s: float = TIMEOUT_S) -> ControlClient:
        """A client of the daemon on ``state_dir``, or of the only one that runs for this user."""
        return cls(find_node(state_dir), timeout_s)

    def status(self) -> Status:
        return self._ask(Status, Verb.STATUS)

    def peers(self) -> Peers:
        return self._ask(Peers, Verb.PEERS)

    def archive(self, merged: bool = False) -> ArchiveView:
        return self._ask(ArchiveView, Verb.ARCHIVE, "merged" if merged else "round")

    def champions(self) -> Champions:
        return self._ask(Champions, Verb.CHAMPIONS)

    def show(self, prefix: str) -> Show:
        """The program whose content hash begins with ``prefix``."""
        return self._ask(Show, Verb.SHOW, prefix.lower())

    def operators(self) -> OperatorsView:
        return self._ask(OperatorsView, Verb.OPERATORS)

    def start(self) -> Ack:
        return self._ask(Ack, Verb.START)

    def pause(self) -> Ack:
        return self._ask(Ack, Verb.PAUSE)

    def stop(self) -> Ack:
        return self._ask(Ack, Verb.STOP)

    def close(self) -> None:
        """Gives the socket back; idempotent."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, wanted: type[R], verb: Verb, argument: str = "") -> R:
        self._id += 1
        self._socket.send(encode_request(Request(self._id, verb, argument)))
        reply = self._receive(self._id)
        if isinstance(reply, Failure):
            raise reply.exception()
        if not isinstance(reply, wanted):
            raise ControlError(f"{verb.value}: expected {wanted.kind!r}, got {reply.kind!r}")
        return reply

    def _receive(self, request_id: int) -> Reply | Failure:
        """The reply to ``request_id``; late ones to earlier requests are dropped."""
        end = time.monotonic() + self._timeout_s
        while True:
            left_ms = max(0, round(1000 * (end - time.monotonic())))
            if not self._socket.poll(left_ms):
                raise self._silent()
            number, reply = decode_reply(self._socket.recv())
            if number == request_id or (number == 0 and isinstance(reply, Failure)):
                return reply

    def _silent(self) -> NotRunningError:
        running = self.running
        if not running.alive():
            return NotRunningError(f"the daemon {running.node} (pid {running.pid}) has ended")
        return NotRunningError(
            f"the daemon {running.node} (pid {running.pid}) does not answer within"
            f" {self._timeout_s:g} s",
            hint="it may be stopped or overloaded: look at its log, or give more with --timeout",
        )
