"""Seeded edits and crossover: a genetic baseline that needs no model and serves any domain."""

from __future__ import annotations

from collections.abc import Iterable

from deid.plugin import Operator, OperatorContext, OperatorPlugin, Settings, hookimpl

__all__ = ["DEID_API", "deid_operators"]

DEID_API = (1, 0)


def create(settings: Settings, context: OperatorContext) -> Operator:
    """The operator under ``settings``; :class:`ConfigError` names a wrong one."""
    from deid_edit.operator import EditOperator, EditSettings  # loaded when it is used

    return EditOperator(EditSettings.read(settings), context)


@hookimpl
def deid_operators() -> Iterable[OperatorPlugin]:
    """``edit``, with ``edit:random``, ``edit:example`` and ``edit:mix``."""
    return [
        OperatorPlugin(
            name="edit",
            help="Seeded edits and crossover, without a model.",
            create=create,
            variant_key="new",
        )
    ]
