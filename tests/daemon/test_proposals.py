"""Checking an operator's answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.daemon.proposals import (
    NOTE_CHARS_MAX,
    REPLY_BYTES_MAX,
    TEXT_BYTES_MAX,
    GarbageError,
    Taken,
)
from deid.plugin import Proposal


def test_a_good_proposal_is_taken_as_it_is() -> None:
    proposal = Proposal(("a", "b"), "note", "model", b"hash")

    assert Taken.of(proposal, 2) == Taken(proposal, 0)


def test_the_first_candidates_are_kept_and_the_others_counted() -> None:
    taken = Taken.of(Proposal(("a", "b", "c")), 2, surplus=5)

    assert taken == Taken(Proposal(("a", "b")), 6)


def test_no_candidates_are_a_proposal_too() -> None:
    assert Taken.of(Proposal((), "found nothing"), 3).proposal.note == "found nothing"


@pytest.mark.parametrize("text", ["x" * TEXT_BYTES_MAX, "ä" * (TEXT_BYTES_MAX // 2)])
def test_a_text_may_be_as_long_as_an_item_on_the_wire_and_no_longer(text: str) -> None:
    assert Taken.of(Proposal((text,)), 1).proposal.candidates == (text,)
    with pytest.raises(GarbageError, match="candidate 0"):
        Taken.of(Proposal((text + "ä",)), 1)


def test_candidates_are_bounded_together() -> None:
    text = "x" * TEXT_BYTES_MAX
    fit = REPLY_BYTES_MAX // TEXT_BYTES_MAX

    assert len(Taken.of(Proposal((text,) * fit), 100).proposal.candidates) == fit
    with pytest.raises(GarbageError, match="together"):
        Taken.of(Proposal((text,) * (fit + 1)), 100)


def test_a_long_note_is_cut() -> None:
    taken = Taken.of(Proposal((), "n" * 10 * NOTE_CHARS_MAX), 1)

    assert taken.proposal.note == "n" * NOTE_CHARS_MAX


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "expected a Proposal, got NoneType"),
        ("start 5", "expected a Proposal, got str"),
        (Proposal(cast(Any, "text")), "candidates: expected a tuple, got str"),
        (Proposal(cast(Any, iter(("a",)))), "candidates: expected a tuple"),
        (Proposal(cast(Any, (b"a",))), "candidate 0: expected text, got bytes"),
        (Proposal(("ok", "\udfff")), "candidate 1: no valid text"),
        (Proposal((), cast(Any, 3)), "note: expected text"),
        (Proposal((), "", "m" * 201), "model: expected at most 200"),
        (Proposal((), "", cast(Any, None)), "model: expected"),
        (Proposal((), "", "", cast(Any, "ab")), "prompt_hash: expected"),
        (Proposal((), "", "", b"h" * 65), "prompt_hash: expected at most 64"),
    ],
)
def test_what_is_no_proposal_is_garbage_with_its_reason(answer: object, says: str) -> None:
    with pytest.raises(GarbageError) as caught:
        Taken.of(answer, 4)

    assert says in str(caught.value)


ANYTHING = st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text() | st.none())


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, st.integers(0, 5))
def test_whatever_comes_what_is_taken_can_be_sent_and_stored(
    candidates: Any, note: Any, model: Any, prompt_hash: Any, most: int
) -> None:
    try:
        taken = Taken.of(Proposal(candidates, note, model, prompt_hash), most)
    except GarbageError:
        return

    assert len(taken.proposal.candidates) <= most
    for text in (*taken.proposal.candidates, taken.proposal.note, taken.proposal.model):
        assert text.encode().decode() == text
