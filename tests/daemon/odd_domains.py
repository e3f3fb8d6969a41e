"""The toy domain in worker processes, and ways in which a domain may break."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from deid.errors import ConfigError
from deid.plugin import DemoDefaults, DomainPlugin, Parallelism, Settings, hookimpl
from deid.plugin.toy import ToyDomain
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome


class OddDomain(ToyDomain):
    name = "odd"
    parallelism = Parallelism.PROCESSES

    def __init__(self, how: str, gate: str = "") -> None:
        super().__init__(trials=8)
        self._how = how
        self._gate = gate

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        whole = super().evaluate(genome, context, first, count)
        if self._how == "raises":
            raise ZeroDivisionError("on purpose")
        if self._how == "dies":
            os._exit(7)
        if self._how == "prints":
            print("noise")
        if self._how == "floats":
            return Evaluation(cast(Any, whole.points / 2), whole.measures, whole.trials)
        if self._how == "short":
            return Evaluation(whole.points, whole.measures[:1], whole.trials)
        if self._how == "wrong-trials":
            return Evaluation(whole.points, whole.measures, whole.trials + 1)
        if self._how == "rubbish":
            return cast(Any, "rubbish")
        if self._how == "stops-once":
            self._stop_once()
        return whole

    def _stop_once(self) -> None:
        """The first evaluation of all processes tells its process id and never ends."""
        mark = Path(self._gate + ".mark")
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        Path(self._gate).write_text(str(os.getpid()), encoding="ascii")  # a named pipe
        threading.Event().wait()


def _create(settings: Settings) -> OddDomain:
    if settings.get("how") == "unknown":
        raise ConfigError("domain 'odd': how is unknown", hint="read the code")
    return OddDomain(str(settings.get("how", "well")), str(settings.get("gate", "")))


@hookimpl
def deid_domains() -> Iterable[DomainPlugin]:
    demo = DemoDefaults(("toy",), rounds=1, iterations=1, in_flight=1, n_init=1, settings={})
    return [DomainPlugin("odd", "The toy domain, broken in several ways.", _create, demo)]
