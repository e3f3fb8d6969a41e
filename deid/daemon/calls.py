"""One call of an operator, from its attempts to the figures that the journal keeps of it."""

from __future__ import annotations

from dataclasses import dataclass

from deid.daemon.attempts import Attempts, Spent
from deid.daemon.budget import Budget
from deid.daemon.operator_port import OperatorPort
from deid.errors import OperatorFailure
from deid.plugin.contracts import Proposal, Request

__all__ = ["Reply", "call_operator"]

OK = "ok"


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a call: the fields of :class:`deid.search.records.Proposed` that it decides.

    outcome: ``ok`` or the failure's word, whose reason is the note of an empty proposal then.
    """

    outcome: str
    proposal: Proposal
    spent: Spent


async def call_operator(
    port: OperatorPort,
    attempts: Attempts,
    name: str,
    request: Request,
    *,
    model: str = "",
    budget: Budget | None = None,
) -> Reply:
    """Asks the operator called ``name`` here; its failures are replies, too.

    :class:`deid.daemon.budget.BudgetSpent` and errors of the journal are raised.
    """
    call = attempts.open(name, request, needs_model=port.needs_model, model=model, budget=budget)
    outcome = "cancelled"
    try:
        proposal = await port.propose(request, call)
        outcome = OK
    except OperatorFailure as failure:
        outcome = failure.outcome
        proposal = Proposal((), note=failure.message)
    finally:
        call.end(outcome)
    return Reply(outcome, proposal, call.spent)
