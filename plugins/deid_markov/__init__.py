"""Slot-typed n-gram models: operators with priors that really differ, by corpus."""

from __future__ import annotations

from collections.abc import Iterable

from deid.plugin import Operator, OperatorContext, OperatorPlugin, Settings, hookimpl

__all__ = ["DEID_API", "deid_operators"]

DEID_API = (1, 0)


def create(settings: Settings, context: OperatorContext) -> Operator:
    """The operator under ``settings``, trained; :class:`ConfigError` names a wrong one."""
    from deid_markov.operator import MarkovOperator, MarkovSettings  # loaded when it is used

    return MarkovOperator(MarkovSettings.read(settings), context)


@hookimpl
def deid_operators() -> Iterable[OperatorPlugin]:
    """``markov``, and ``markov:FAMILY`` for every family of examples of the domain."""
    return [
        OperatorPlugin(
            name="markov",
            help="An n-gram model of the domain's examples, typed by slot.",
            create=create,
            variant_key="corpus",
        )
    ]
