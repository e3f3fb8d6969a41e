"""Client and server over real sockets: every verb, and what hurts nobody."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import msgpack
import pytest
import zmq
from control.fake import EVERY_REPLY, FakeDaemon
from control.served import Served, serving
from structlog.testing import capture_logs

from deid.control.client import ControlClient
from deid.control.places import node_of
from deid.control.protocol import (
    Failure,
    Request,
    Verb,
    decode_reply,
    encode_request,
)
from deid.control.views import RunState, Status
from deid.daemon.control_server import CLIENT_REQUESTS_MAX, REQUESTS_MAX, ControlServer
from deid.errors import ControlError, NothingMatchedError, NotRunningError


def client_of(served: Served, timeout_s: float = 5.0) -> ControlClient:
    return ControlClient(node_of(served.state_dir), timeout_s)


class RawClient:
    """Sends any frames and reads replies: what a broken client might be."""

    def __init__(self, served: Served) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(served.server.endpoint)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()

    def reply(self) -> tuple[int, object]:
        assert self.socket.poll(5_000)
        return decode_reply(self.socket.recv())


def test_every_query_is_answered(root: Path) -> None:
    with serving(root) as served, client_of(served) as client:
        answers = {
            "status": client.status(),
            "peers": client.peers(),
            "archive": client.archive(),
            "merged archive": client.archive(merged=True),
            "champions": client.champions(),
            "show": client.show("000102"),
            "operators": client.operators(),
        }

    assert answers == {kind: EVERY_REPLY[kind]() for kind in answers}


def test_start_pause_and_stop_reach_the_daemon_and_say_whether_they_changed_it(root: Path) -> None:
    with serving(root) as served, client_of(served) as client:
        acks = [client.pause(), client.pause(), client.start(), client.stop()]

    assert [(a.verb, a.state, a.changed) for a in acks] == [
        ("pause", RunState.PAUSED, True),
        ("pause", RunState.PAUSED, False),
        ("start", RunState.RUNNING, True),
        ("stop", RunState.STOPPING, True),
    ]


def test_an_error_of_the_daemon_is_raised_at_the_client(root: Path) -> None:
    with serving(root) as served, client_of(served) as client:
        with pytest.raises(NothingMatchedError, match="begins with ffff"):
            client.show("FFFF")

        assert client.status().node == "alpha"


@pytest.mark.parametrize("prefix", ["", "xyz", "0" * 65, "../etc"])
def test_a_prefix_that_is_no_hash_never_reaches_the_daemon(root: Path, prefix: str) -> None:
    with (
        serving(root) as served,
        client_of(served) as client,
        pytest.raises(ControlError, match="1 to 64 hex digits"),
    ):
        client.show(prefix)


def test_a_bug_in_the_daemon_is_told_and_logged_and_it_goes_on(root: Path) -> None:
    with capture_logs() as logs, serving(root) as served, client_of(served) as client:
        served.daemon.fault = ZeroDivisionError("oops")
        with pytest.raises(ControlError, match="inside the daemon: ZeroDivisionError"):
            client.status()
        served.daemon.fault = None

        assert client.status().node == "alpha"
    assert [log["event"] for log in logs] == ["control.view-failed"]


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1"],
        [b"GET / HTTP/1.1\r\n\r\n"],
        [msgpack.packb(["deid-control", 2, 5, "status", ""])],
        [msgpack.packb(["deid-control", 1, 5, "nonsense", ""])],
        [b"x" * 5_000],
        [b"a", b"b"],
        [b"", b"", b""],
    ],
)
def test_a_malformed_request_gets_a_control_error_and_hurts_nobody(
    root: Path, frames: list[bytes]
) -> None:
    with serving(root) as served, client_of(served) as client, RawClient(served) as raw:
        raw.socket.send_multipart(frames)
        _, failure = raw.reply()

        assert isinstance(failure, Failure)
        assert failure.error == "ControlError"
        assert client.status().node == "alpha"
        assert served.server.refused == 1


def test_a_frame_far_over_the_limit_costs_its_sender_the_connection_alone(root: Path) -> None:
    with serving(root) as served, client_of(served) as client, RawClient(served) as raw:
        raw.socket.send(b"x" * 1_000_000)
        raw.socket.send(encode_request(Request(1, Verb.STATUS)))

        assert client.status().node == "alpha"


def test_two_clients_at_once_get_their_own_answers(root: Path) -> None:
    with serving(root) as served, client_of(served) as first, client_of(served) as second:
        gate = asyncio.Event()
        served.daemon.gate = gate
        waiting: list[Status] = []
        thread = threading.Thread(target=lambda: waiting.append(first.status()))
        thread.start()
        assert second.peers().node == "alpha"  # while the first one waits
        served.on_loop(gate.set)
        thread.join(5)

    assert [each.node for each in waiting] == ["alpha"]


def test_requests_beyond_the_bound_are_refused_at_once(root: Path) -> None:
    with serving(root) as served, RawClient(served) as raw:
        gate = asyncio.Event()
        served.daemon.gate = gate
        for number in range(1, CLIENT_REQUESTS_MAX + 2):
            raw.socket.send(encode_request(Request(number, Verb.STATUS)))
        number, failure = raw.reply()

        assert number == CLIENT_REQUESTS_MAX + 1
        assert isinstance(failure, Failure) and "too many requests" in failure.message
        served.on_loop(gate.set)


def test_the_bound_holds_over_all_clients_too(root: Path) -> None:
    with serving(root) as served, ExitStack() as stack:
        gate = asyncio.Event()
        served.daemon.gate = gate
        clients = [stack.enter_context(RawClient(served)) for _ in range(REQUESTS_MAX + 1)]
        for number, raw in enumerate(clients, start=1):
            raw.socket.send(encode_request(Request(number, Verb.STATUS)))
        poller = zmq.Poller()
        for raw in clients:
            poller.register(raw.socket, zmq.POLLIN)
        assert len(poller.poll(5_000)) == 1
        served.on_loop(gate.set)
        answers = [raw.reply()[1] for raw in clients]

    assert sum(isinstance(answer, Failure) for answer in answers) == 1


def test_a_client_that_never_reads_does_not_slow_another(root: Path) -> None:
    with serving(root) as served, RawClient(served) as lazy, client_of(served) as client:
        served.daemon.source = "x" * 60_000
        lazy.socket.setsockopt(zmq.RCVHWM, 1)
        for number in range(1, 200):
            lazy.socket.send(encode_request(Request(number, Verb.ARCHIVE, "round")))

        assert [client.archive().metrics.occupied for _ in range(20)] == [2] * 20


def test_a_client_whose_daemon_is_silent_gives_up_in_time(root: Path) -> None:
    with serving(root) as served, client_of(served, timeout_s=0.05) as client:
        gate = asyncio.Event()
        served.daemon.gate = gate
        with pytest.raises(NotRunningError, match=r"does not answer within 0\.05 s"):
            client.status()
        assert client.peers().node == "alpha"
        served.on_loop(gate.set)

        late = ControlClient(client.running, 5.0)
        assert late.status().node == "alpha"
        late.close()


def test_a_late_reply_is_not_taken_for_the_next_one(root: Path) -> None:
    with serving(root) as served, client_of(served, timeout_s=0.05) as client:
        gate = asyncio.Event()
        served.daemon.gate = gate
        with pytest.raises(NotRunningError):
            client.status()
        served.on_loop(gate.set)
        client._timeout_s = 5.0

        assert client.archive().kind == "archive"


def test_the_files_lead_to_the_socket_and_are_gone_after_a_clean_end(root: Path) -> None:
    with serving(root) as served:
        control_file = served.state_dir / "control.json"
        said = json.loads(control_file.read_text())
        socket_file = Path(said["endpoint"].removeprefix("ipc://"))

        assert said["pid"] == os.getpid()
        assert said["node"] == "alpha"
        assert len(os.fsencode(socket_file)) < 100
        assert socket_file.is_socket()
        assert socket_file.stat().st_mode & 0o077 == 0
    assert [p for p in root.rglob("*") if not p.is_dir()] == []


def test_a_socket_left_by_a_killed_daemon_does_not_stop_the_next(root: Path) -> None:
    (root / "deid").mkdir(mode=0o700)
    with serving(root) as served:
        place = served.server.endpoint.removeprefix("ipc://")
    (root / "alpha").rmdir()
    Path(place).touch()

    with serving(root) as served, client_of(served) as client:
        assert client.status().node == "alpha"


def test_a_stop_is_answered_though_the_server_closes_at_once(root: Path) -> None:
    class Stopping(FakeDaemon):
        def __init__(self) -> None:
            super().__init__()
            self.stopping = asyncio.Event()

        async def stop(self):  # type: ignore[no-untyped-def]
            self.stopping.set()
            return await super().stop()

    (root / "alpha").mkdir()
    got: list[RunState] = []

    async def main() -> None:
        daemon = Stopping()
        server = ControlServer(
            daemon, "alpha", root / "alpha", environ={"XDG_RUNTIME_DIR": str(root)}
        )
        await server.open()

        def ask() -> None:
            with ControlClient(node_of(root / "alpha"), 5.0) as client:
                got.append(client.stop().state)

        asking = asyncio.create_task(asyncio.to_thread(ask))
        await daemon.stopping.wait()
        await server.close()
        await asking

    asyncio.run(main())

    assert got == [RunState.STOPPING]
