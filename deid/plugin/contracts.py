"""What a plugin is: the values and the Protocols that the daemon and its plugins share.

Nothing here does I/O. A plugin imports this module (through :mod:`deid.plugin`) and
:mod:`deid.search`, and nothing else of deid.

Vocabulary: ``docs/ARCHITECTURE.md``. A *call* is what the search asks for; an *attempt* is one
request to a model, whatever came back; an operator without a model makes one attempt a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias, runtime_checkable

from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Grid

API_VERSION = (1, 0)  # major: breaks; minor: only adds

Settings: TypeAlias = Mapping[str, object]  # one table of the configuration, as TOML gave it


# --- Domains ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A slot that holds one of a few words; its value is the index into ``values``."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A slot that holds an integer in [low, high]."""

    name: str
    low: int
    high: int


Slot: TypeAlias = Choice | Number


@dataclass(frozen=True, slots=True)
class Program:
    """A program as slots: what the statistical operators read and write.

    head: one integer per slot of ``Grammar.head``.
    lines: one tuple per statement, one integer per slot of ``Grammar.line``.
    """

    head: tuple[int, ...]
    lines: tuple[tuple[int, ...], ...]


@runtime_checkable
class Grammar(Protocol):
    """The shape of every program of a domain.

    Laws: pure, thread-safe. ``write`` is total: every :class:`Program` whose values lie in their
    slots and whose length lies in [lines_min, lines_max] gives text that ``Domain.parse`` takes.
    ``read(parse(write(p)))`` is a program of the same meaning as ``p``.

    line_template, head_template: ``str.format`` templates over the slots' names, of one statement
    and of what stands on a line of its own before the first one ("" for nothing); a decoder
    grammar for a language model is built from them and the slots.
    """

    head: tuple[Slot, ...]
    line: tuple[Slot, ...]
    head_template: str
    line_template: str
    lines_min: int
    lines_max: int

    def read(self, genome: Genome) -> Program:
        """The slots of a genome of this domain."""

    def write(self, program: Program) -> str:
        """Source text of ``program``; :class:`ValueError` where a value leaves its slot."""


class Parallelism(Enum):
    """How evaluations may run side by side."""

    THREADS = "threads"  # ``evaluate`` releases the GIL and may run in many threads at once
    PROCESSES = "processes"  # pure Python: worker processes


@runtime_checkable
class Domain(Protocol):
    """A problem: what programs are, what they are worth, how they behave.

    Laws
    - All methods are pure, deterministic and safe to call from several threads; none blocks on
      I/O. ``evaluate`` gives the same integers on every machine (no float decides anything).
    - ``parse(render(g))`` equals ``g``; genomes are equal when their ``code`` is.
    - ``evaluate`` is additive: over disjoint ranges of trials the results add up to the whole.
    - An evaluation costs bounded time, whatever the program does.
    """

    name: str
    semantics_version: int  # raised whenever the same code and context may give other integers
    grid: Grid
    grammar: Grammar
    brief: str  # the rules, the syntax and an example, for a language model or a person
    parallelism: Parallelism
    trials: int  # trials of one evaluation in a round's context
    opponents_max: int  # most opponents that fit beside a candidate; 0: the domain has none
    task_hash: bytes  # 32 bytes; nodes exchange items only with nodes of the same task

    def parse(self, text: str) -> Genome:
        """Genome of ``text``; :class:`deid.errors.CandidateError` says why it is none."""

    def decode(self, code: bytes) -> Genome:
        """Genome of canonical ``code``; :class:`deid.errors.CandidateError` if it is none."""

    def render(self, genome: Genome) -> str:
        """Readable source text, the same for equal genomes."""

    def opponents(self) -> tuple[Genome, ...]:
        """The pool that a search starts with; it also warms up every archive."""

    def corpora(self) -> Mapping[str, tuple[Genome, ...]]:
        """Named families of example programs, for operators that learn from examples."""

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context:
        """The context of a round: this task, that ordered pool, one seed in [0, 2**64) a trial."""

    def reference(self) -> Context:
        """The fixed context in which all nodes of this task compare what they publish."""

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        """Trials ``first`` … ``first + count − 1`` of ``genome`` in ``context``."""


# --- Operators ----------------------------------------------------------------------------------


class Kind(Enum):
    """What a call asks for."""

    NEW = "new"
    MUTATE = "mutate"
    CROSS = "cross"


