"""Whether a domain gave what it was asked for; used on both sides of a process."""

from __future__ import annotations

from deid.errors import PluginError
from deid.plugin.contracts import Domain
from deid.search.evaluation import Evaluation

__all__ = ["checked"]


def checked(domain: Domain, given: object, trials: int) -> Evaluation:
    """``given`` as an evaluation of so many trials; :class:`PluginError` if it is none.

    Annotations are not trusted: one float would make two nodes disagree.
    """
    axes = len(domain.grid.axes)
    if isinstance(given, Evaluation) and isinstance(given.measures, tuple):
        figures = (given.points, given.trials, *given.measures)
        integers = all(type(figure) is int for figure in figures)
        fits = (given.trials, len(given.measures)) == (trials, axes)
        if integers and fits and given.points >= 0:
            return given
    raise PluginError(
        domain.name,
        f"evaluate must give an Evaluation in integers of {trials} trials and {axes} measures,"
        f" got {given!r:.200}",
    )
