"""Core War for deid: a Redcode assembler, the domain, its commands and checks.

Importing this module is cheap: numpy and the simulator are loaded when something runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

from deid.plugin import (
    BenchPlugin,
    CheckPlugin,
    CommandPlugin,
    DemoDefaults,
    DomainPlugin,
    Settings,
    hookimpl,
)

if TYPE_CHECKING:
    from deid_corewar.domain import CorewarDomain

__all__ = ["create_domain"]

DEMO = DemoDefaults(
    operators=("markov:bombers", "markov:papers", "markov:scanners", "edit"),
    rounds=4,
    iterations=62,
    in_flight=4,
    n_init=8,
    settings=MappingProxyType({"battles": 20}),
)


def create_domain(settings: Settings) -> CorewarDomain:
    """The domain under the ``[domain]`` table."""
    from deid_corewar.domain import CorewarDomain

    return CorewarDomain(settings)


@hookimpl
def deid_domains() -> Iterable[DomainPlugin]:
    return [
        DomainPlugin(
            name="corewar",
            help="Core War: warriors in Redcode '94, evaluated by the compiled simulator",
            create=create_domain,
            demo=DEMO,
            file_suffix=".red",
        )
    ]


@hookimpl
def deid_commands() -> Iterable[CommandPlugin]:
    return [
        CommandPlugin(
            "assemble",
            "Assemble Redcode; list it or print it as JSON",
            "deid_corewar.command_assemble:assemble",
        ),
        CommandPlugin(
            "battle", "Let warriors fight in one core", "deid_corewar.command_battle:battle"
        ),
        CommandPlugin("hill", "Rank a warrior against a folder", "deid_corewar.command_hill:hill"),
    ]


@hookimpl
def deid_checks() -> Iterable[CheckPlugin]:
    return [
        CheckPlugin(
            "corewar-simulator",
            "the compiled simulator loads and fights",
            "deid_corewar.checks:check_simulator",
        )
    ]


@hookimpl
def deid_benches() -> Iterable[BenchPlugin]:
    return [
        BenchPlugin(
            "mars",
            "The simulator's speed beside exhaust and pMARS where they are installed",
            "deid_corewar.bench:mars",
        )
    ]
