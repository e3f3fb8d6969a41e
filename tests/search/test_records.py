from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search.driver import settings_of

from deid.search.archive import NOBODY
from deid.search.canonical import decode
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.search.records import (
    INPUTS,
    OUTPUTS,
    Arrival,
    Arrived,
    Candidate,
    Configured,
    Decided,
    Decision,
    Evaluated,
    Placed,
    Proposed,
    Record,
    RoundClosed,
    RoundOpened,
    Row,
    Skipped,
)
from deid.search.settings import SearchSettings

KEY = b"\xee" * 32
EPOCH = (1_700_000_000 << 64) | 0xFEDC_BA98_7654_3210

counts = st.integers(0, 2**32)
points = st.integers(0, 2**60)
hashes = st.binary(min_size=32, max_size=32)
words = st.text(max_size=12)
genomes = st.builds(Genome, words, st.binary(min_size=1, max_size=12), st.integers(1, 100))
candidates = genomes.map(lambda genome: Candidate(genome.source, genome)) | st.builds(
    Candidate, words, st.none(), words
)
usages = st.tuples(counts, counts, counts, counts)
ancestries = st.lists(st.tuples(words, st.integers(1, 65_536)), max_size=3).map(tuple)
arrivals = st.builds(
    Arrival,
    genome=genomes,
    node=words,
    round=counts,
    champion=st.booleans(),
    lag=counts,
    backfill=st.booleans(),
    ancestry=ancestries,
    name=st.just(NOBODY) | st.tuples(hashes, st.integers(0, 2**128 - 1), counts),
)
proposals = st.builds(
    Proposed,
    round=counts,
    iteration=counts,
    seen=counts,
    call=words,
    parents=st.lists(hashes, max_size=2).map(tuple),
    operator=words,
    outcome=words,
    note=words,
    candidates=st.lists(candidates, max_size=3).map(tuple),
    model=words,
    prompt_hash=st.just(b"") | hashes,
    usage=usages,
    attempts=counts,
)
settings = st.builds(
    SearchSettings,
    node=words,
    seed=st.integers(0, 2**64 - 1),
    rounds=counts,
    in_flight=counts,
    operators=st.lists(st.tuples(words, counts), min_size=1, max_size=3).map(tuple),
    ordered=st.booleans(),
)
records = st.one_of(
    st.builds(Configured, settings),
    proposals,
    st.builds(
        Evaluated,
        hashes,
        hashes,
        st.builds(Evaluation, points, st.lists(points, max_size=3).map(tuple), counts),
    ),
    st.builds(Arrived, counts, st.lists(arrivals, max_size=3).map(tuple)),
    st.builds(Decided, st.sampled_from(Decision), hashes),
    st.builds(
        RoundOpened,
        counts,
        hashes,
        st.lists(hashes, max_size=3).map(tuple),
        st.lists(st.integers(0, 2**64 - 1), max_size=3).map(tuple),
    ),
    st.builds(Placed, counts, st.integers(-1, 2**31), hashes, counts, points, words),
    st.builds(Skipped, counts, counts, words, st.just(b"") | hashes),
    st.builds(
        RoundClosed,
        counts,
        counts,
        counts,
        points,
        points,
        counts,
        st.just(b"") | hashes,
        st.lists(hashes, max_size=3).map(tuple),
        counts,
    ),
)

GENOME = Genome("start", b"code", 1)
ARRIVAL = Arrival(GENOME, "beta", 4, True, 0, False, (("beta/edit", 65_536),), (KEY, EPOCH, 77))
PROPOSED = Proposed(
    1, 2, 3, "new", (), "llm", "ok", "", (Candidate("start", GENOME),), usage=(901, 902, 903, 904)
)


def one_of_each() -> list[Record]:
    return [
        Configured(settings_of()),
        PROPOSED,
        Evaluated(GENOME.content_hash, bytes(32), Evaluation(5, (1, 2), 3)),
        Arrived(4, (ARRIVAL,)),
        Decided(Decision.QUARANTINE, KEY),
        RoundOpened(4, bytes(32), (GENOME.content_hash,), (9,)),
        Placed(4, -1, GENOME.content_hash, 3, 5, "new"),
        Skipped(4, 1, "invalid", b""),
        RoundClosed(4, 1, 1, 5, 5, 2, b"", (), 1),
    ]


