from __future__ import annotations

import math

import pytest

from deid.errors import ConfigError
from deid.plugin.settings import SettingsTable, nearest


def test_values_are_read_and_defaults_stand_in() -> None:
    table = SettingsTable({"size": 3, "again": 0.25, "kind": "b"}, "thing 'x'")

    assert table.integer("size", default=1, low=0, high=9) == 3
    assert table.integer("other", default=7, low=0, high=9) == 7
    assert table.thousandths("again", default=0.5, low=0, high=1) == 250
    assert table.word("kind", default="a", known=("a", "b")) == "b"
    assert table.text("name", default="all") == "all"
    table.finish()


def test_an_unknown_key_is_named_with_the_nearest() -> None:
    table = SettingsTable({"corpsu": "imps"}, "operator 'markov'")
    table.text("corpus", default="all")
    table.integer("order", default=4, low=1, high=8)

    with pytest.raises(ConfigError) as caught:
        table.finish()

    assert caught.value.message == (
        "operator 'markov': unknown setting 'corpsu'; known: corpus, order"
    )
    assert caught.value.hint == "did you mean 'corpus'?"


@pytest.mark.parametrize("value", [True, 1.0, "3", None, -1, 10])
def test_an_integer_out_of_range_or_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"thing: size must be an integer in \[0, 9\], got"):
        SettingsTable({"size": value}, "thing").integer("size", default=1, low=0, high=9)


@pytest.mark.parametrize("value", [True, "0.5", None, -0.1, 1.1, math.nan, math.inf])
def test_a_number_out_of_range_or_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"again must be a number in \[0, 1\], got"):
        SettingsTable({"again": value}, "thing").thousandths("again", default=0, low=0, high=1)


@pytest.mark.parametrize("value", ["", 3, ["a"]])
def test_a_text_must_be_one(value: object) -> None:
    with pytest.raises(ConfigError, match="name must be a text"):
        SettingsTable({"name": value}, "thing").text("name", default="x")


def test_a_word_must_be_known() -> None:
    with pytest.raises(ConfigError) as caught:
        SettingsTable({"edit": "rewrit"}, "thing").word(
            "edit", default="line", known=("line", "rewrite")
        )

    assert "edit must be one of line, rewrite, got 'rewrit'" in str(caught.value)
    assert "did you mean 'rewrite'?" in str(caught.value)


def test_nothing_is_near_to_what_is_far() -> None:
    assert nearest("zzz", ["corpus", "order"]) is None
    assert nearest("ordre", ["corpus", "order"]) == "order"
