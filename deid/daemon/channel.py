"""Frames over a stream socket, for an event loop or for a child that blocks.

The end of the stream is ``None``; a stream that ends inside a frame is a :class:`FrameError`.
"""

from __future__ import annotations

import asyncio
import socket

from deid.daemon.frames import FRAME_BYTES_MAX, HEADER, Frame, FrameError, pack, unpack

__all__ = ["Channel", "receive", "send"]


class Channel:
    """Frames over a connected stream socket, for an asyncio loop; one reader, many writers."""

    __slots__ = ("_bytes_max", "_lock", "_reader", "_writer")

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_max: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._bytes_max = bytes_max
        self._lock = asyncio.Lock()

    @classmethod
    async def over(cls, sock: socket.socket, bytes_max: int = FRAME_BYTES_MAX) -> Channel:
        """A channel that owns ``sock`` from here on."""
        reader, writer = await asyncio.open_connection(sock=sock)
        return cls(reader, writer, bytes_max)

    async def send(self, frame: Frame) -> None:
        """Waits while the other side does not read; :class:`OSError` once it is gone."""
        data = pack(frame, self._bytes_max)
        async with self._lock:
            self._writer.write(data)
            await self._writer.drain()

    async def receive(self) -> Frame | None:
        """The next frame, ``None`` at the end."""
        try:
            header = await self._reader.readexactly(HEADER.size)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise FrameError("the stream ends inside a frame's header") from error
            return None
        length = _length(header, self._bytes_max)
        try:
            return unpack(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise FrameError("the stream ends inside a frame") from error

    async def close(self) -> None:
        """Closes the socket; what was not sent yet is dropped."""
        transport = self._writer.transport
        transport.abort()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # the other side went first


def send(sock: socket.socket, frame: Frame) -> None:
    """Blocking :meth:`Channel.send`, for a child without an event loop."""
    sock.sendall(pack(frame))


def receive(sock: socket.socket) -> Frame | None:
    """Blocking :meth:`Channel.receive`."""
    header = _read(sock, HEADER.size)
    if not header:
        return None
    length = _length(header, FRAME_BYTES_MAX)
    body = _read(sock, length)
    if len(body) < length:
        raise FrameError("the stream ends inside a frame")
    return unpack(body)


def _length(header: bytes, bytes_max: int) -> int:
    if len(header) < HEADER.size:
        raise FrameError("the stream ends inside a frame's header")
    (length,) = HEADER.unpack(header)
    if length > bytes_max:
        raise FrameError(f"a frame of {length} bytes is over the {bytes_max} allowed")
    return int(length)


def _read(sock: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    missing = count
    while missing:
        part = sock.recv(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
