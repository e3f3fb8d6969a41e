"""A small real problem: for tests of the engine and the swarm, and as an example for authors.

A program is a start value and up to 16 statements on one register ``a`` modulo 97::

    start 5
    always add 3
    odd mul 2
    even hold 0

``odd`` and ``even`` statements act only while ``a`` is odd or even; ``flip`` negates ``a``;
``hold`` does nothing. A trial's seed fixes eight target values, evenly spaced in the lower part
of the circle of residues, and an offset of the start value. The program runs for three laps; its
*strength*, 1 … 9, is one more than the number of targets that the register hits.

With opponents, contenders share a trial's points by strength, so what a program gets depends on
the pool and parity is 1 / N of all points; without, strength alone counts. Measures: distinct
values that the register took, and the distance it travelled. An evaluation of one trial costs
microseconds.

``host.register(deid.plugin.toy, "toy")`` offers the domain and an operator, both called ``toy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deid.errors import CandidateError
from deid.plugin.contracts import (
    Choice,
    Completion,
    DemoDefaults,
    Domain,
    DomainPlugin,
    Example,
    Grammar,
    Kind,
    Message,
    ModelFailure,
    Number,
    Operator,
    OperatorContext,
    OperatorPlugin,
    Parallelism,
    Program,
    Proposal,
    Request,
    Settings,
    Slot,
)
from deid.plugin.hooks import hookimpl
from deid.plugin.settings import SettingsTable
from deid.plugin.slots import bounds
from deid.search.canonical import digest
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.streams import WORD_RANGE, Stream

__all__ = [
    "DEID_API",
    "ToyContext",
    "ToyDomain",
    "ToyGrammar",
    "ToyOperator",
    "deid_domains",
    "deid_operators",
    "example_of",
    "run",
]

DEID_API = (1, 0)

MODULUS = 97  # a prime: multiplication by any factor but 0 can be undone
LAPS = 3
LINES_MAX = 16
TARGETS = 8
STRENGTH_MAX = TARGETS + 1
POINTS_MAX = 1 << 20  # of one trial
TEXT_MAX = 4_096  # characters of a program's text
REFERENCE_SEEDS = tuple(range(10))

WHEN: Final = ("always", "odd", "even")
OPS: Final = ("add", "mul", "flip", "hold")
ADD, MUL, FLIP, HOLD = range(4)
BY_LOW, BY_HIGH = -48, 48  # every residue once

_MIX = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: spreads small seeds over 64 bits
_HEAD_BYTES = 1
_LINE_BYTES = 3


class ToyGrammar:
    """One head slot, three slots a line: two words and a number."""

    head: tuple[Slot, ...] = (Number("start", 0, MODULUS - 1),)
    line: tuple[Slot, ...] = (
        Choice("op", OPS),
        Choice("when", WHEN),
        Number("by", BY_LOW, BY_HIGH),
    )
    head_template = "start {start}"
    line_template = "{when} {op} {by}"
    lines_min = 1
    lines_max = LINES_MAX

    def read(self, genome: Genome) -> Program:
        """The slots of ``genome``'s code."""
        code = genome.code
        starts = range(_HEAD_BYTES, len(code), _LINE_BYTES)
        lines = tuple((code[i], code[i + 1], code[i + 2] + BY_LOW) for i in starts)
        return Program((code[0],), lines)

    def write(self, program: Program) -> str:
        """Text of ``program``; :class:`ValueError` where a value leaves its slot."""
        if not self.lines_min <= len(program.lines) <= self.lines_max:
            raise ValueError(f"a program has 1 to {LINES_MAX} lines, got {len(program.lines)}")
        _check(self.head, program.head)
        rows = [f"start {program.head[0]}"]
        for line in program.lines:
            _check(self.line, line)
            op, when, by = line
            rows.append(f"{WHEN[when]} {OPS[op]} {by}")
        return "\n".join(rows) + "\n"


