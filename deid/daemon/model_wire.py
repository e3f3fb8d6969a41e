"""One request to a model as bytes: what is hashed, journalled, sent, and what comes back.

The bytes are JSON with sorted keys and the shortest form of every number, so equal requests are
equal bytes on every machine. They hold messages and options and nothing else: no key, no address.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from deid.errors import JournalError
from deid.plugin.contracts import (
    Completion,
    Message,
    ModelBackend,
    ModelFailure,
    ModelRequest,
    Settings,
    Usage,
)
from deid.search.canonical import digest_bytes
from deid.store.values import Attempt

__all__ = ["Wire", "decode_reply", "encode_reply", "send", "settled_usage"]

REQUEST_BYTES_MAX = 4 << 20
REPLY_CHARS_MAX = 1 << 20  # of a reply's text
TOKENS_MAX = 1 << 40  # of any usage figure: more is no number of tokens
REASON_CHARS_MAX = 500  # of a failure's reason
WORD_CHARS_MAX = 200  # of a model's name, an outcome, a finish reason

MESSAGE_TOKENS = 16  # what a chat template adds to one message, at most
REQUEST_TOKENS = 64  # and to the whole
BYTES_PER_TOKEN_MAX = 16  # no text averages longer tokens: the least that a provider may report

_FREE: Final = frozenset(("rate-limited",))  # refused before a model saw it: costs no tokens


@dataclass(frozen=True, slots=True)
class Wire:
    """A request, ready to be sent.

    request: canonical bytes; request_hash: BLAKE2b-256 of them.
    input_tokens_max: a token is at least one byte of what is sent, and templates add a few.
    input_tokens_min: what an honest provider reports at least.
    """

    messages: tuple[Message, ...]
    options: Mapping[str, object]
    request: bytes
    request_hash: bytes
    input_tokens_max: int
    input_tokens_min: int
    output_tokens_max: int

    @classmethod
    def of(
        cls,
        name: str,
        model: str,
        messages: Sequence[Message],
        defaults: Settings | None,
        options: Settings | None,
        output_tokens_max: int,
    ) -> Wire:
        """The request of ``messages`` to the model ``name``; ``options`` win over ``defaults``.

        :class:`ModelFailure` (``garbage``) where the operator's messages or options are none.
        """
        merged = {**(defaults or {}), **(options or {})}
        wished = merged.get("max_output_tokens", output_tokens_max)
        if type(wished) is not int or wished < 1:
            raise _garbage(f"max_output_tokens must be an integer >= 1, got {wished!r:.80}")
        merged["max_output_tokens"] = min(wished, output_tokens_max)
        try:
            rows = [[message.role, message.content] for message in messages]
            plain = {"backend": name, "model": model, "messages": rows, "options": merged}
            request = json.dumps(
                plain, sort_keys=True, separators=(",", ":"), allow_nan=False
            ).encode()
            content = sum(len(text.encode()) for row in rows for text in row)
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            raise _garbage(f"messages and options must be plain values: {error}") from error
        if len(request) > REQUEST_BYTES_MAX:
            raise _garbage(f"a request of {len(request)} bytes, at most {REQUEST_BYTES_MAX}")
        return cls(
            messages=tuple(messages),
            options=merged,
            request=request,
            request_hash=digest_bytes(request),
            input_tokens_max=len(request) + MESSAGE_TOKENS * len(rows) + REQUEST_TOKENS,
            input_tokens_min=content // BYTES_PER_TOKEN_MAX,
            output_tokens_max=min(wished, output_tokens_max),
        )


async def send(
    name: str, backend: ModelBackend, secrets: Sequence[str], wire: Wire, timeout_s: float
) -> Completion | ModelFailure:
    """One request; whatever goes wrong is a :class:`ModelFailure`, scrubbed of ``secrets``."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            answer = await backend.send(ModelRequest(wire.messages, wire.options, timeout_s))
    except ModelFailure as failure:
        return _clean(failure, secrets)
    except Exception as error:  # noqa: BLE001 - foreign code; its attempt is charged
        if isinstance(error, TimeoutError) and limit.expired():
            return ModelFailure("timed-out", f"no reply in {timeout_s:g} s", retry=True)
        message = f"backend {name!r} raised {type(error).__name__}: {error}"
        return _clean(ModelFailure("raised", message, retry=False), secrets)
    wrong = _fault(answer)
    if wrong:
        return ModelFailure("garbage", f"backend {name!r} returned {wrong}", retry=True)
    return answer


