"""What a child process does before it runs foreign code; used inside children only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from deid.daemon.frames import Refused
from deid.errors import ConfigError, DeidError, PluginError
from deid.plugin.hooks import GROUP
from deid.plugin.host import PluginHost

__all__ = ["die_with_parent", "limit", "load_plugins", "refusal", "take_channel"]

MESSAGE_CHARS_MAX = 500  # of a reason

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def take_channel(argv: Sequence[str]) -> socket.socket:
    """The channel of ``python -m MODULE FD PARENT``; stdout goes to stderr from here on.

    Whatever prints, in Python or in C, writes to descriptor 1 and so into the daemon's log; the
    channel is a descriptor of its own that no further child inherits through an exec.
    """
    fd, parent = int(argv[1]), int(argv[2])
    os.set_inheritable(fd, False)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    die_with_parent(parent)
    return socket.socket(fileno=fd)


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when ``parent`` ends, where the system offers it (Linux).

    To the kernel the parent is the *thread* that started this process: a daemon starts children
    from the thread of its event loop, which lives as long as it does.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request stood
        os._exit(0)


def limit(niceness: int, memory_max_mb: int = 0) -> None:
    """Lower priority, no core dumps, and a bound on the address space (MiB; 0: none)."""
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_max_mb:
        size = memory_max_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def load_plugins(modules: Sequence[str], disabled: Sequence[str]) -> PluginHost:
    """A host with the installed plugins and ``modules``, import paths of further ones.

    A module that an entry point names is there already. :class:`PluginError` if one cannot be
    imported or registered.
    """
    host = PluginHost(disabled=disabled)
    installed = {p.module for p in entry_points(group=GROUP) if p.name not in disabled}
    for path in modules:
        if path in installed:
            continue
        try:
            module = import_module(path)
        except ImportError as error:
            raise PluginError(path, f"cannot be imported: {error}") from error
        host.register(module, path)
    return host


def refusal(error: BaseException) -> Refused:
    """Why the child cannot do its work."""
    if isinstance(error, DeidError):
        message, hint = error.message, error.hint or ""
        if isinstance(error, PluginError):
            message = message.removeprefix(f"plugin {error.plugin!r}: ")
        return Refused(isinstance(error, ConfigError), message[:MESSAGE_CHARS_MAX], hint)
    text = " ".join(str(error).split())[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()
    return Refused(False, f"cannot be built: {type(error).__name__}: {text}", "")
