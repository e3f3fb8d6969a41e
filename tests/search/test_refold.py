"""Rebuilding an engine from its journal (deid.daemon.resume)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search.driver import Driver, settings_of, toy_arrivals, toy_driver

from deid.daemon.resume import refold
from deid.errors import JournalError
from deid.search.engine import Engine
from deid.search.records import Evaluated, Placed, Proposed, Record, Row, Skipped
from deid.store.values import StoredRow


def run() -> Driver:
    return toy_driver(take=toy_arrivals).configure(settings_of(rounds=2)).finish()


def first_of(driver: Driver, kind: str, after: int = 0) -> int:
    """Index of the first row of ``kind`` from ``after`` on."""
    return next(
        k for k, stored in enumerate(driver.stored) if k >= after and stored.row.kind == kind
    )


def fold(rows: list[StoredRow]) -> int:
    return refold(Engine(toy_driver().game), rows, lambda record: None)


def with_row(driver: Driver, index: int, row: Row) -> list[StoredRow]:
    rows = list(driver.stored)
    rows[index] = replace(rows[index], row=row)
    return rows


def test_all_rows_are_folded_and_every_record_is_told_in_order() -> None:
    driver = run()
    told: list[Record] = []

    assert refold(Engine(driver.game), driver.stored, told.append) == len(driver.stored)
    assert told == driver.records


def test_no_rows_leave_a_new_engine() -> None:
    assert fold([]) == 0


@pytest.mark.parametrize("kind", ["opened", "placement", "skip", "round"])
def test_the_first_row_that_would_be_written_differently_is_named(kind: str) -> None:
    driver = run()
    index = first_of(driver, kind)
    row = driver.stored[index].row
    rows = with_row(driver, index, replace(row, body=row.body[:-1] + b"\x7e"))
    later = first_of(driver, "placement", index + 5)
    rows[later] = replace(rows[later], row=Row.of(Skipped(9, 9, "invalid", b"")))

    with pytest.raises(JournalError, match=rf"row {index + 1} \({kind}\) differs"):
        fold(rows)


def test_the_extra_of_an_output_is_compared_too() -> None:
    driver = run()
    index = first_of(driver, "placement")
    row = driver.stored[index].row

    with pytest.raises(JournalError, match=rf"row {index + 1} \(placement\) differs"):
        fold(with_row(driver, index, replace(row, extra=b"\xc0")))


def test_an_output_that_nothing_gave_is_named() -> None:
    driver = run()
    index = first_of(driver, "placement")
    extra = replace(driver.stored[index], row=Row.of(Placed(0, 0, bytes(32), 0, 0, "new")))
    rows = [*driver.stored[: index + 1], extra]

    with pytest.raises(JournalError, match=rf"row {index + 1} \(placement\) differs"):
        fold(rows)


def test_a_row_of_an_unknown_kind_is_named() -> None:
    driver = run()
    rows = with_row(driver, 1, Row("of-tomorrow", b"\x90", b""))

    with pytest.raises(JournalError, match=r"row 2 \(of-tomorrow\) differs"):
        fold(rows)


def test_a_missing_output_is_named_where_the_next_input_stands() -> None:
    driver = run()
    index = first_of(driver, "placement")
    following = driver.stored[index + 1]
    rows = [*driver.stored[:index], following]
    assert following.row.is_input()

    with pytest.raises(
        JournalError,
        match=rf"row {following.seq}: a placement was expected, got a {following.row.kind}",
    ):
        fold(rows)


def test_a_journal_that_ends_between_an_input_and_its_outputs_is_named() -> None:
    driver = run()
    index = first_of(driver, "placement")

    with pytest.raises(JournalError, match="ends before a placement"):
        fold(driver.stored[:index])


def test_an_input_that_does_not_follow_is_named_with_its_reason() -> None:
    driver = run()
    index = first_of(driver, "proposal")
    record = driver.stored[index].row.input()
    assert isinstance(record, Proposed)
    rows = with_row(driver, index, Row.of(replace(record, seen=record.seen + 1)))

    with pytest.raises(
        JournalError, match=rf"row {index + 1} \(proposal\) does not follow: .* another call"
    ):
        fold(rows)


def test_a_changed_evaluation_is_found_at_its_placement() -> None:
    driver = run()
    index = first_of(driver, "evaluation")
    record = driver.stored[index].row.input()
    assert isinstance(record, Evaluated)
    better = replace(record.evaluation, points=record.evaluation.points + 1)
    rows = with_row(driver, index, Row.of(replace(record, evaluation=better)))

    with pytest.raises(JournalError, match=rf"row {index + 2} \(placement\) differs"):
        fold(rows)


def test_a_refusal_says_what_to_do() -> None:
    driver = run()

    with pytest.raises(JournalError) as caught:
        fold(driver.stored[1:])
    assert caught.value.hint is not None
    assert "use a new state_dir" in caught.value.hint
