"""The operator ``edit``: draws edits from a named stream until the program is a new one."""

from __future__ import annotations

from dataclasses import dataclass

from deid.plugin import (
    ConfigError,
    Domain,
    Kind,
    OperatorContext,
    Program,
    Proposal,
    Request,
    Settings,
)
from deid.plugin.settings import SettingsTable
from deid.plugin.slots import corpus_of, parents_of, unseen_text
from deid.search.genome import Genome
from deid.search.streams import Stream
from deid_edit.edits import Bench, cross, edit, random_program

__all__ = ["EditOperator", "EditSettings"]

TRIES_MAX = 32  # an edit is undone by chance, or by the canonical form, far less often than half


@dataclass(frozen=True, slots=True)
class EditSettings:
    """Settings of the operator.

    new: what NEW makes: ``random`` (drawn slot by slot), ``example`` (an example of the domain,
        heavily edited) or ``mix`` (one random program in four).
    corpus: the family of examples that NEW edits, or ``all``.
    new_lines_max: length of the longest random program.
    new_edits: edits made to an example.
    crossover: ``one``-point, ``two``-point or ``mix``.
    again_thousandths: chance of one more edit after each, in thousandths.
    edits_max: edits of one candidate.
    step_max: the most that a small step changes a number.
    """

    new: str
    corpus: str
    new_lines_max: int
    new_edits: int
    crossover: str
    again_thousandths: int
    edits_max: int
    step_max: int

    @staticmethod
    def read(settings: Settings) -> EditSettings:
        """Settings from a table; :class:`ConfigError` names an unknown key or a wrong value."""
        table = SettingsTable(settings, "operator 'edit'")
        result = EditSettings(
            new=table.word("new", default="mix", known=("random", "example", "mix")),
            corpus=table.text("corpus", default="all"),
            new_lines_max=table.integer("new_lines_max", default=20, low=1, high=10_000),
            new_edits=table.integer("new_edits", default=8, low=1, high=1_000),
            crossover=table.word("crossover", default="mix", known=("one", "two", "mix")),
            again_thousandths=table.thousandths("again", default=0.5, low=0.0, high=0.95),
            edits_max=table.integer("edits_max", default=8, low=1, high=1_000),
            step_max=table.integer("step_max", default=16, low=1, high=1_000_000),
        )
        table.finish()
        return result


class EditOperator:
    """Makes one candidate a call: valid, and different from its parents.

    A pure function of (request, settings, node, seed). It proposes nothing, and says so, where
    the grammar has too few programs to find another one.
    """

    def __init__(self, settings: EditSettings, context: OperatorContext) -> None:
        self._settings = settings
        self._domain = context.domain
        self._node = context.node
        self._purpose = f"edit/{context.seed}"
        self._examples = _examples(context.domain, settings)

    async def propose(self, request: Request) -> Proposal:
        """One candidate; :class:`ValueError` on a wrong number of parents."""
        stream = Stream(request.seed, self._node, self._purpose, request.round, request.iteration)
        parents = parents_of(request, self._domain)
        for _ in range(TRIES_MAX):
            program, seen = self._candidate(request, parents, stream)
            text = unseen_text(self._domain, program, seen)
            if text is not None:
                return Proposal((text,))
        return Proposal((), note=f"no program unlike its parents in {TRIES_MAX} tries")

    def _candidate(
        self, request: Request, parents: tuple[Genome, ...], stream: Stream
    ) -> tuple[Program, frozenset[bytes]]:
        """(program, codes that it must differ from)."""
        settings = self._settings
        grammar = self._domain.grammar
        if request.kind is Kind.NEW:
            if not self._examples or (settings.new == "mix" and stream.chance(1, 4)):
                return random_program(grammar, settings.new_lines_max, stream), frozenset()
            parents = (stream.choice(self._examples),)
        seen = frozenset(parent.code for parent in parents)
        programs = [grammar.read(parent) for parent in parents]
        bench = self._bench(request, stream)
        if request.kind is Kind.NEW:
            return self._edited(programs[0], bench, settings.new_edits, stream), seen
        if request.kind is Kind.MUTATE:
            return self._edited(programs[0], bench, self._count(1, stream), stream), seen
        a, b = programs if stream.chance(1, 2) else reversed(programs)
        points = {"one": 1, "two": 2, "mix": 1 + stream.below(2)}[settings.crossover]
        child = cross(a, b, points, grammar, stream)
        return self._edited(child, bench, self._count(0, stream), stream), seen

    def _count(self, least: int, stream: Stream) -> int:
        """How many edits: ``least``, and more with falling probability."""
        count = least
        while count < self._settings.edits_max and stream.chance(
            self._settings.again_thousandths, 1000
        ):
            count += 1
        return count

    def _edited(self, program: Program, bench: Bench, count: int, stream: Stream) -> Program:
        for _ in range(count):
            _, program = edit(program, bench, stream)
        return program

    def _bench(self, request: Request, stream: Stream) -> Bench:
        donors: tuple[tuple[int, ...], ...] = ()
        if request.inspirations:
            donor = stream.choice(request.inspirations).genome(self._domain)
            donors = self._domain.grammar.read(donor).lines
        return Bench(self._domain.grammar, donors, self._settings.step_max)


def _examples(domain: Domain, settings: EditSettings) -> tuple[Genome, ...]:
    """The examples that NEW may edit; none for ``random``, or where ``mix`` finds none."""
    if settings.new == "random":
        return ()
    found = corpus_of(domain, settings.corpus, "operator 'edit'")
    if not found and settings.new == "example":
        raise ConfigError(
            f"operator 'edit': new = 'example' needs examples; domain {domain.name!r} has none"
            f" in corpus {settings.corpus!r}",
            hint="use new = 'random'",
        )
    return found
