"""A run's state is rebuilt from its journal: the inputs are folded again, the outputs compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from deid.errors import JournalError, LocalError
from deid.search.engine import Engine
from deid.search.records import Record, Row
from deid.store.values import StoredRow

_HINT = (
    "the journal was written under other [domain] settings or by other code: restore them, "
    "or use a new state_dir"
)


def refold(engine: Engine, rows: Iterable[StoredRow], observe: Callable[[Record], None]) -> int:
    """Folds the journal's inputs into ``engine``; returns how many rows there were.

    observe: told every record, in order.
    :class:`JournalError` names the first row that today's code would write differently, or that
    it cannot fold.
    """
    expected: deque[Row] = deque()
    count = 0
    for stored in rows:
        count += 1
        row = stored.row
        if not row.is_input():
            if not expected or expected.popleft() != row:
                raise JournalError(f"journal row {stored.seq} ({row.kind}) differs", hint=_HINT)
            continue
        if expected:
            raise JournalError(
                f"journal row {stored.seq}: a {expected[0].kind} was expected, got a {row.kind}",
                hint=_HINT,
            )
        try:
            record = row.input()
            outputs = engine.apply(record)
        except (LocalError, ValueError) as error:
            raise JournalError(
                f"journal row {stored.seq} ({row.kind}) does not follow: {error}", hint=_HINT
            ) from error
        observe(record)
        for output in outputs:
            observe(output)
            expected.append(Row.of(output))
    if expected:
        raise JournalError(f"the journal ends before a {expected[0].kind}", hint=_HINT)
    return count