def test_every_kind_is_covered_here() -> None:
    assert {record.kind for record in one_of_each()} == {*INPUTS, *OUTPUTS}


@given(records)
def test_decoding_is_the_inverse_of_encoding(record: Record) -> None:
    row = Row.of(record)

    assert row.record() == record
    assert Row.of(row.record()) == row


@pytest.mark.parametrize("record", one_of_each(), ids=lambda record: record.kind)
def test_a_row_knows_whether_it_is_an_input(record: Record) -> None:
    row = Row.of(record)

    assert row.is_input() == isinstance(record, tuple(INPUTS.values()))
    if row.is_input():
        assert row.input() == record
    else:
        with pytest.raises(KeyError):
            row.input()


def test_texts_of_programs_survive_though_equality_does_not_see_them() -> None:
    proposed, arrived = (Row.of(each).record() for each in (PROPOSED, Arrived(4, (ARRIVAL,))))
    assert isinstance(proposed, Proposed)
    assert isinstance(arrived, Arrived)

    for genome in (proposed.candidates[0].genome, arrived.items[0].genome):
        assert genome is not None
        assert (genome.source, genome.size, genome.content_hash) == (
            "start",
            1,
            GENOME.content_hash,
        )


def test_a_kind_of_a_later_version_has_no_record() -> None:
    row = Row("of-tomorrow", b"\x90", b"")

    assert not row.is_input()
    with pytest.raises(KeyError, match="of-tomorrow"):
        row.record()


# --- What the journal hash must not depend on ---------------------------------------------------


@given(st.tuples(hashes, st.integers(0, 2**128 - 1), counts))
def test_the_name_of_an_arrival_is_outside_its_body(name: tuple[bytes, int, int]) -> None:
    renamed = replace(ARRIVAL, name=name)

    assert Row.of(Arrived(4, (renamed,))).body == Row.of(Arrived(4, (ARRIVAL,))).body


@given(usages, counts)
def test_usage_and_attempts_are_outside_a_proposals_body(
    usage: tuple[int, int, int, int], attempts: int
) -> None:
    paid = replace(PROPOSED, usage=usage, attempts=attempts)

    assert Row.of(paid).body == Row.of(PROPOSED).body


@given(hashes)
def test_the_subject_of_a_decision_is_outside_its_body(subject: bytes) -> None:
    row = Row.of(Decided(Decision.QUARANTINE, subject))

    assert row.body == Row.of(Decided(Decision.QUARANTINE, KEY)).body


@pytest.mark.parametrize("record", one_of_each(), ids=lambda record: record.kind)
def test_no_key_epoch_or_usage_stands_in_a_body(record: Record) -> None:
    body = Row.of(record).body

    assert KEY not in body
    assert EPOCH.to_bytes(16, "big") not in body
    assert not {901, 902, 903, 904} & set(flat(decode(body)))


@pytest.mark.parametrize(
    "change",
    [
        {"genome": Genome("start", b"edoc", 1)},
        {"genome": Genome("stare", b"code", 1)},
        {"node": "gamma"},
        {"round": 5},
        {"champion": False},
        {"lag": 1},
        {"backfill": True},
        {"ancestry": (("gamma/edit", 65_536),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_else_of_an_arrival_is_in_its_body(change: dict[str, object]) -> None:
    other = replace(ARRIVAL, **change)  # type: ignore[arg-type]

    assert Row.of(Arrived(4, (other,))).body != Row.of(Arrived(4, (ARRIVAL,))).body


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Proposed) if f.name not in ("usage", "attempts")]
)
def test_all_else_of_a_proposal_is_in_its_body(name: str) -> None:
    values = {int: 99, str: "other", bytes: b"other", tuple: ()}
    value: object = values[type(getattr(PROPOSED, name))]
    if name == "parents":
        value = (bytes(32),)
    other = replace(PROPOSED, **{name: value})  # type: ignore[arg-type]

    assert Row.of(other).body != Row.of(PROPOSED).body


def flat(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in flat(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in flat(inner)]
    return [value]
