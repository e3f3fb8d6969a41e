"""Shares become drafts that can be published, received items arrivals that cannot lie."""

from __future__ import annotations

from dataclasses import replace

import pytest
from daemon.loops import draft, peer, shared

from deid.daemon.exchange import arrivals_of, cell_of_claims, draft_of, elite_key, text_of
from deid.errors import CandidateError
from deid.plugin.toy import ToyDomain
from deid.search.calls import Provenance, Share
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.wire.gather import Arrival
from deid.wire.item import LABEL_BYTES_MAX, SOURCE_BYTES_MAX, open_item

TOY = ToyDomain(trials=2)
PROGRAM, OTHER = TOY.corpora()["swingers"][:2]
REFERENCE = TOY.reference()
CLAIM = TOY.evaluate(PROGRAM, REFERENCE, 0, REFERENCE.trials)


def share(genome: Genome = PROGRAM, **changes: object) -> Share:
    made = Provenance(
        "alpha",
        True,
        "toy",
        "m",
        b"p" * 32,
        (b"a" * 32,),
        (("alpha/toy", 65_536),),
        4,
        (1, 2, 3, 4),
    )
    return Share(genome, replace(made, **changes), True, CLAIM)  # type: ignore[arg-type]


def received(domain: ToyDomain, **changes: object) -> tuple[Arrival, ...]:
    signed = shared(peer("beta", domain), draft(domain, PROGRAM, **changes))
    return tuple(Arrival(each, each.item.round, 2, 10, True) for each in signed)


def test_a_share_is_published_with_all_that_is_known_of_it() -> None:
    made = draft_of(share(), TOY)
    (signed,) = shared(peer("alpha", TOY), made)
    item = open_item(signed.raw).item

    assert (item.code, item.source, item.claim) == (PROGRAM.code, PROGRAM.source, CLAIM)
    assert (item.round, item.champion, item.operator, item.model) == (4, True, "toy", "m")
    assert (item.parents, item.prompt_hash) == ((b"a" * 32,), b"p" * 32)
    assert item.ancestry == (("alpha/toy", 65_536),)
    assert (item.usage.input_tokens, item.usage.reasoning_tokens) == (1, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "m" * 200},
        {"model": "é" * 100},
        {"model": "a\nb\x1b"},
        {"operator": "o" * 200},
        {"prompt_hash": b"short"},
        {"prompt_hash": b"x" * 64},
        {"parents": (b"a" * 32,) * 20},
        {"ancestry": (("n" * 64 + "/" + "o" * 64, 65_536),)},
    ],
)
def test_whatever_an_operator_says_of_itself_can_be_published(changes: dict[str, object]) -> None:
    made = draft_of(share(**changes), TOY)
    (signed,) = shared(peer("alpha", TOY), made)

    assert signed.item.content_hash == PROGRAM.content_hash
    assert len(made.model.encode()) <= LABEL_BYTES_MAX
    assert made.prompt_hash in (b"", b"p" * 32)


def test_a_source_too_long_for_an_item_is_rendered_anew() -> None:
    long = Genome(PROGRAM.source + "#" * SOURCE_BYTES_MAX, PROGRAM.code, PROGRAM.size)
    made = draft_of(share(long), TOY)

    assert made.source == TOY.render(PROGRAM)
    assert shared(peer("alpha", TOY), made)


def test_a_source_that_no_rendering_shortens_is_left_out() -> None:
    class Verbose(ToyDomain):
        def render(self, genome: Genome) -> str:
            return super().render(genome) + "é" * SOURCE_BYTES_MAX

    long = Genome("é" * SOURCE_BYTES_MAX, PROGRAM.code, PROGRAM.size)
    made = draft_of(share(long), Verbose(trials=2))

    assert made.source == ""
    assert shared(peer("alpha", TOY), made)