class ToyDomain:
    """The problem of the module's docstring.

    trials: of one evaluation in a round's context.
    opponents_max: most opponents beside a candidate; 0 makes the domain one without opponents.
    """

    name = "toy"
    semantics_version = 1
    brief = (
        "One register a, modulo 97. First line: start V with V in 0..96. Then 1 to 16 lines"
        " WHEN OP BY: WHEN is always, odd or even (of a); OP is add, mul, flip (a becomes -a) or"
        " hold; BY is in -48..48. The program runs three times over; a should take as many as"
        " possible of eight target values, evenly spaced, that differ by trial.\n"
        "Example:\nstart 5\nalways add 3\nodd mul 2\n"
    )
    parallelism = Parallelism.THREADS

    def __init__(self, trials: int = 4, opponents_max: int = 4) -> None:
        self.trials = trials
        self.opponents_max = opponents_max
        self.grammar: Grammar = ToyGrammar()
        self.grid = Grid(
            (
                Axis("reached", "values", (3, 6, 10, 16, 24)),
                Axis("travelled", "residues", (10, 40, 120, 300, 600)),
            )
        )
        self._families = {name: _family(self, name) for name in _FAMILIES}
        pool = self._families["climbers"][:2] + self._families["growers"][:2]
        self._opponents = pool[:opponents_max]
        self.task_hash = digest(
            [
                self.name,
                self.semantics_version,
                "shared" if opponents_max else "alone",
                [list(axis.edges) for axis in self.grid.axes],
                [genome.code for genome in self._opponents],
                list(REFERENCE_SEEDS),
            ]
        )

    def parse(self, text: str) -> Genome:
        """Genome of ``text``; a :class:`CandidateError` names the line and what it should be."""
        if len(text) > TEXT_MAX:
            raise CandidateError(f"the text is longer than {TEXT_MAX} characters")
        rows = [(n, row.split("#")[0].split()) for n, row in enumerate(text.splitlines(), 1)]
        rows = [(n, words) for n, words in rows if words]
        if not rows:
            raise CandidateError("the program is empty", hint="begin with: start 0")
        number, words = rows[0]
        if len(words) != 2 or words[0] != "start":
            raise CandidateError(f"line {number}: expected 'start V', got {' '.join(words)!r:.80}")
        start = _number(words[1], 0, MODULUS - 1, number)
        if not 1 <= len(rows) - 1 <= LINES_MAX:
            raise CandidateError(
                f"expected 1 to {LINES_MAX} statements after 'start', got {len(rows) - 1}"
            )
        lines = [_statement(words, number) for number, words in rows[1:]]
        return Genome(text, _code(start, lines), len(lines))

    def decode(self, code: bytes) -> Genome:
        """Genome of canonical ``code``."""
        count, rest = divmod(len(code) - _HEAD_BYTES, _LINE_BYTES)
        if rest or not 1 <= count <= LINES_MAX or code[0] >= MODULUS:
            raise CandidateError(f"{len(code)} bytes are no toy program")
        program = self.grammar.read(Genome("", code, count))
        try:
            text = self.grammar.write(program)
        except (ValueError, IndexError) as error:
            raise CandidateError(f"the bytes are no toy program: {error}") from None
        genome = self.parse(text)
        if genome.code != code:
            raise CandidateError("the bytes are a toy program, but not in canonical form")
        return genome

    def render(self, genome: Genome) -> str:
        """The canonical text."""
        return self.grammar.write(self.grammar.read(genome))

    def opponents(self) -> tuple[Genome, ...]:
        """At most four, and at most ``opponents_max``; none for a domain without opponents."""
        return self._opponents

    def corpora(self) -> Mapping[str, tuple[Genome, ...]]:
        """``climbers`` add, ``growers`` multiply, ``swingers`` flip to and fro."""
        return dict(self._families)

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context:
        """A context of this task; :class:`ValueError` if it has more opponents than fit."""
        if len(opponents) > self.opponents_max:
            raise ValueError(f"at most {self.opponents_max} opponents, got {len(opponents)}")
        return Context(self.task_hash, tuple(opponents), tuple(seeds), POINTS_MAX)

    def reference(self) -> Context:
        """The first opponents and ten seeds."""
        return self.context(self._opponents, REFERENCE_SEEDS)

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        """Trials ``first`` … ``first + count − 1``; :class:`ValueError` outside the context."""
        if first < 0 or count < 1 or first + count > len(context.seeds):
            raise ValueError(f"trials {first} + {count} leave the context's {len(context.seeds)}")
        points = reached = travelled = 0
        for seed in context.seeds[first : first + count]:
            strength, values, distance = run(genome.code, seed)
            if self.opponents_max:
                total = strength + sum(run(rival.code, seed)[0] for rival in context.opponents)
            else:
                total = STRENGTH_MAX
            points += POINTS_MAX * strength // total
            reached += values
            travelled += distance
        return Evaluation(points, (reached, travelled), count)


