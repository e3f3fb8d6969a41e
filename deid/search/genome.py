"""A program under search: its text, its canonical code, and the hash that names it."""

from __future__ import annotations

from dataclasses import dataclass, field

from deid.search.canonical import digest_bytes


@dataclass(frozen=True, slots=True)
class Genome:
    """One program; two genomes are equal when their code is.

    source: the text as it was proposed.
    code: the domain's canonical form of what the text means (names and comments are gone).
    size: statements in it (instructions of a warrior); >= 1.
    content_hash: BLAKE2b-256 of ``code``; the search deduplicates by it.
    """

    source: str = field(compare=False)
    code: bytes
    size: int = field(compare=False)
    content_hash: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content_hash", digest_bytes(self.code))
