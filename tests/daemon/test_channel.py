"""Frames over a socket, blocking and not."""

from __future__ import annotations

import asyncio
import socket

import pytest
from daemon.support import request, run

from deid.daemon.channel import Channel, receive, send
from deid.daemon.frames import FRAME_BYTES_MAX, Cancel, Failed, Frame, FrameError, Propose, Ready

FRAMES: list[Frame] = [Ready(), Cancel(3), Propose(3, request())]
BIG = Failed(1, "garbage", "x" * (FRAME_BYTES_MAX // 2))


def test_blocking_and_asynchronous_sides_understand_each_other() -> None:
    async def test() -> None:
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)

        def serve() -> None:
            with theirs:
                while (frame := receive(theirs)) is not None:
                    send(theirs, frame)

        server = asyncio.create_task(asyncio.to_thread(serve))
        back = []
        for frame in (*FRAMES, BIG):
            await channel.send(frame)
            back.append(await channel.receive())
        await channel.close()
        await server

        assert back == [*FRAMES, BIG]

    run(test())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", None),
        (b"\x00\x00", "ends inside a frame's header"),
        (b"\x00\x00\x00\x05abc", "ends inside a frame"),
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes is over the 8388608 allowed"),
    ],
)
def test_how_a_stream_may_end(data: bytes, says: str | None) -> None:
    async def asynchronous() -> Frame | None:
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)
        with theirs:
            theirs.sendall(data)
        try:
            return await channel.receive()
        finally:
            await channel.close()

    def blocking() -> Frame | None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                theirs.sendall(data)
            return receive(ours)

    for read in (lambda: run(asynchronous()), blocking):
        if says is None:
            assert read() is None
        else:
            with pytest.raises(FrameError, match=says):
                read()
