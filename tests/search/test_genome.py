from __future__ import annotations

from hashlib import blake2b

from deid.search.genome import Genome


def test_a_genome_is_named_by_the_hash_of_its_code() -> None:
    assert Genome("text", b"code", 1).content_hash == blake2b(b"code", digest_size=32).digest()


def test_the_text_does_not_make_a_genome_another_one() -> None:
    one, other = Genome("; by me\nMOV 0, 1", b"code", 1), Genome("MOV 0, 1", b"code", 1)

    assert one == other
    assert hash(one) == hash(other)
    assert one.content_hash == other.content_hash


def test_other_code_is_another_genome() -> None:
    assert Genome("text", b"code", 1) != Genome("text", b"edoc", 1)
