"""Makes operators: the daemon asks for one by kind and gets an :class:`OperatorPort`.

``isolation = "process"`` (what daemons use) runs it in a child process; ``"inline"`` on the
daemon's own loop, for tests and virtual time, where foreign code is trusted. Both take the same
care of what comes back: answers are checked, every failure is an
:class:`deid.errors.OperatorFailure` with an outcome word, repeated failures open a breaker, and
counters tell it all.
"""

from __future__ import annotations

from deid.daemon.breaker import BreakerPolicy
from deid.daemon.operator_inline import InlineContext, InlineOperator
from deid.daemon.operator_port import NO_MODEL, ModelCall, OperatorCounters, OperatorPort
from deid.daemon.operator_process import ProcessOperator, ProcessOptions
from deid.errors import ConfigError
from deid.plugin.contracts import Settings
from deid.plugin.host import PluginHost

__all__ = [
    "NO_MODEL",
    "InlineOperator",
    "ModelCall",
    "OperatorCounters",
    "OperatorPort",
    "ProcessOperator",
    "ProcessOptions",
    "make_operator",
]

ISOLATIONS = ("process", "inline")


def make_operator(
    host: PluginHost,
    kind: str,
    settings: Settings,
    domain_name: str,
    domain_settings: Settings,
    node: str,
    seed: int,
    isolation: str = "process",
    *,
    options: ProcessOptions | None = None,
    breaker: BreakerPolicy | None = None,
) -> OperatorPort:
    """The operator called ``kind``, not started yet.

    :class:`ConfigError` for an unknown operator, domain or isolation; wrong settings are found by
    ``start()``. Modules that ``host`` was given by hand are named again in ``options.modules``.
    """
    plugin = host.operator(kind)
    domain = host.domain(domain_name)
    if isolation == "inline":
        context = InlineContext(domain.create(domain_settings), node, seed)
        return InlineOperator(plugin, settings, context, breaker)
    if isolation == "process":
        return ProcessOperator(
            plugin, settings, domain_name, domain_settings, node, seed, options, breaker
        )
    expected = " or ".join(ISOLATIONS)
    raise ConfigError(f"operator {kind!r}: isolation must be {expected}, got {isolation!r}")
