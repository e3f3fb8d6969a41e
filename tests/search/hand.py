"""Hand-made searches: every program says what it gets, every answer is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.driver import Driver, HandMade, Take, nothing, scripted, settings_of

from deid.search.calls import Gather
from deid.search.genome import Genome
from deid.search.records import Arrival, RoundClosed, RoundOpened, Skipped

Script = Mapping[tuple[int, int], Sequence[str]]

SEED = "seed 1 0 1 0"  # the one initial opponent: 1 point, in the first of three cells


def hand(
    script: Script,
    *,
    seeds: Sequence[str] = (SEED,),
    take: Take = nothing,
    opponents_max: int = 4,
    **changed: object,
) -> Driver:
    """A configured driver: one round of as many calls as ``script`` has, one at a time."""
    game = HandMade(seeds, opponents_max)
    calls = max((iteration for _, iteration in script), default=0) + 1
    base: dict[str, object] = {
        "rounds": 1 + max((number for number, _ in script), default=0),
        "iterations": calls,
        "n_init": 0,
        "in_flight": 1,
        "new_parts": 0,
        "cross_parts": 0,
        "opponents_max": opponents_max,
    }
    driver = Driver(game, scripted(script, game), take=take)
    return driver.configure(settings_of(**(base | changed)))


def program(text: str) -> Genome:
    return HandMade().parse(text)


def named(driver: Driver, names: Sequence[bytes]) -> list[str]:
    """First words of the programs with these content hashes."""
    texts = [*(g.source for g in driver.game.opponents()), *_texts(driver)]
    known = {program(text).content_hash: text.split()[0] for text in texts}
    return [known[name] for name in names]


def closed(driver: Driver) -> list[RoundClosed]:
    return [record for record in driver.records if isinstance(record, RoundClosed)]


def shared(driver: Driver) -> list[list[str]]:
    """What each round published; a champion goes first and in capitals."""
    rounds = []
    for each in closed(driver):
        words = named(driver, each.shared)
        rounds.append([w.upper() if each.champion and k == 0 else w for k, w in enumerate(words)])
    return rounds


def pools(driver: Driver) -> list[list[str]]:
    opened = [record for record in driver.records if isinstance(record, RoundOpened)]
    return [named(driver, each.pool) for each in opened]


def skipped(driver: Driver) -> list[str]:
    return [record.reason for record in driver.records if isinstance(record, Skipped)]


def elites(driver: Driver) -> list[str]:
    """First words of the elites that parents come from, by cell."""
    return named(driver, [elite.content_hash for elite in driver.engine.archive or ()])


def delivered(items: Mapping[int, Sequence[Arrival]]) -> Take:
    """Arrivals by round, sorted by content hash as a snapshot is."""

    def take(gather: Gather) -> tuple[Arrival, ...]:
        arrived = items.get(gather.round, ())
        return tuple(sorted(arrived, key=lambda item: item.genome.content_hash))

    return take


def delivered_once(*items: Arrival) -> Take:
    """All of ``items`` at the end of round 0."""
    return delivered({0: items})


def _texts(driver: Driver) -> list[str]:
    texts = []
    for record in driver.records:
        if hasattr(record, "candidates"):
            texts += [c.source for c in record.candidates if c.genome is not None]
        if hasattr(record, "items"):
            texts += [item.genome.source for item in record.items]
    return texts
