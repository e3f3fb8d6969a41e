"""What the tests of the operators share: domains, requests, and answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from deid.plugin import (
    Domain,
    Example,
    Kind,
    Operator,
    OperatorContext,
    Program,
    Proposal,
    Request,
    Settings,
)
from deid.plugin.toy import ToyContext, ToyDomain
from deid.search.genome import Genome

Create = Callable[[Settings, OperatorContext], Operator]

DOMAINS = ("toy", "corewar")
PARENTS = {Kind.NEW: 0, Kind.MUTATE: 1, Kind.CROSS: 2}


@cache
def domain_called(name: str) -> Domain:
    if name == "toy":
        return ToyDomain()
    from deid_corewar.domain import CorewarDomain

    return CorewarDomain({})


def pool_of(domain: Domain) -> tuple[Genome, ...]:
    """Every example of the domain, by family."""
    families = domain.corpora()
    return tuple(genome for name in sorted(families) for genome in families[name])


def shown(genome: Genome) -> Example:
    """``genome`` as an operator sees it; its scores play no part here."""
    return Example(genome.source, genome.code, 1.0, (0.0, 0.0))


def request_of(
    kind: Kind,
    seed: int,
    parents: Sequence[Genome] = (),
    inspirations: Iterable[Genome] = (),
    iteration: int = 0,
) -> Request:
    seen = tuple(shown(genome) for genome in inspirations)
    return Request(kind, tuple(map(shown, parents)), seen, (), seed, 1, iteration, 10.0)


def ask(operator: Operator, request: Request) -> Proposal:
    return asyncio.run(operator.propose(request))


def answers(operator: Operator, domain: Domain, kind: Kind, seeds: Iterable[int]) -> list[str]:
    """One text for each seed, asked with parents and an inspiration from the pool."""
    pool = pool_of(domain)
    texts: list[str] = []
    for seed in seeds:
        parents = [pool[(seed * 7 + 3 * n) % len(pool)] for n in range(PARENTS[kind])]
        donors = [pool[seed % len(pool)]] if seed % 2 else []
        texts += ask(operator, request_of(kind, seed, parents, donors)).candidates
    return texts


def programs(domain: Domain, texts: Iterable[str]) -> list[Program]:
    return [domain.grammar.read(domain.parse(text)) for text in texts]


def leads(domain: Domain, texts: Iterable[str]) -> Counter[int]:
    """How often each word of a line's first slot occurs."""
    return Counter(line[0] for program in programs(domain, texts) for line in program.lines)


def operator_of(create: Create, domain: Domain, seed: int = 0, **settings: object) -> Operator:
    return create(settings, ToyContext(domain, "alpha", seed))


def run_python(code: str, hash_seed: int) -> str:
    """Output of ``code`` in a new interpreter under PYTHONHASHSEED ``hash_seed``."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": str(hash_seed),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
