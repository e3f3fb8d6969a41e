"""Late and backfilled elites: what settings make of their tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deid.search.canonical import decode, encode
from deid.search.settings import LAG_MAX, USES, SearchSettings, Use

BASE = SearchSettings("alpha", 1)


def test_by_default_nothing_is_late_and_backfill_is_used() -> None:
    assert BASE.use_of(LAG_MAX, True) == "use"


@pytest.mark.parametrize(
    ("lag", "backfill", "expected"),
    [(2, False, "use"), (3, False, "last"), (2, True, "skip"), (3, True, "skip")],
)
def test_late_is_beyond_lag_max_and_the_stricter_of_both_holds(
    lag: int, backfill: bool, expected: Use
) -> None:
    settings = replace(BASE, lag_max=2, late="last", backfill="skip")

    assert settings.use_of(lag, backfill) == expected


@pytest.mark.parametrize("late", USES)
@pytest.mark.parametrize("backfill", USES)
def test_settings_survive_the_journal(late: Use, backfill: Use) -> None:
    settings = replace(BASE, lag_max=3, late=late, backfill=backfill)

    assert SearchSettings.of_plain(decode(encode(settings.plain()))) == settings


def test_settings_of_an_earlier_journal_have_the_defaults_and_the_same_bytes() -> None:
    plain = BASE.plain()

    assert not {"lag_max", "late", "backfill"} & set(plain)
    assert SearchSettings.of_plain(plain) == BASE
    assert set(replace(BASE, backfill="last").plain()) - set(plain) == {"backfill"}
