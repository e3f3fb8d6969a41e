"""What is taken of an operator's answer: everything is checked, surplus is dropped and counted."""

from __future__ import annotations

from dataclasses import dataclass

from deid.plugin.contracts import Proposal

__all__ = [
    "NOTE_CHARS_MAX",
    "OUTCOMES",
    "REPLY_BYTES_MAX",
    "TEXT_BYTES_MAX",
    "GarbageError",
    "Taken",
]

TEXT_BYTES_MAX = 64 << 10  # of one candidate: an item on the wire holds no more
REPLY_BYTES_MAX = 1 << 20  # of all candidates that are taken
NOTE_CHARS_MAX = 1_000  # of a note in the journal; what exceeds it is cut
WORD_CHARS_MAX = 200  # of a model's name
HASH_BYTES_MAX = 64

OUTCOMES = frozenset(  # the words of a failed call that the journal keeps
    ("raised", "timed-out", "crashed", "garbage", "refused", "rate-limited", "server-error")
)


class GarbageError(ValueError):
    """An answer that is no proposal; becomes outcome ``garbage``."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A proposal within its limits, and how many candidates were left out."""

    proposal: Proposal
    surplus: int

    @classmethod
    def of(cls, answer: object, candidates_max: int, surplus: int = 0) -> Taken:
        """What is taken of ``answer``; :class:`GarbageError` says what is wrong with it.

        surplus: what an earlier check of the same answer left out.
        """
        if not isinstance(answer, Proposal):
            raise GarbageError(f"expected a Proposal, got {type(answer).__name__}")
        candidates = answer.candidates
        if not isinstance(candidates, (tuple, list)):
            raise GarbageError(f"candidates: expected a tuple, got {type(candidates).__name__}")
        kept = tuple(candidates[:candidates_max])
        total = sum(_bytes(text, f"candidate {n}") for n, text in enumerate(kept))
        if total > REPLY_BYTES_MAX:
            raise GarbageError(f"candidates of {total} bytes together, at most {REPLY_BYTES_MAX}")
        proposal = Proposal(kept, _note(answer.note), _model(answer.model), _hash(answer))
        return cls(proposal, surplus + len(candidates) - len(kept))


def _bytes(text: object, where: str) -> int:
    """UTF-8 bytes of a candidate's text."""
    if not isinstance(text, str):
        raise GarbageError(f"{where}: expected text, got {type(text).__name__}")
    if len(text) > TEXT_BYTES_MAX:
        raise GarbageError(f"{where}: {len(text)} characters, at most {TEXT_BYTES_MAX} bytes")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise GarbageError(f"{where}: no valid text: {error}") from error
    if size > TEXT_BYTES_MAX:
        raise GarbageError(f"{where}: {size} bytes, at most {TEXT_BYTES_MAX}")
    return size


def _note(note: object) -> str:
    if not isinstance(note, str):
        raise GarbageError(f"note: expected text, got {type(note).__name__}")
    return note[:NOTE_CHARS_MAX].encode(errors="replace").decode()


def _model(model: object) -> str:
    if not isinstance(model, str) or len(model) > WORD_CHARS_MAX:
        raise GarbageError(
            f"model: expected at most {WORD_CHARS_MAX} characters, got {model!r:.80}"
        )
    return model.encode(errors="replace").decode()


def _hash(answer: Proposal) -> bytes:
    value: object = answer.prompt_hash
    if not isinstance(value, bytes) or len(value) > HASH_BYTES_MAX:
        raise GarbageError(
            f"prompt_hash: expected at most {HASH_BYTES_MAX} bytes, got {value!r:.80}"
        )
    return value
