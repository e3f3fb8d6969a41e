"""The operator ``markov``: a model of one family of examples, asked for programs and edits."""

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
from deid.plugin.slots import corpus_of, parents_of, spread, unseen_text
from deid.search.streams import Stream
from deid_markov.edits import EDITS, mutate, splice
from deid_markov.model import ProgramModel, fit

__all__ = ["MarkovOperator", "MarkovSettings"]

TRIES_MAX = 32
TRIES_LEARNED = 16  # after them one slot is drawn anew: a sharp model may only know its examples


@dataclass(frozen=True, slots=True)
class MarkovSettings:
    """Settings of the operator.

    corpus: the family of examples it learns from, or ``all``.
    order: n of the n-grams; 1 learns no context at all.
    smoothing: weight of shorter contexts and of what was never seen, in thousandths; 0 gives
        only what the examples have.
    edit: what MUTATE does: ``rewrite`` the rest of the program, redraw a ``line`` or a slot of
        it, ``insert`` lines, or a ``mix`` of these and deletion.
    temperature: in tenths, rounded down to them; above 10 rare words become commoner, below it
        rarer.
    """

    corpus: str
    order: int
    smoothing: int
    edit: str
    temperature: int

    @staticmethod
    def read(settings: Settings) -> MarkovSettings:
        """Settings from a table; :class:`ConfigError` names an unknown key or a wrong value."""
        table = SettingsTable(settings, "operator 'markov'")
        result = MarkovSettings(
            corpus=table.text("corpus", default="all"),
            order=table.integer("order", default=4, low=1, high=8),
            smoothing=table.thousandths("smoothing", default=1.0, low=0.0, high=100.0),
            edit=table.word("edit", default="mix", known=("rewrite", "line", "insert", "mix")),
            temperature=table.thousandths("temperature", default=1.0, low=0.1, high=10.0) // 100,
        )
        table.finish()
        return result


class MarkovOperator:
    """Makes one candidate a call: valid, unlike its parents and unlike the examples.

    A pure function of (request, settings, node, seed) and the domain's examples. It proposes
    nothing, and says so, where the grammar has too few programs to find another one.
    """

    def __init__(self, settings: MarkovSettings, context: OperatorContext) -> None:
        self._domain = context.domain
        self._node = context.node
        self._edit = settings.edit
        self._purpose = f"markov/{context.seed}/{settings.corpus}"
        self._model, self._known = _train(context.domain, settings)

    async def propose(self, request: Request) -> Proposal:
        """One candidate; :class:`ValueError` on a wrong number of parents."""
        stream = Stream(request.seed, self._node, self._purpose, request.round, request.iteration)
        parents = parents_of(request, self._domain)
        programs = [self._domain.grammar.read(parent) for parent in parents]
        seen = self._known.union(parent.code for parent in parents)
        for attempt in range(TRIES_MAX):
            program = self._candidate(request.kind, programs, stream)
            if attempt >= TRIES_LEARNED:
                program = self._nudged(program, stream)
            text = unseen_text(self._domain, program, seen)
            if text is not None:
                return Proposal((text,))
        return Proposal((), note=f"no program unlike those known in {TRIES_MAX} tries")

    def _candidate(self, kind: Kind, parents: list[Program], stream: Stream) -> Program:
        if kind is Kind.NEW:
            return self._model.draw_program(stream)
        if kind is Kind.MUTATE:
            return mutate(self._model, parents[0], EDITS[self._edit], stream)
        a, b = parents if stream.chance(1, 2) else reversed(parents)
        return splice(self._model, a, b, stream)

    def _nudged(self, program: Program, stream: Stream) -> Program:
        """``program`` with one slot of one line drawn over its whole range."""
        slots = self._domain.grammar.line
        if not program.lines:
            return program
        row, position = stream.below(len(program.lines)), stream.below(len(slots))
        lines = list(program.lines)
        line = list(lines[row])
        line[position] = spread(slots[position], stream)
        lines[row] = tuple(line)
        return Program(program.head, tuple(lines))


def _train(domain: Domain, settings: MarkovSettings) -> tuple[ProgramModel, frozenset[bytes]]:
    """(model, codes of the examples); :class:`ConfigError` where there is nothing to learn from."""
    examples = {g.code: g for g in corpus_of(domain, settings.corpus, "operator 'markov'")}
    if not examples:
        raise ConfigError(
            f"operator 'markov': domain {domain.name!r} has no examples in corpus"
            f" {settings.corpus!r}",
            hint="choose another corpus, or an operator that needs no examples",
        )
    model = fit(
        domain.grammar,
        [domain.grammar.read(genome) for genome in examples.values()],
        order=settings.order,
        smoothing=settings.smoothing,
        temperature=settings.temperature,
    )
    return model, frozenset(examples)
