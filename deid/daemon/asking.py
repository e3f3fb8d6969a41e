"""One call of the search, put to an operator: whatever happens, an answer comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from deid.daemon.attempts import Attempts
from deid.daemon.budget import Budget
from deid.daemon.calls import call_operator
from deid.daemon.operator_port import OperatorPort
from deid.errors import CandidateError
from deid.plugin.contracts import Domain, Example, Kind, Request
from deid.search.calls import Call, Shown
from deid.search.records import Candidate, Proposed

log = structlog.get_logger(__name__)

NOTE_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Arm:
    """One ``[[operator]]``: how it is reached, and what it may use.

    deadline_s: of one call. model: name of its ``[[model]]``, "" for the first.
    """

    name: str
    port: OperatorPort
    deadline_s: float
    model: str
    budget: Budget


class Asker:
    """Turns calls into journal records, through the node's operators."""

    def __init__(self, domain: Domain, arms: Mapping[str, Arm], attempts: Attempts) -> None:
        self._domain = domain
        self._arms = arms
        self._attempts = attempts

    async def ready(self, call: Call) -> None:
        """Returns when :meth:`ask` would not be refused at once: its operator's breaker is closed,
        or lets this call try."""
        arm = self._arms.get(call.operator)
        if arm is not None:
            await arm.port.available()

    async def ask(self, call: Call) -> Proposed:
        """The answer to ``call``; a failure is an answer, too. So is that the operator is gone: a
        round goes on under the settings with which it began, and a restart may have renamed it.

        :class:`deid.daemon.budget.BudgetSpent` where a limit forbids it, and
        :class:`deid.errors.StoreError` or :class:`deid.errors.JournalError` where the attempt
        cannot be journalled: then there is no answer yet.
        """
        arm = self._arms.get(call.operator)
        if arm is None:
            return _unanswered(call, f"operator {call.operator!r} is not configured any more")
        reply = await call_operator(
            arm.port,
            self._attempts,
            arm.name,
            self._request(call, arm),
            model=arm.model,
            budget=arm.budget,
        )
        proposal, usage = reply.proposal, reply.spent.usage
        return Proposed(
            round=call.round,
            iteration=call.iteration,
            seen=call.seen,
            call=call.kind.value,
            parents=call.parent_hashes,
            operator=call.operator,
            outcome=reply.outcome,
            note=proposal.note[:NOTE_CHARS_MAX],
            candidates=tuple(self._candidate(text) for text in proposal.candidates),
            model=proposal.model,
            prompt_hash=proposal.prompt_hash,
            usage=(
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
            ),
            attempts=reply.spent.attempts,
        )

    def _candidate(self, text: str) -> Candidate:
        try:
            return Candidate(text, self._domain.parse(text))
        except CandidateError as error:
            return Candidate(text, None, error.message[:NOTE_CHARS_MAX])
        except Exception as error:
            fault = f"plugin {self._domain.name!r}: parse raised {type(error).__name__}: {error}"
            log.error("domain.parse-raised", reason=fault, exc_info=error)
            return Candidate(text, None, fault[:NOTE_CHARS_MAX].encode(errors="replace").decode())

    def _request(self, call: Call, arm: Arm) -> Request:
        return Request(
            kind=Kind(call.kind.value),
            parents=tuple(_example(shown) for shown in call.parents),
            inspirations=tuple(_example(shown) for shown in call.inspirations),
            feedback=call.feedback,
            seed=call.seed,
            round=call.round,
            iteration=call.iteration,
            deadline_s=arm.deadline_s,
            candidates_max=call.candidates_max,
        )


def _unanswered(call: Call, note: str) -> Proposed:
    return Proposed(
        round=call.round,
        iteration=call.iteration,
        seen=call.seen,
        call=call.kind.value,
        parents=call.parent_hashes,
        operator=call.operator,
        outcome="refused",
        note=note,
        candidates=(),
        attempts=0,
    )


def _example(shown: Shown) -> Example:
    return Example(
        source=shown.genome.source,
        code=shown.genome.code,
        fitness=shown.fitness,
        measures=shown.measures,
        origin=shown.provenance.node,
    )
