"""The hooks: a plugin is a module with an entry point in the group ``deid``.

Hooks only register; objects do the work. Each returns what the module offers, or leaves the
hook out.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from deid.plugin.contracts import (
    BenchPlugin,
    CheckPlugin,
    CommandPlugin,
    DomainPlugin,
    ModelPlugin,
    OperatorPlugin,
)

GROUP = "deid"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class DeidSpec:
    """The hook specifications."""

    @hookspec
    def deid_domains(self) -> Iterable[DomainPlugin]:
        """Domains (problems) that this plugin provides."""
        return ()

    @hookspec
    def deid_operators(self) -> Iterable[OperatorPlugin]:
        """Operators that this plugin provides."""
        return ()

    @hookspec
    def deid_models(self) -> Iterable[ModelPlugin]:
        """Model backends that this plugin provides."""
        return ()

    @hookspec
    def deid_commands(self) -> Iterable[CommandPlugin]:
        """Commands added to ``deid``."""
        return ()

    @hookspec
    def deid_checks(self) -> Iterable[CheckPlugin]:
        """Checks added to ``deid doctor``."""
        return ()

    @hookspec
    def deid_benches(self) -> Iterable[BenchPlugin]:
        """Benchmarks added to ``deid bench``."""
        return ()