def run(code: bytes, seed: int) -> tuple[int, int, int]:
    """(strength, distinct values, distance travelled) of a program in the trial of ``seed``."""
    mixed = seed * _MIX % WORD_RANGE
    first, stride = (mixed >> 32) % 32, 1 + (mixed >> 48) % 4
    a = (code[0] + (mixed >> 20) % 5) % MODULUS
    seen = {a}
    travelled = 0
    for _ in range(LAPS):
        for i in range(_HEAD_BYTES, len(code), _LINE_BYTES):
            when = code[i + 1]
            if when and when != 2 - a % 2:  # WHEN[1] acts on odd values, WHEN[2] on even ones
                continue
            op = code[i]
            if op == ADD:
                b = (a + code[i + 2] + BY_LOW) % MODULUS
            elif op == MUL:
                b = a * (code[i + 2] + BY_LOW) % MODULUS
            elif op == FLIP:
                b = -a % MODULUS
            else:
                b = a
            if b != a:
                travelled += min((b - a) % MODULUS, (a - b) % MODULUS)
                seen.add(b)
                a = b
    hits = sum(first + k * stride in seen for k in range(TARGETS))
    return 1 + hits, len(seen), travelled


@dataclass(slots=True)
class ToyContext:
    """What an operator is given in a test: a domain, a name, a seed, and no model."""

    domain: Domain
    node: str = "toy"
    seed: int = 0

    async def complete(
        self, request: Request, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """Fails: there is no model."""
        raise ModelFailure("refused", "a toy context has no model", retry=False)


def example_of(domain: Domain, genome: Genome) -> Example:
    """``genome`` as operators are shown it, with its fitness and measures in the reference."""
    context = domain.reference()
    result = domain.evaluate(genome, context, 0, len(context.seeds))
    means = tuple(total / result.trials for total in result.measures)
    return Example(genome.source, genome.code, context.fitness(result), means)


class ToyOperator:
    """Random programs for NEW; for the other kinds a parent with one line drawn anew.

    Good enough to drive a search in a test. A pure function of the request and its context.
    """

    def __init__(self, context: OperatorContext) -> None:
        self._grammar = context.domain.grammar
        self._domain = context.domain
        self._purpose = f"toy/{context.seed}"
        self._node = context.node

    async def propose(self, request: Request) -> Proposal:
        """One candidate."""
        stream = Stream(request.seed, self._node, self._purpose, request.round, request.iteration)
        if request.kind is Kind.NEW:
            low, high = self._grammar.lines_min, self._grammar.lines_max
            size = low + stream.below(high - low + 1)
            lines = tuple(_draw(self._grammar.line, stream) for _ in range(size))
            program = Program(_draw(self._grammar.head, stream), lines)
        else:
            parent = stream.choice(request.parents)
            program = self._grammar.read(parent.genome(self._domain))
            place = stream.below(len(program.lines))
            line = _draw(self._grammar.line, stream)
            program = Program(
                program.head, (*program.lines[:place], line, *program.lines[place + 1 :])
            )
        return Proposal((self._grammar.write(program),))


def _draw(slots: Sequence[Slot], stream: Stream) -> tuple[int, ...]:
    """A value for each slot, uniformly."""
    limits = [bounds(slot) for slot in slots]
    return tuple(low + stream.below(high - low + 1) for low, high in limits)


def _check(slots: Sequence[Slot], values: Sequence[int]) -> None:
    if len(slots) != len(values):
        raise ValueError(f"expected {len(slots)} values, got {len(values)}")
    for slot, value in zip(slots, values, strict=True):
        low, high = bounds(slot)
        if not low <= value <= high:
            raise ValueError(f"{slot.name} must be in [{low}, {high}], got {value}")


def _number(word: str, low: int, high: int, line: int) -> int:
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 4):
        raise CandidateError(f"line {line}: expected an integer, got {word!r:.40}")
    value = int(word)
    if not low <= value <= high:
        raise CandidateError(f"line {line}: expected a value in [{low}, {high}], got {value}")
    return value


