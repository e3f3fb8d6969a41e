"""What the daemon and its child processes say to each other: typed messages in framed msgpack.

A frame is a 4-byte big-endian length and a msgpack array ``[name, field, …]``. A frame that is too
long, is no msgpack within the limits, names no message or holds a field of another type raises
:class:`FrameError`, and nothing of it is taken. Never pickle: the other side runs foreign code.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgpack

from deid.errors import DeidError
from deid.plugin.contracts import Completion, Message, Request, Settings
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome

__all__ = [
    "FRAME_BYTES_MAX",
    "HEADER",
    "Cancel",
    "Complete",
    "Completed",
    "EvaluationFailed",
    "EvaluationInit",
    "Failed",
    "Frame",
    "FrameError",
    "Init",
    "NotCompleted",
    "Propose",
    "Proposed",
    "Ready",
    "Refused",
    "Result",
    "Task",
    "pack",
    "unpack",
]

FRAME_BYTES_MAX = 8 << 20  # sixteen times a prompt of 100 examples at 4 KiB
ITEMS_MAX = 65_536  # of one array or map

HEADER: Final = struct.Struct(">I")


class FrameError(DeidError):
    """The other side of a channel broke its format."""


# --- Daemon to operator child -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Init:
    """The first frame: what to build.

    modules: import paths registered with the plugin host beside the installed plugins.
    disabled: entry points not to load. memory_max_mb: limit of the address space, MiB.
    """

    kind: str
    settings: Settings
    domain: str
    domain_settings: Settings
    node: str
    seed: int
    modules: tuple[str, ...]
    disabled: tuple[str, ...]
    memory_max_mb: int
    niceness: int


@dataclass(frozen=True, slots=True)
class Propose:
    """One call of the operator; ``call`` names it on this channel."""

    call: int
    request: Request


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give the call up; the child answers with :class:`Failed`."""

    call: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The model's reply to :class:`Complete`."""

    ticket: int
    completion: Completion


@dataclass(frozen=True, slots=True)
class NotCompleted:
    """The model gave no reply; raised in the child as a ``ModelFailure``."""

    ticket: int
    outcome: str
    message: str


# --- Operator child to daemon -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """Domain and operator are built."""


@dataclass(frozen=True, slots=True)
class Refused:
    """They cannot be built. ``config``: a setting is wrong; else the plugin is."""

    config: bool
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """The answer to a call; ``surplus`` candidates were left out."""

    call: int
    candidates: tuple[str, ...]
    surplus: int
    note: str
    model: str
    prompt_hash: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The call came to nothing; ``outcome`` as in :class:`deid.errors.OperatorFailure`."""

    call: int
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The operator asks for a reply of the model on behalf of ``call``."""

    ticket: int
    call: int
    messages: tuple[Message, ...]
    options: Settings


# --- Daemon and evaluation child ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvaluationInit:
    """The first frame of an evaluation child: the domain to build."""

    domain: str
    settings: Settings
    modules: tuple[str, ...]
    disabled: tuple[str, ...]
    niceness: int


@dataclass(frozen=True, slots=True)
class Task:
    """Trials ``first`` … ``first + count − 1`` of one genome."""

    genome: Genome
    context: Context
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the trials gave."""

    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class EvaluationFailed:
    """The domain raised."""

    message: str


Frame: TypeAlias = (
    Init
    | Propose
    | Cancel
    | Completed
    | NotCompleted
    | Ready
    | Refused
    | Proposed
    | Failed
    | Complete
    | EvaluationInit
    | Task
    | Result
    | EvaluationFailed
)

_FRAMES: Final[dict[str, type[Frame]]] = {kind.__name__: kind for kind in get_args(Frame)}


# --- Codec --------------------------------------------------------------------------------------


def pack(frame: Frame, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """Header and body; :class:`FrameError` if it is too long or holds what msgpack cannot."""
    name = type(frame).__name__
    try:
        body: bytes = msgpack.packb([name, *_flatten(frame)], use_bin_type=True)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise FrameError(f"{name} cannot be sent: {error}") from error
    if len(body) > bytes_max:
        raise FrameError(f"{name} of {len(body)} bytes is over the {bytes_max} of a frame")
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> Frame:
    """The message of a frame's body; :class:`FrameError` where it is none."""
    try:
        values = msgpack.unpackb(
            body,
            raw=False,
            strict_map_key=True,
            max_str_len=FRAME_BYTES_MAX,
            max_bin_len=FRAME_BYTES_MAX,
            max_array_len=ITEMS_MAX,
            max_map_len=ITEMS_MAX,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FrameError(f"a frame of {len(body)} bytes is no msgpack: {error!r:.200}") from error
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise FrameError(f"a frame is an array that begins with a name, got {values!r:.80}")
    kind = _FRAMES.get(values[0])
    if kind is None:
        raise FrameError(f"unknown message {values[0]!r:.80}")
    frame: Frame = _build(kind, values[1:], kind.__name__)
    return frame


def _flatten(value: Any) -> Any:
    """Plain values of a dataclass; one array of its fields in their order."""
    if is_dataclass(value):
        return [_flatten(getattr(value, f.name)) for f in fields(value) if f.init]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _flatten(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_flatten(item) for item in value]
    return value


@cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((f.name, hints[f.name]) for f in fields(kind) if f.init)


def _build(kind: Any, value: Any, where: str) -> Any:
    """``value`` as an instance of ``kind``; strict: no number is taken for a text."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _build_optional(kind, value, where)
    if origin is tuple:
        inner = get_args(kind)[0]
        return tuple(_build(inner, item, where) for item in _expect(list, value, where))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_expect(str, key, where): item for key, item in _expect(dict, value, where).items()}
    if is_dataclass(kind):
        return _build_record(kind, value, where)
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise FrameError(f"{where}: {value!r:.80} is no {kind.__name__}") from None
    if kind is float and type(value) is int:
        return float(value)
    return _expect(kind, value, where)


def _build_record(kind: Any, value: Any, where: str) -> Any:
    row = _expect(list, value, where)
    hints = _hints(kind)
    if len(row) != len(hints):
        raise FrameError(f"{where}: {kind.__name__} has {len(hints)} fields, got {len(row)}")
    items = zip(hints, row, strict=True)
    return kind(*(_build(hint, item, f"{where}.{name}") for (name, hint), item in items))


def _build_optional(kind: Any, value: Any, where: str) -> Any:
    if value is None:
        return None
    (inner,) = (arm for arm in get_args(kind) if arm is not NoneType)
    return _build(inner, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:  # exactly: a bool is no int here
        raise FrameError(f"{where}: expected {kind.__name__}, got {value!r:.80}")
    return value
