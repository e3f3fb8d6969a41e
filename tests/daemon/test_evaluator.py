"""Evaluations: each computed once, in order, the same for every split and number of workers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from daemon.odd_domains import OddDomain
from daemon.support import run

from deid.daemon.evaluation_workers import DomainRecipe
from deid.daemon.evaluator import Evaluator, EvaluatorFullError, Priority
from deid.errors import ConfigError, PluginError
from deid.plugin import Parallelism
from deid.plugin.toy import ToyDomain
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome

MODULES = ("daemon.odd_domains",)


class CountingDomain(ToyDomain):
    """Records every range of trials that it is asked for."""

    def __init__(self, trials: int = 8) -> None:
        super().__init__(trials)
        self.asked: list[tuple[bytes, int, int]] = []

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        self.asked.append((genome.code, first, count))
        return super().evaluate(genome, context, first, count)


class GatedDomain(CountingDomain):
    """Evaluates when the gate is opened; ``started`` counts those that came to it."""

    def __init__(self, trials: int = 8) -> None:
        super().__init__(trials)
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        result = super().evaluate(genome, context, first, count)
        self.started.release()
        assert self.gate.wait(10)
        return result


def genomes(domain: ToyDomain, count: int) -> list[Genome]:
    return [domain.parse(f"start {n}\nalways add {n % 40 + 1}\n") for n in range(count)]


def context_of(domain: ToyDomain, trials: int = 8, salt: int = 0) -> Context:
    return domain.context(domain.opponents(), [1000 * salt + n for n in range(trials)])


def whole(domain: ToyDomain, genome: Genome, context: Context) -> Evaluation:
    return ToyDomain.evaluate(domain, genome, context, 0, context.trials)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("trials", [1, 2, 8, 13])
def test_the_result_is_the_same_for_every_number_of_threads(threads: int, trials: int) -> None:
    async def test() -> None:
        domain = ToyDomain(trials)
        context = context_of(domain, trials)
        pool = genomes(domain, 30)
        evaluator = Evaluator(domain, threads)
        results = await asyncio.gather(*(evaluator.submit(each, context) for each in pool))
        await evaluator.close()

        assert results == [whole(domain, each, context) for each in pool]

    run(test())


def test_trials_are_split_over_workers_that_would_be_idle_and_only_then() -> None:
    async def test() -> None:
        domain = CountingDomain()
        context = context_of(domain)
        lone, *crowd = genomes(domain, 9)
        evaluator = Evaluator(domain, 2)
        await evaluator.submit(lone, context)
        alone = sorted(domain.asked)
        domain.asked.clear()
        await asyncio.gather(*(evaluator.submit(each, context) for each in crowd))
        await evaluator.close()

        assert [row[1:] for row in alone] == [(0, 4), (4, 4)]
        assert sum(count for _, _, count in domain.asked) == 8 * len(crowd)
        assert len(domain.asked) < 2 * len(crowd)

    run(test())


def test_an_evaluation_under_way_or_done_is_not_computed_again() -> None:
    async def test() -> None:
        domain = CountingDomain()
        context = context_of(domain)
        (genome,) = genomes(domain, 1)
        evaluator = Evaluator(domain, 1)
        twin = domain.parse("# another text of the same program\n" + genome.source)
        results = await asyncio.gather(*(evaluator.submit(genome, context) for _ in range(5)))
        results.append(await evaluator.submit(twin, context))
        counters = evaluator.counters()
        await evaluator.close()

        assert len(set(results)) == 1
        assert len(domain.asked) == 1
        assert (counters.done, counters.shared, counters.trials) == (1, 5, 8)

    run(test())


def test_the_same_genome_in_another_context_is_another_evaluation() -> None:
    async def test() -> None:
        domain = CountingDomain()
        one, two = context_of(domain), context_of(domain, salt=1)
        (genome,) = genomes(domain, 1)
        evaluator = Evaluator(domain, 1)
        results = [await evaluator.submit(genome, each) for each in (one, two)]
        await evaluator.close()

        assert results == [whole(domain, genome, one), whole(domain, genome, two)]
        assert len(domain.asked) == 2

    run(test())


def test_forgetting_a_context_drops_its_results_and_no_others() -> None:
    async def test() -> None:
        domain = GatedDomain()
        old, new = context_of(domain), context_of(domain, salt=1)
        early, late = genomes(domain, 2)
        evaluator = Evaluator(domain, 1)
        domain.gate.set()
        await evaluator.submit(early, old)
        await evaluator.submit(early, new)
        domain.gate.clear()
        running = evaluator.submit(late, old)
        evaluator.forget(old.context_hash)
        domain.gate.set()
        await running
        kept = evaluator.counters().kept
        asked = len(domain.asked)
        await evaluator.submit(early, new)
        unchanged = len(domain.asked)
        await evaluator.submit(early, old)
        await evaluator.submit(late, old)
        await evaluator.close()

        assert kept == 1
        assert unchanged == asked
        assert len(domain.asked) == asked + 2

    run(test())


def test_the_cache_keeps_what_was_asked_for_last() -> None:
    async def test() -> None:
        domain = CountingDomain()
        context = context_of(domain)
        first, second, third = genomes(domain, 3)
        evaluator = Evaluator(domain, 1, cache_max=2)
        for each in (first, second, first, third):
            await evaluator.submit(each, context)
        before = len(domain.asked)
        await evaluator.submit(first, context)
        after = len(domain.asked)
        await evaluator.submit(second, context)
        await evaluator.close()

        assert evaluator.counters().kept == 2
        assert (before, after, len(domain.asked)) == (3, 3, 4)

    run(test())


def test_what_a_round_waits_for_goes_before_claims_each_in_order_of_submission() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        blocker, *pool = genomes(domain, 7)
        evaluator = Evaluator(domain, 1)
        futures = [evaluator.submit(blocker, context)]
        for each in pool[:3]:
            futures.append(evaluator.submit(each, context, Priority.CLAIM))
        for each in pool[3:]:
            futures.append(evaluator.submit(each, context, Priority.ROUND))
        domain.gate.set()
        await asyncio.gather(*futures)
        await evaluator.close()

        expected = [blocker, *pool[3:], *pool[:3]]
        assert [code for code, _, _ in domain.asked] == [each.code for each in expected]

    run(test())


def test_a_claim_that_a_round_asks_for_moves_up_and_is_computed_once() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        blocker, claim, other, wanted = genomes(domain, 4)
        evaluator = Evaluator(domain, 1)
        futures = [evaluator.submit(blocker, context)]
        futures += [evaluator.submit(each, context, Priority.CLAIM) for each in (claim, wanted)]
        futures.append(evaluator.submit(other, context))
        futures.append(evaluator.submit(wanted, context, Priority.ROUND))
        domain.gate.set()
        await asyncio.gather(*futures)
        await evaluator.close()

        expected = [blocker, other, wanted, claim]
        assert [code for code, _, _ in domain.asked] == [each.code for each in expected]

    run(test())


def test_a_full_queue_refuses_and_says_how_many_wait() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        pool = genomes(domain, 4)
        evaluator = Evaluator(domain, 1, queue_max=2)
        futures = [evaluator.submit(each, context) for each in pool[:3]]  # one runs, two wait
        room = evaluator.room
        with pytest.raises(EvaluatorFullError, match="2 evaluations wait, the most is 2"):
            evaluator.submit(pool[3], context)
        futures.append(evaluator.submit(pool[0], context))  # shared: needs no room
        domain.gate.set()
        await asyncio.gather(*futures)
        await evaluator.submit(pool[3], context)
        await evaluator.close()

        assert room == 0

    run(test())


def test_cancelling_one_caller_costs_the_others_nothing() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        (genome,) = genomes(domain, 1)
        evaluator = Evaluator(domain, 1)
        first, second = (evaluator.submit(genome, context) for _ in range(2))
        first.cancel()
        domain.gate.set()
        result = await second
        await evaluator.close()

        assert result == whole(domain, genome, context)

    run(test())


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        blocker, dropped, kept = genomes(domain, 3)
        evaluator = Evaluator(domain, 1)
        futures = [evaluator.submit(each, context) for each in (blocker, dropped, kept)]
        futures[1].cancel()
        domain.gate.set()
        await asyncio.gather(futures[0], futures[2])
        again = await evaluator.submit(dropped, context)
        await evaluator.close()

        assert [code for code, _, _ in domain.asked] == [blocker.code, kept.code, dropped.code]
        assert again == whole(domain, dropped, context)

    run(test())


def test_closing_waits_for_what_runs_and_cancels_what_waits() -> None:
    async def test() -> None:
        domain = GatedDomain()
        context = context_of(domain)
        running, waiting = genomes(domain, 2)
        evaluator = Evaluator(domain, 1)
        futures = [evaluator.submit(each, context) for each in (running, waiting)]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, domain.started.acquire)
        closing = asyncio.create_task(evaluator.close())
        loop.call_soon(loop.call_soon, domain.gate.set)
        await closing
        late = evaluator.submit(waiting, context)

        assert futures[0].result() == whole(domain, running, context)
        assert futures[1].cancelled()
        assert late.cancelled()
        assert len(domain.asked) == 1

    run(test())


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raises", "evaluate raised ZeroDivisionError: on purpose"),
        ("floats", "integers"),
        ("short", "2 measures"),
        ("wrong-trials", "of 4 trials"),
        ("rubbish", "Evaluation"),
    ],
)
def test_a_domain_that_breaks_its_law_is_named_and_hurts_no_other_evaluation(
    processes: bool, how: str, says: str
) -> None:
    async def test() -> None:
        domain = OddDomain(how)
        domain.parallelism = Parallelism.PROCESSES if processes else Parallelism.THREADS
        context = context_of(domain)
        (genome,) = genomes(domain, 1)
        recipe = DomainRecipe("odd", {"how": how}, MODULES)
        evaluator = Evaluator(domain, 2, recipe=recipe)
        for _ in range(2):
            with pytest.raises(PluginError, match="plugin 'odd'") as caught:
                await evaluator.submit(genome, context)
        counters = evaluator.counters()
        await evaluator.close()

        assert says in str(caught.value)
        assert (counters.done, counters.failed, counters.kept) == (0, 2, 0)

    run(test())


def test_a_context_without_trials_is_refused() -> None:
    async def test() -> None:
        domain = ToyDomain()
        evaluator = Evaluator(domain, 1)
        with pytest.raises(PluginError, match="without trials"):
            await evaluator.submit(genomes(domain, 1)[0], domain.context((), ()))
        await evaluator.close()

    run(test())


def test_no_threads_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Evaluator(ToyDomain(), 0)


# --- Worker processes ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_what_threads_give(workers: int) -> None:
    async def test() -> None:
        domain = OddDomain("prints")
        context = context_of(domain)
        pool = genomes(domain, 12)
        evaluator = Evaluator(
            domain, workers, recipe=DomainRecipe("odd", {"how": "prints"}, MODULES)
        )
        results = await asyncio.gather(*(evaluator.submit(each, context) for each in pool))
        counters = evaluator.counters()
        await evaluator.close()

        assert results == [whole(domain, each, context) for each in pool]
        assert (counters.workers, counters.restarts) == (workers, 0)

    run(test())


def test_a_killed_worker_means_evaluate_again(tmp_path: Path) -> None:
    async def test() -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        domain = OddDomain("well")
        context = context_of(domain)
        pool = genomes(domain, 4)
        settings = {"how": "stops-once", "gate": str(gate)}
        evaluator = Evaluator(domain, 2, recipe=DomainRecipe("odd", settings, MODULES))
        futures = [evaluator.submit(each, context) for each in pool]
        victim = int(await asyncio.to_thread(gate.read_text, "ascii"))
        os.kill(victim, signal.SIGKILL)
        results = await asyncio.gather(*futures)
        counters = evaluator.counters()
        await evaluator.close()

        assert results == [whole(domain, each, context) for each in pool]
        assert (counters.restarts, counters.failed) == (1, 0)

    run(test())


def test_an_evaluation_that_always_ends_its_worker_is_given_up() -> None:
    async def test() -> None:
        domain = OddDomain("dies")
        context = context_of(domain)
        evaluator = Evaluator(domain, 1, recipe=DomainRecipe("odd", {"how": "dies"}, MODULES))
        with pytest.raises(PluginError, match="ended its worker process 3 times"):
            await evaluator.submit(genomes(domain, 1)[0], context)
        counters = evaluator.counters()
        await evaluator.close()

        assert counters.restarts == 3

    run(test())


def test_a_domain_that_no_worker_can_build_is_a_configuration_error() -> None:
    async def test() -> None:
        domain = OddDomain("well")
        recipe = DomainRecipe("odd", {"how": "unknown"}, MODULES)
        evaluator = Evaluator(domain, 1, recipe=recipe)
        with pytest.raises(ConfigError, match="how is unknown"):
            await evaluator.submit(genomes(domain, 1)[0], context_of(domain))
        await evaluator.close()

    run(test())


def test_processes_without_a_recipe_are_refused() -> None:
    with pytest.raises(PluginError, match="DomainRecipe"):
        Evaluator(OddDomain("well"), 1)
