"""Requests and replies of the control channel: MessagePack, one frame each, decoded strictly.

A request is ``[magic, version, id, verb, argument]``, its reply ``[magic, version, id, kind,
body]``; kind ``failure`` carries an error. The version is checked first: another one is refused
with both named, so that an old ``deictl`` says what to do. Fields of bodies are only appended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, cast

import msgpack

from deid.control.kinds import Word, json_value
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
from deid.errors import (
    ConfigError,
    ControlError,
    DeidError,
    NoPeerError,
    NothingMatchedError,
    NotPermittedError,
    NotRunningError,
    RemoteError,
)
from deid.wire.codec import Struct, Tally, Text, UInt

__all__ = [
    "CONTROL_VERSION",
    "REPLY_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "Failure",
    "Request",
    "Verb",
    "decode_reply",
    "decode_request",
    "encode_failure",
    "encode_reply",
    "encode_request",
    "request_id_of",
    "to_json",
]

MAGIC: Final = "deid-control"
CONTROL_VERSION: Final = 1
REQUEST_BYTES_MAX: Final = 4_096
REPLY_BYTES_MAX: Final = 64 << 20
ID_MAX: Final = (1 << 63) - 1
_ITEMS_MAX: Final = 1 << 16


class Verb(Enum):
    """What a client may ask for."""

    STATUS = "status"
    PEERS = "peers"
    ARCHIVE = "archive"  # argument: "round" or "merged"
    CHAMPIONS = "champions"
    SHOW = "show"  # argument: a prefix of the content hash, in hex
    OPERATORS = "operators"
    START = "start"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. id: the client's own number, repeated in the reply."""

    id: Annotated[int, UInt(ID_MAX)]
    verb: Annotated[Verb, Word(Verb)]
    argument: Annotated[str, Text(128)] = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply: the class of the error and its texts."""

    kind: ClassVar[str] = "failure"

    error: Annotated[str, Text(64)]
    message: Annotated[str, Text(8_192, lines=True)]
    hint: Annotated[str, Text(8_192, lines=True)] = ""

    def exception(self) -> DeidError:
        """The error to raise where the reply was wanted."""
        raised = _ERRORS.get(self.error, ControlError)
        return raised(self.message, hint=self.hint or None)


_ERRORS: Final[dict[str, type[DeidError]]] = {
    each.__name__: each
    for each in (
        ConfigError,
        ControlError,
        NoPeerError,
        NotPermittedError,
        NotRunningError,
        NothingMatchedError,
    )
}
_REQUEST: Final = Struct(Request)
_FAILURE: Final = Struct(Failure)
_REPLIES: Final[dict[str, Struct[Any]]] = {
    each.kind: Struct(cast(type[Any], each))
    for each in (Status, Peers, ArchiveView, Champions, Show, OperatorsView, Ack)
}


def encode_request(request: Request) -> bytes:
    """The frame that asks for ``request``."""
    plain = cast(list[object], _REQUEST.to_plain(request))
    return _pack([MAGIC, CONTROL_VERSION, *plain])


def decode_request(frame: bytes) -> Request:
    """The request in ``frame``; :class:`ControlError` where it is none."""
    plain = _unpack(frame, REQUEST_BYTES_MAX, "a request")
    _check_version(plain, "this daemon")
    try:
        return _REQUEST.from_plain(plain[2:], Tally())
    except RemoteError as error:
        raise ControlError(
            f"malformed control request: {error.message}",
            hint="use the deictl of the daemon's version",
        ) from None


def request_id_of(frame: bytes) -> int:
    """The id of a request that could not be taken, as far as it can be read; 0 otherwise."""
    try:
        plain = _unpack(frame, REQUEST_BYTES_MAX, "a request")
    except ControlError:
        return 0
    number = plain[2] if len(plain) > 2 else 0
    return number if type(number) is int and 0 <= number <= ID_MAX else 0


def encode_reply(request_id: int, reply: Reply) -> bytes:
    """The frame that answers with ``reply``; :class:`ControlError` where it breaks a limit."""
    struct = _REPLIES[reply.kind]
    body = struct.to_plain(reply)
    try:
        struct.from_plain(body, Tally())
    except RemoteError as error:
        raise ControlError(f"the reply {reply.kind!r} breaks its own limits: {error}") from None
    frame = _pack([MAGIC, CONTROL_VERSION, request_id, reply.kind, body])
    if len(frame) > REPLY_BYTES_MAX:
        raise ControlError(f"the reply {reply.kind!r} has {len(frame):,} bytes: too large to send")
    return frame


def encode_failure(request_id: int, error: DeidError) -> bytes:
    """The frame that answers with ``error``."""
    name = next((k.__name__ for k in type(error).__mro__ if k.__name__ in _ERRORS), "ControlError")
    failure = Failure(name, _cut(error.message), _cut(error.hint or ""))
    return _pack([MAGIC, CONTROL_VERSION, request_id, Failure.kind, _FAILURE.to_plain(failure)])


def decode_reply(frame: bytes) -> tuple[int, Reply | Failure]:
    """(id of the request, reply or failure); :class:`ControlError` where it is neither."""
    plain = _unpack(frame, REPLY_BYTES_MAX, "a reply")
    _check_version(plain, "this deictl")
    if len(plain) < 5 or type(plain[2]) is not int:
        raise ControlError(f"malformed control reply: {len(plain)} fields")
    number, kind, body = plain[2:5]
    struct = _FAILURE if kind == Failure.kind else _REPLIES.get(kind if type(kind) is str else "")
    if struct is None:
        raise ControlError(f"unknown kind of control reply: {kind!r:.40}")
    try:
        return number, struct.from_plain(body, Tally())
    except (RemoteError, ValueError) as error:
        raise ControlError(f"malformed control reply {kind!r}: {error}") from None


def to_json(reply: Reply) -> str:
    """The stable JSON form, one document: keys in the order of the fields, two spaces."""
    document: dict[str, object] = {"schema_version": reply.schema_version, "kind": reply.kind}
    document |= cast(dict[str, object], json_value(_REPLIES[reply.kind], reply))
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def _check_version(plain: list[Any], here: str) -> None:
    if len(plain) < 2 or plain[0] != MAGIC or type(plain[1]) is not int:
        raise ControlError("this is no message of deid's control channel")
    if plain[1] != CONTROL_VERSION:
        raise ControlError(
            f"control protocol {plain[1]} meets {CONTROL_VERSION}, which {here} speaks",
            hint="use deictl and deid of the same version",
        )


def _pack(plain: object) -> bytes:
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def _unpack(frame: bytes, bytes_max: int, what: str) -> list[Any]:
    if len(frame) > bytes_max:
        raise ControlError(f"{what} may have {bytes_max:,} bytes, got {len(frame):,}")
    try:
        plain = msgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=True,
            max_str_len=bytes_max,
            max_bin_len=bytes_max,
            max_array_len=_ITEMS_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ControlError(f"{what} must be MessagePack: {error}") from None
    if not isinstance(plain, list):
        raise ControlError(f"{what} must be an array, got {type(plain).__name__}")
    return plain


def _cut(text: str) -> str:
    """At most 8,000 bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:8_000].decode("utf-8", "ignore")