def _statement(words: list[str], line: int) -> tuple[int, int, int]:
    """(op, when, by) of ``WHEN OP BY``."""
    if len(words) != 3:
        raise CandidateError(f"line {line}: expected 'WHEN OP BY', got {' '.join(words)!r:.80}")
    when, op, by = words
    if when not in WHEN:
        raise CandidateError(f"line {line}: expected {', '.join(WHEN)}, got {when!r:.40}")
    if op not in OPS:
        raise CandidateError(f"line {line}: expected {', '.join(OPS)}, got {op!r:.40}")
    return OPS.index(op), WHEN.index(when), _number(by, BY_LOW, BY_HIGH, line)


def _code(start: int, lines: Iterable[tuple[int, int, int]]) -> bytes:
    """Canonical code: one byte of start, three a line; what an operation ignores is zero."""
    code = bytearray([start])
    for op, when, by in lines:
        if op == HOLD:
            when = 0
        if op in (FLIP, HOLD):
            by = 0
        code += bytes((op, when, by - BY_LOW))
    return bytes(code)


_FAMILIES: Final = ("climbers", "growers", "swingers")


def _family(domain: ToyDomain, name: str) -> tuple[Genome, ...]:
    """Six programs of one style, of different lengths."""
    texts = []
    for k in range(1, 7):
        if name == "climbers":
            body = [f"always add {2 * k - 1}", f"odd add {k}"] * (1 + k // 2)
        elif name == "growers":
            body = [f"always mul {k + 1}", f"even mul {3 * k}", "always add 1"] * (1 + k // 3)
        else:
            body = ["always flip 0", f"odd add {-3 * k}"] + ["even flip 0"] * k
        texts.append("\n".join([f"start {7 * k}", *body]))
    return tuple(domain.parse(text) for text in texts)


def _create_domain(settings: Settings) -> ToyDomain:
    table = SettingsTable(settings, "domain 'toy'")
    trials = table.integer("trials", default=4, low=1, high=64)
    opponents_max = table.integer("opponents_max", default=4, low=0, high=16)
    table.finish()
    return ToyDomain(trials, opponents_max)


def _create_operator(settings: Settings, context: OperatorContext) -> Operator:
    SettingsTable(settings, "operator 'toy'").finish()
    return ToyOperator(context)


@hookimpl
def deid_domains() -> Iterable[DomainPlugin]:
    """The toy domain."""
    demo = DemoDefaults(
        operators=("toy",), rounds=3, iterations=20, in_flight=2, n_init=4, settings={}
    )
    return [
        DomainPlugin("toy", "A register machine that hunts hidden values.", _create_domain, demo)
    ]


@hookimpl
def deid_operators() -> Iterable[OperatorPlugin]:
    """The toy operator."""
    return [OperatorPlugin("toy", "Draws random lines.", _create_operator)]
