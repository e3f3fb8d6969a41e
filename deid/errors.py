"""Every exception of deid, in one tree.

::

    DeidError                      what, where, expected, got, what to do; carries its exit code
    ├── ConfigError          78    a key, a value, a file of the configuration
    ├── NotRunningError       3    no daemon answers on the control socket
    ├── NotPermittedError     4    the daemon refused the caller
    ├── NothingMatchedError   5    a hash or a name that nothing has
    ├── NoPeerError          69    no peer answered
    ├── CandidateError        1    a text that is no program of the domain
    ├── PluginError           1    a plugin did not load or broke its contract
    │   └── OperatorFailure   1    one call of an operator failed; charged, journalled, survived
    ├── StoreError            1    the state directory cannot be read or written
    │   └── JournalError      1    the journal disagrees with itself or with the code
    ├── ControlError          1    a malformed or refused control request
    └── WireError             1    the collective
        ├── LocalError        1    our own misuse of the protocol: a bug, it is raised
        └── RemoteError       1    a peer's fault: dropped, counted, never fatal

Exit codes follow ``docs/cli.md``; 0 is success and 2 (wrong usage) belongs to click.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CandidateError",
    "ConfigError",
    "ControlError",
    "DeidError",
    "JournalError",
    "LocalError",
    "NoPeerError",
    "NotPermittedError",
    "NotRunningError",
    "NothingMatchedError",
    "OperatorFailure",
    "PluginError",
    "RemoteError",
    "StoreError",
    "WireError",
]


class DeidError(Exception):
    """Base of all: one clear line, an optional hint on the next, and an exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"


class ConfigError(DeidError):
    """The configuration names something unknown or impossible."""

    exit_code = 78


class NotRunningError(DeidError):
    """No daemon answers where one was expected."""

    exit_code = 3


class NotPermittedError(DeidError):
    """The daemon refuses this caller."""

    exit_code = 4


class NothingMatchedError(DeidError):
    """A hash, a prefix or a name matches nothing."""

    exit_code = 5


class NoPeerError(DeidError):
    """No peer answered."""

    exit_code = 69


class CandidateError(DeidError):
    """A candidate's text is no program of the domain; the message is written to be learnt from."""


class PluginError(DeidError):
    """A plugin failed to load, or broke its contract; names the plugin."""

    def __init__(self, plugin: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"plugin {plugin!r}: {message}", hint=hint)
        self.plugin = plugin


class OperatorFailure(PluginError):
    """One call of an operator failed.

    ``outcome`` is the word that the journal keeps: ``raised``, ``timed-out``, ``crashed``,
    ``garbage`` or ``refused``.
    """

    def __init__(self, plugin: str, outcome: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(plugin, message, hint=hint)
        self.outcome = outcome


class StoreError(DeidError):
    """The state directory cannot be read or written."""


class JournalError(StoreError):
    """The journal contradicts itself, or today's code folds it to another result."""


class ControlError(DeidError):
    """A control request or reply that cannot be taken."""


class WireError(DeidError):
    """Base of the collective's errors."""


class LocalError(WireError):
    """This node broke the protocol: a bug of ours."""


class RemoteError(WireError):
    """A peer broke the protocol; nothing of what it sent was taken."""
