"""Answers control requests on a local socket; whatever a client does, the daemon goes on.

Bounds: a request has 4 KiB, a reply 64 MiB; 16 requests are answered at once, 4 of one client,
further ones are refused; an answer may take 30 s; two replies wait for a client that does not
read, more are dropped. A request that cannot be taken gets a failure as its reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import structlog
import zmq
import zmq.asyncio

from deid.control.places import Place
from deid.control.protocol import (
    Request,
    Verb,
    decode_request,
    encode_failure,
    encode_reply,
    request_id_of,
)
from deid.control.views import DaemonView, Reply
from deid.errors import ConfigError, ControlError, DeidError

__all__ = ["ControlServer"]

REQUESTS_MAX = 16  # answered at once
CLIENT_REQUESTS_MAX = 4  # of them for one client, so that a flood leaves room for others
REPLIES_QUEUED_MAX = 2  # towards one client
FRAME_BYTES_MAX = 1 << 16  # above a request's limit, so that one over it is told so; more: cut off
ANSWER_S = 30.0  # an archive of the largest grid takes a fraction of it
LINGER_MS = 1_000  # for the reply to ``stop`` to leave
_HEX = frozenset("0123456789abcdef")

log = structlog.get_logger(__name__)


class ControlServer:
    """Serves ``view`` on a socket of its own.

    ::

        async with ControlServer(view, node, state_dir, socket_dir) as server:
            await server.failed()      # returns only if serving ended by a bug; raises it

    state_dir: exists. socket_dir: None = the runtime directory. :meth:`open` raises
    :class:`ConfigError` or :class:`StoreError` where socket or files cannot be made.
    """

    def __init__(
        self,
        view: DaemonView,
        node: str,
        state_dir: Path,
        socket_dir: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._view = view
        self._place = Place(node, state_dir, socket_dir, environ)
        self._context: zmq.asyncio.Context | None = None
        self._socket: zmq.asyncio.Socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._answering: dict[asyncio.Task[None], bytes] = {}  # with the client's identity
        self.refused = 0  # requests that were malformed or too many

    @property
    def endpoint(self) -> str:
        """``ipc://PATH`` of the socket."""
        return self._place.endpoint

    async def open(self) -> None:
        """Binds the socket, tells where it is, and begins to serve."""
        self._place.prepare()
        self._context = zmq.asyncio.Context(io_threads=1)
        socket = self._socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        socket.setsockopt(zmq.SNDHWM, REPLIES_QUEUED_MAX)
        socket.setsockopt(zmq.RCVHWM, REQUESTS_MAX)
        try:
            socket.bind(self.endpoint)
            self._place.publish()
        except zmq.ZMQError as error:
            await self.close()
            raise ConfigError(
                f"control socket {self.endpoint}: cannot listen: {error.strerror}",
                hint="set [control] socket_dir to a directory of your own",
            ) from error
        except BaseException:
            await self.close()
            raise
        self._serving = asyncio.create_task(self._serve(socket), name="control server")

    async def failed(self) -> None:
        """Waits until serving ends, and raises what ended it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def close(self) -> None:
        """Ends it once the replies under way are handed over; removes the files; idempotent."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.wait((serving,))
        if self._answering:
            _, late = await asyncio.wait(self._answering, timeout=1.0)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        context, self._context = self._context, None
        if self._socket is not None and context is not None:
            self._socket.close()
            await asyncio.to_thread(context.term)  # waits for LINGER_MS at most
            self._place.withdraw()

    async def __aenter__(self) -> ControlServer:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _serve(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames: list[bytes] = await socket.recv_multipart()
            if len(frames) != 2:
                await self._refuse(frames[0], 0, "expected one frame a request", len(frames) - 1)
                continue
            client, frame = frames
            of_client = sum(each == client for each in self._answering.values())
            if of_client >= CLIENT_REQUESTS_MAX or len(self._answering) >= REQUESTS_MAX:
                number = request_id_of(frame)
                await self._refuse(client, number, "too many requests at once", of_client + 1)
                continue
            task = asyncio.create_task(self._answer(client, frame), name="control answer")
            self._answering[task] = client
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        del self._answering[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("control.answer-failed", exc_info=task.exception())

    async def _answer(self, client: bytes, frame: bytes) -> None:
        try:
            request = decode_request(frame)
        except ControlError as error:
            self.refused += 1
            log.warning("control.request-refused", reason=error.message)
            await self._send(client, encode_failure(request_id_of(frame), error))
            return
        await self._send(client, await self._reply(request))

    async def _reply(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_S):
                reply = await self._ask(request)
            return encode_reply(request.id, reply)
        except DeidError as error:
            return encode_failure(request.id, error)
        except TimeoutError:
            log.warning("control.answer-late", verb=request.verb.value, seconds=ANSWER_S)
            late = ControlError(f"{request.verb.value}: no answer within {ANSWER_S:g} s")
            return encode_failure(request.id, late)
        except Exception as error:  # a bug in one view must not end the daemon
            log.error("control.view-failed", verb=request.verb.value, exc_info=error)
            text = f"{request.verb.value}: an error inside the daemon: {type(error).__name__}"
            hint = "the daemon goes on; its log has the traceback"
            return encode_failure(request.id, ControlError(text, hint=hint))

    async def _ask(self, request: Request) -> Reply:
        view, argument = self._view, request.argument
        match request.verb:
            case Verb.STATUS:
                return await view.status()
            case Verb.PEERS:
                return await view.peers()
            case Verb.ARCHIVE:
                return await view.archive(_merged(argument))
            case Verb.CHAMPIONS:
                return await view.champions()
            case Verb.SHOW:
                return await view.show(_prefix(argument))
            case Verb.OPERATORS:
                return await view.operators()
            case Verb.START:
                return await view.start()
            case Verb.PAUSE:
                return await view.pause()
            case Verb.STOP:
                return await view.stop()

    async def _refuse(self, client: bytes, number: int, reason: str, got: int) -> None:
        self.refused += 1
        log.warning("control.request-refused", reason=reason, got=got)
        error = ControlError(f"{reason}, got {got}")
        await self._send(client, encode_failure(number, error))

    async def _send(self, client: bytes, frame: bytes) -> None:
        """Hands a reply over; a client that is gone or does not read loses it."""
        socket = self._socket
        if socket is not None and not socket.closed:
            await socket.send_multipart([client, frame], copy=False)


def _merged(argument: str) -> bool:
    if argument not in ("round", "merged"):
        raise ControlError(f"archive: expected 'round' or 'merged', got {argument!r}")
    return argument == "merged"


def _prefix(argument: str) -> str:
    if not 1 <= len(argument) <= 64 or not _HEX.issuperset(argument):
        raise ControlError(f"show: expected 1 to 64 hex digits of a content hash, got {argument!r}")
    return argument