@dataclass(frozen=True, slots=True)
class Example:
    """A program shown to an operator.

    fitness: in the context in which its archive was filled (parity 1); measures: mean of each
        axis.
    origin: name of the node that proposed it; "" for a seed of the domain.
    """

    source: str
    code: bytes
    fitness: float
    measures: tuple[float, ...]
    origin: str = ""

    def genome(self, domain: Domain) -> Genome:
        """The example as a genome of ``domain``."""
        return domain.decode(self.code)


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an operator.

    parents: none for NEW, one for MUTATE, two for CROSS.
    inspirations: elites of other cells, received ones among them; may be empty.
    feedback: why the operator's last candidates failed, newest last; may be empty.
    seed: in [0, 2**64); an operator without a model depends on the request alone.
    deadline_s: seconds after which the call is given up.
    candidates_max: candidates beyond it are dropped and counted.
    """

    kind: Kind
    parents: tuple[Example, ...]
    inspirations: tuple[Example, ...]
    feedback: tuple[str, ...]
    seed: int
    round: int
    iteration: int
    deadline_s: float
    candidates_max: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider reported them; 0 where there is no model."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an operator answers: candidate texts, none if it has none (``note`` says why)."""

    candidates: tuple[str, ...]
    note: str = ""
    model: str = ""
    prompt_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat; role is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply of a model.

    finish_reason: ``stop``, ``length``, ``refusal`` or the provider's own word.
    """

    text: str
    model: str
    usage: Usage
    finish_reason: str = "stop"


class OperatorContext(Protocol):
    """What an operator is given when it is made.

    node, seed: name and root seed of the node, so that like operators of different nodes differ.
    """

    @property
    def domain(self) -> Domain: ...

    @property
    def node(self) -> str: ...

    @property
    def seed(self) -> int: ...

    async def complete(
        self, request: Request, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """One reply of the node's model to ``messages``, on behalf of the call ``request``.

        The daemon owns the attempts behind it: it reserves the budget, journals, sends, retries
        with back-off and settles. After a restart a reply that was paid for is served from the
        journal. Raises :class:`ModelFailure` when the attempts are used up.
        """


@runtime_checkable
class Operator(Protocol):
    """Makes candidates.

    Laws: ``propose`` may run several times at once on one event loop; it may take long but
    must not outlive ``deadline_s``; without a model it is a pure function of the request (and of
    what the factory was given). Raising costs the call, nothing else.
    """

    async def propose(self, request: Request) -> Proposal:
        """Candidates for ``request``."""


class OperatorFactory(Protocol):
    def __call__(self, settings: Settings, context: OperatorContext) -> Operator:
        """An operator; :class:`deid.errors.ConfigError` names a wrong setting."""


# --- Model backends -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One attempt: messages and the model's options, as they are sent."""

    messages: tuple[Message, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    timeout_s: float = 60.0


class ModelFailure(Exception):
    """One attempt failed.

    outcome: ``timed-out``, ``rate-limited``, ``server-error``, ``refused``, ``garbage`` …
    retry: whether another attempt may succeed; retry_after_s: the provider's own wish.
    usage: what the provider charged all the same, where it said so.
    """

    def __init__(
        self,
        outcome: str,
        message: str,
        *,
        retry: bool,
        retry_after_s: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry = retry
        self.retry_after_s = retry_after_s
        self.usage = usage


@runtime_checkable
class ModelBackend(Protocol):
    """Sends one request to one model.

    Laws: exactly one request a call (no retries of its own); several calls at once on one event
    loop; raises :class:`ModelFailure` for whatever goes wrong on the way.
    """

    async def send(self, request: ModelRequest) -> Completion:
        """The model's reply."""

    async def close(self) -> None:
        """Gives back connections and processes; idempotent."""


class ModelFactory(Protocol):
    def __call__(self, settings: Settings) -> ModelBackend:
        """A backend for one ``[[model]]`` table; secrets are resolved by the daemon."""


class DomainFactory(Protocol):
    def __call__(self, settings: Settings) -> Domain:
        """The domain under ``[domain]``; :class:`deid.errors.ConfigError` if impossible."""


# --- What a hook registers ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperatorPlugin:
    """Registers an operator.

    variant_key: the setting that ``kind:variant`` sets on a command line ("" if it takes none).
    """

    name: str
    help: str
    create: OperatorFactory
    needs_model: bool = False
    variant_key: str = ""


@dataclass(frozen=True, slots=True)
class DemoDefaults:
    """What ``deid demo`` runs when nothing is said: operators as ``kind:variant``, sizes."""

    operators: tuple[str, ...]
    rounds: int
    iterations: int
    in_flight: int
    n_init: int
    settings: Settings  # the [domain] table


@dataclass(frozen=True, slots=True)
class DomainPlugin:
    """Registers a domain. ``file_suffix`` is that of its source files (``.red``)."""

    name: str
    help: str
    create: DomainFactory
    demo: DemoDefaults
    file_suffix: str = ".txt"


@dataclass(frozen=True, slots=True)
class ModelPlugin:
    """Registers a model backend under its ``provider`` name."""

    name: str
    help: str
    create: ModelFactory


@dataclass(frozen=True, slots=True)
class CommandPlugin:
    """Registers a command of ``deid``; ``target`` is ``module:attribute`` of a click command.

    The module is imported when the command runs, so that ``--help`` stays fast.
    """

    name: str
    help: str
    target: str


@dataclass(frozen=True, slots=True)
class CheckPlugin:
    """Registers a line of ``deid doctor``; ``target`` is ``module:function`` () -> (ok, text)."""

    name: str
    help: str
    target: str


@dataclass(frozen=True, slots=True)
class BenchPlugin:
    """Registers ``deid bench NAME``; ``target`` is ``module:attribute`` of a click command."""

    name: str
    help: str
    target: str
