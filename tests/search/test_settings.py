from __future__ import annotations

from search.driver import settings_of

from deid.search.canonical import decode, encode
from deid.search.settings import PARTS, SearchSettings


def test_settings_survive_the_journal() -> None:
    settings = settings_of(operators=(("edit", 2), ("llm", 1)), ordered=False)

    assert SearchSettings.of_plain(decode(encode(settings.plain()))) == settings


def test_fields_of_a_later_version_are_left_out() -> None:
    plain = settings_of().plain() | {"of_tomorrow": 1}

    assert SearchSettings.of_plain(plain) == settings_of()


def test_fields_that_an_older_version_did_not_know_take_their_defaults() -> None:
    plain = {"node": "alpha", "seed": 3, "operators": [["edit", 1]]}

    assert SearchSettings.of_plain(plain) == SearchSettings("alpha", 3)


def test_a_round_has_its_initial_calls_and_its_iterations() -> None:
    assert settings_of(n_init=3, iterations=12).calls == 15


def test_a_tenth_of_the_calls_asks_for_something_new_by_default() -> None:
    assert SearchSettings("alpha", 1).new_parts * 10 == PARTS