def test_an_arrival_says_who_made_it_and_how_late_it_is() -> None:
    (arrival,) = arrivals_of(received(TOY, round=3, ancestry=(("beta/toy", 9),)), TOY)

    assert (arrival.node, arrival.round, arrival.champion) == ("beta", 3, True)
    assert (arrival.lag, arrival.backfill) == (2, True)
    assert arrival.ancestry == (("beta/toy", 9),)
    assert arrival.name[1:] == (5 << 64, 1)


def test_the_program_of_an_arrival_is_that_of_its_code_whatever_its_text_says() -> None:
    (arrival,) = arrivals_of(received(TOY, source=OTHER.source), TOY)

    assert arrival.genome == PROGRAM
    assert TOY.parse(arrival.genome.source) == PROGRAM


def test_bytes_that_are_no_program_are_left_out_even_where_the_domain_breaks_on_them() -> None:
    class Brittle(ToyDomain):
        def decode(self, code: bytes) -> Genome:
            if code == b"\x02":
                raise IndexError("a domain's bug")
            return super().decode(code)

    brittle = Brittle(trials=2)
    items = [*received(brittle, code=b"\x01"), *received(brittle, code=b"\x02")]

    assert arrivals_of([*items, *received(brittle)], brittle) == arrivals_of(
        received(brittle), brittle
    )
    with pytest.raises(CandidateError):
        brittle.decode(b"\x01")
    assert text_of(items[1].signed.item, brittle) == ""


def test_the_text_of_an_item_is_shown_where_it_means_the_code() -> None:
    named = PROGRAM.source + "\n# by someone\n"
    (honest,) = received(TOY, source=named)
    (liar,) = received(TOY, source=OTHER.source)
    (garbled,) = received(TOY, source="start nowhere")

    assert text_of(honest.signed.item, TOY) == named
    assert text_of(liar.signed.item, TOY) == TOY.render(PROGRAM)
    assert text_of(garbled.signed.item, TOY) == TOY.render(PROGRAM)


def test_a_domain_that_breaks_on_a_peers_text_shows_its_own() -> None:
    class Brittle(ToyDomain):
        def parse(self, text: str) -> Genome:
            if "crash" in text:
                raise RecursionError("too deep")
            return super().parse(text)

    (item,) = received(TOY, source="crash")

    assert text_of(item.signed.item, Brittle(trials=2)) == TOY.render(PROGRAM)


def test_a_claim_that_cannot_be_true_has_no_cell() -> None:
    cell_of = cell_of_claims(TOY.grid, REFERENCE)
    whole = REFERENCE.points_max * REFERENCE.trials

    assert cell_of(CLAIM) == TOY.grid.cell(CLAIM)
    assert cell_of(replace(CLAIM, points=whole)) == TOY.grid.cell(CLAIM)
    with pytest.raises(ValueError, match="exceeds what there is"):
        cell_of(replace(CLAIM, points=whole + 1))
    with pytest.raises(ValueError, match="covers 10 trials, got 9"):
        cell_of(replace(CLAIM, trials=9))
    with pytest.raises(ValueError, match="argument"):
        cell_of(Evaluation(1, (1,), REFERENCE.trials))


def test_of_equal_claims_the_smaller_content_goes_first_then_the_smaller_name() -> None:
    beta = peer("beta", TOY)
    first, again = shared(beta, draft(TOY, PROGRAM), draft(TOY, PROGRAM))
    (other,) = shared(beta, draft(TOY, OTHER, claim=CLAIM))
    better = replace(CLAIM, points=CLAIM.points + 1)
    (best,) = shared(beta, draft(TOY, OTHER, claim=better))
    items = sorted((each.item for each in (other, again, best, first)), key=elite_key)
    by_content = sorted([PROGRAM.content_hash] * 2 + [OTHER.content_hash])

    assert items[0] == best.item
    assert [item.content_hash for item in items[1:]] == by_content
    assert items.index(first.item) < items.index(again.item)
