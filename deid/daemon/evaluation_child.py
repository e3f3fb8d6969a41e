"""``python -m deid.daemon.evaluation_child FD PARENT``: evaluates, one task after the other."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Sequence

from deid.daemon.channel import receive, send
from deid.daemon.child_setup import limit, load_plugins, refusal, take_channel
from deid.daemon.evaluation_check import checked
from deid.daemon.frames import (
    EvaluationFailed,
    EvaluationInit,
    FrameError,
    Ready,
    Result,
    Task,
)
from deid.errors import PluginError
from deid.plugin.contracts import Domain

__all__ = ["main"]

MESSAGE_CHARS_MAX = 500


def main(argv: Sequence[str]) -> None:
    """Serves until the daemon closes the channel."""
    status = 1
    try:
        _serve(take_channel(argv))
        status = 0
    except (OSError, FrameError) as error:  # the daemon went away, or is no daemon
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)  # threads and exit handlers of a plugin must not keep the process


def _serve(sock: socket.socket) -> None:
    init = receive(sock)
    if init is None:
        return
    if not isinstance(init, EvaluationInit):
        raise FrameError(f"expected EvaluationInit first, got {type(init).__name__}")
    try:
        limit(init.niceness)
        host = load_plugins(init.modules, init.disabled)
        domain = host.domain(init.domain).create(init.settings)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; the daemon names it
        send(sock, refusal(error))
        return
    send(sock, Ready())
    while (frame := receive(sock)) is not None:
        if not isinstance(frame, Task):
            raise FrameError(f"unexpected {type(frame).__name__}")
        send(sock, _evaluate(domain, frame))


def _evaluate(domain: Domain, task: Task) -> Result | EvaluationFailed:
    try:
        given = domain.evaluate(task.genome, task.context, task.first, task.count)
        return Result(checked(domain, given, task.count))
    except PluginError as error:
        return EvaluationFailed(error.message.removeprefix(f"plugin {error.plugin!r}: "))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; answered
        text = str(error)[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()
        return EvaluationFailed(f"evaluate raised {type(error).__name__}: {text}")


if __name__ == "__main__":
    main(sys.argv)