def settled_usage(answer: Completion | ModelFailure, wire: Wire) -> Usage | None:
    """What the attempt is charged for; None where nobody knows, and the worst case stays.

    A provider that reports less than the text can have cost is charged for the text.
    """
    if isinstance(answer, ModelFailure):
        if answer.usage is not None and not _usage_fault(answer.usage):
            return answer.usage
        return Usage() if answer.outcome in _FREE else None
    usage = answer.usage
    if not usage.input_tokens and not usage.output_tokens:
        return None
    return Usage(
        max(usage.input_tokens, wire.input_tokens_min),
        max(usage.output_tokens, len(answer.text.encode()) // BYTES_PER_TOKEN_MAX),
        usage.cached_tokens,
        usage.reasoning_tokens,
    )


def encode_reply(answer: Completion | ModelFailure) -> bytes:
    """For the journal; :func:`decode_reply` reads it."""
    plain: dict[str, object]
    if isinstance(answer, ModelFailure):
        plain = {"outcome": answer.outcome, "message": str(answer), "retry": answer.retry}
    else:
        plain = asdict(answer)
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def decode_reply(row: Attempt) -> Completion | ModelFailure:
    """What :func:`encode_reply` wrote; :class:`JournalError` where it is nothing of the kind."""
    try:
        plain: dict[str, Any] = json.loads(row.reply)
        if "retry" in plain:
            return ModelFailure(plain["outcome"], plain["message"], retry=plain["retry"])
        return Completion(**{**plain, "usage": Usage(**plain["usage"])})
    except (ValueError, TypeError, KeyError) as error:
        key = (row.round, row.iteration, row.ordinal, row.serial)
        raise JournalError(f"attempt {key}: its reply cannot be read: {error!r}") from error


def _clean(failure: ModelFailure, secrets: Sequence[str]) -> ModelFailure:
    """A failure of a backend within its limits, without the secrets that its text may quote."""
    message = str(failure)
    for secret in secrets:
        if secret:
            message = message.replace(secret, "[secret]")
    after: object = failure.retry_after_s
    wished = isinstance(after, (int, float)) and math.isfinite(after) and after >= 0
    return ModelFailure(
        str(failure.outcome)[:WORD_CHARS_MAX] or "raised",
        message[:REASON_CHARS_MAX].encode(errors="replace").decode(),
        retry=bool(failure.retry),
        retry_after_s=failure.retry_after_s if wished else None,
        usage=failure.usage,
    )


def _fault(answer: object) -> str:
    """What is wrong with a backend's answer, "" if nothing is; annotations are not trusted."""
    if not isinstance(answer, Completion):
        return f"a {type(answer).__name__} where a Completion was expected"
    words: tuple[object, ...] = (answer.model, answer.finish_reason)
    if not all(isinstance(word, str) and len(word) <= WORD_CHARS_MAX for word in words):
        return f"a model or finish reason that is no short text: {words!r:.80}"
    text: object = answer.text
    if not isinstance(text, str):
        return f"a {type(text).__name__} as its text"
    if len(text) > REPLY_CHARS_MAX:
        return f"{len(text)} characters, at most {REPLY_CHARS_MAX}"
    try:
        "".join((text, answer.model, answer.finish_reason)).encode()
    except UnicodeEncodeError as error:
        return f"no valid text: {error}"
    return _usage_fault(answer.usage)


def _usage_fault(usage: object) -> str:
    if not isinstance(usage, Usage):
        return f"a {type(usage).__name__} as its usage"
    for each in fields(usage):
        value = getattr(usage, each.name)
        if type(value) is not int or not 0 <= value <= TOKENS_MAX:
            return f"{each.name} = {value!r:.40}"
    return ""


def _garbage(message: str) -> ModelFailure:
    return ModelFailure("garbage", message, retry=False)
