"""Laws over random texts: only `AssemblyError`, and what assembles does so again."""

from __future__ import annotations

import re
from typing import Any

from corewar.redcode.programs import programs, soup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid_corewar.redcode import (
    AssemblyError,
    Standard,
    Warrior,
    assemble,
    listing,
    load_file,
    parse_listing,
)
from deid_corewar.settings import SETTINGS

STANDARD = SETTINGS["94"]
NAME = re.compile(r"\b[abc]1\b")


def attempt(text: str, standard: Standard = Standard.ICWS94) -> Warrior | None:
    """The warrior, or None where the text is refused with a place inside it."""
    try:
        warrior = assemble(text, STANDARD, standard=standard)
    except AssemblyError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1
        assert error.message
        return None
    assert 1 <= len(warrior.instructions) <= STANDARD.length_max
    assert 0 <= warrior.start < len(warrior.instructions)
    assert all(0 <= i.a < 8000 and 0 <= i.b < 8000 for i in warrior.instructions)
    return warrior


@given(st.text(max_size=300) | soup)
@settings(max_examples=300, deadline=None)
def test_any_text_assembles_or_is_refused(text: str) -> None:
    attempt(text)
    attempt(text, Standard.ICWS88)


@given(programs)
@settings(max_examples=300, deadline=None)
def test_what_assembles_does_so_again_from_its_listing_and_its_load_file(text: str) -> None:
    warrior = attempt(text)
    if warrior is None:
        return
    again = attempt(listing(warrior).decode("ascii"))
    loaded = attempt(load_file(warrior))
    assert again is not None
    assert loaded is not None
    assert listing(again) == listing(loaded) == listing(warrior)
    assert parse_listing(listing(warrior)).instructions == warrior.instructions


@given(programs)
@settings(max_examples=200, deadline=None)
def test_renaming_labels_changes_nothing(text: str) -> None:
    warrior = attempt(text)
    renamed = attempt(NAME.sub(lambda match: f"_new_{match[0]}_name", text))

    assert (warrior is None) == (renamed is None)
    if warrior is not None and renamed is not None:
        assert listing(warrior) == listing(renamed)


@given(data=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_warriors_assemble_or_are_refused(published: Any, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(published)).text
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 20))
        text = text[:at] + data.draw(soup | st.text(max_size=5)) + text[at + gone :]
    attempt(text)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_listing_or_are_refused(code: bytes) -> None:
    try:
        parsed = parse_listing(code)
    except AssemblyError:
        return
    assert listing(parsed) == code
