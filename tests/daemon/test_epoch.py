"""The epoch: no published name is given twice, whatever was lost, and however slow the disk is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from daemon.loops import Alone, draft, until
from daemon.support import run

from deid.daemon.epoch import EpochKeeper, own_items
from deid.daemon.exchange import cell_of_claims
from deid.errors import StoreError
from deid.net.collective import Collective
from deid.plugin.toy import ToyDomain
from deid.search.streams import Stream
from deid.store import STATE_MARK, Backoff, Journal, Mark, Transaction
from deid.wire.config import NodeConfig
from deid.wire.gather import Mailbox
from deid.wire.item import SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Node

TOY = ToyDomain(trials=2)
PROGRAMS = TOY.corpora()["climbers"]


class Life:
    """One start of a node on the key and the journal in ``path``."""

    def __init__(self, path: Path, journal: str = "journal") -> None:
        self.journal = Journal(path / journal, quick_check=False)
        self.keeper = EpochKeeper(path / "node.key", self.journal, backoff=Backoff(0.001, 0.002))

    async def __aenter__(self) -> Life:
        epoch = await self.keeper.open()
        config = NodeConfig(name="alpha", address="tcp://127.0.0.1:1", seeds=())
        keys = KeyPair.from_seed(self.keeper.identity.seed)
        cell_of = cell_of_claims(TOY.grid, TOY.reference())
        self.node = Node(
            config, keys, TOY.task_hash, cell_of, Stream(1, "a", "n"), epoch=epoch, incarnation=1
        )
        for stored in self.journal.items():
            self.node.restore(stored.raw)
        self.exchange = Alone(self.node, Mailbox())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.journal.close()

    async def append(self, *numbers: int) -> list[SignedItem]:
        """Signs and journals, as the search loop does."""
        signed = self.exchange.publish([draft(TOY, PROGRAMS[number]) for number in numbers])
        items, meta = own_items(signed), self.keeper.meta(signed)
        await self.journal.commit(Transaction(items=items, meta=meta))
        return signed

    async def publish(self, *numbers: int) -> list[SignedItem]:
        signed = await self.append(*numbers)
        await self.keeper.published(signed)
        self.exchange.committed([each.name for each in signed])
        return signed

    def keep(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.keeper.keep(cast(Collective, self.exchange)))

    def state(self) -> Mark:
        return Mark.of_bytes(self.journal.meta(STATE_MARK) or b"")


def test_a_normal_restart_keeps_the_epoch_and_goes_on_counting(tmp_path: Path) -> None:
    async def test() -> None:
        async with Life(tmp_path) as first:
            await first.publish(0, 1)
            epoch = first.node.epoch
            assert first.state() == first.keeper.identity.mark() == Mark(epoch, 2)
        async with Life(tmp_path) as second:
            (signed,) = await second.publish(2)

            assert signed.name[1:] == (epoch, 3)

    run(test())


def test_a_crash_before_the_mark_is_raised_is_a_normal_restart(tmp_path: Path) -> None:
    async def test() -> None:
        async with Life(tmp_path) as first:
            await first.append(0)
            assert first.keeper.identity.mark() == Mark(first.node.epoch, 0)
        async with Life(tmp_path) as second:
            (signed,) = await second.publish(1)

            assert signed.name[1:] == (first.node.epoch, 2)

    run(test())


@pytest.mark.parametrize("lost", ["journal", "mark", "older copy"])
def test_what_was_lost_begins_a_new_epoch(tmp_path: Path, lost: str) -> None:
    async def test() -> None:
        async with Life(tmp_path) as first:
            await first.publish(0)
        copy = (tmp_path / "journal").read_bytes()
        async with Life(tmp_path) as first:
            await first.publish(1)
        if lost == "journal":
            (tmp_path / "journal").unlink()
        elif lost == "mark":
            (tmp_path / "node.key.epoch").unlink()
        else:
            (tmp_path / "journal").write_bytes(copy)
        async with Life(tmp_path) as second:
            assert second.node.epoch != first.node.epoch
            assert second.state() == second.keeper.identity.mark() == Mark(second.node.epoch, 0)

    run(test())


def test_nothing_published_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            assert life.keeper.meta([]) == {}
            mark = life.keeper.identity.mark()
            await life.keeper.published([])
            assert life.keeper.identity.mark() == mark

    run(test())


def test_a_mark_that_the_disk_refuses_holds_the_items_back_until_it_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            gate = Refusing(life.keeper, monkeypatch)
            publishing = asyncio.create_task(life.publish(0))
            await until(lambda: gate.refusals > 2)

            assert not publishing.done()
            assert life.exchange.left == []
            assert "disk full" in life.keeper.fault
            gate.open = True
            (signed,) = await publishing
            assert life.exchange.left == [signed.name]
            assert life.keeper.fault == ""
            assert life.keeper.identity.mark() == Mark(life.node.epoch, 1)

    run(test())


def test_a_renewal_signs_what_is_alive_anew_and_goes_on_there(tmp_path: Path) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            before = await life.publish(0, 1)
            old = life.node.epoch
            keeping = life.keep()
            life.keeper.behind()
            await life.keeper.settled()
            new = life.node.epoch
            (signed,) = await life.publish(2)

            assert new != old
            assert signed.name[1:] == (new, 3)
            assert life.state() == life.keeper.identity.mark() == Mark(new, 3)
            contents = [each.item.content_hash for each in (*before, signed)]
            again = [item for item in life.journal.items() if item.name[1] == new]
            assert [item.content_hash for item in again] == contents
            keeping.cancel()
        async with Life(tmp_path) as restarted:
            assert restarted.node.epoch == new

    run(test())


def test_a_renewal_outlasts_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            gate = Refusing(life.keeper, monkeypatch)
            keeping = life.keep()
            life.keeper.behind()
            await until(lambda: gate.refusals > 2)
            old = life.node.epoch
            settled = asyncio.create_task(life.keeper.settled())
            await asyncio.sleep(0)

            assert not settled.done()
            assert not keeping.done()
            gate.open = True
            await settled
            assert life.node.epoch != old
            keeping.cancel()

    run(test())


def test_items_whose_epoch_was_renewed_before_they_could_leave_are_taken_back(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            stale = await life.append(0)
            keeping = life.keep()
            life.keeper.behind()
            await life.keeper.settled()
            await life.keeper.published(stale)
            names = [item.name for item in life.journal.items()]

            assert names == [(stale[0].name[0], life.node.epoch, 1)]
            assert life.keeper.identity.mark() == Mark(life.node.epoch, 1)
            keeping.cancel()
        async with Life(tmp_path) as restarted:
            assert restarted.node.epoch == life.node.epoch

    run(test())


def test_a_second_alarm_during_a_renewal_renews_again_afterwards(tmp_path: Path) -> None:
    async def test() -> None:
        async with Life(tmp_path) as life:
            epochs: list[int] = []
            raise_epoch = life.exchange.raise_epoch

            def spied(epoch: int) -> list[SignedItem]:
                epochs.append(epoch)
                if len(epochs) == 1:
                    life.keeper.behind()
                return raise_epoch(epoch)

            life.exchange.raise_epoch = spied  # type: ignore[method-assign]
            keeping = life.keep()
            life.keeper.behind()
            await life.keeper.settled()

            assert len(set(epochs)) == 2
            assert life.state() == life.keeper.identity.mark() == Mark(epochs[-1], 0)
            keeping.cancel()

    run(test())


class Refusing:
    """A disk that refuses the mark until ``open``."""

    def __init__(self, keeper: EpochKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = False
        self.refusals = 0
        raise_mark: Callable[[Mark], None] = keeper.identity.raise_mark

        def refuse(identity: Any, mark: Mark) -> None:
            if not self.open:
                self.refusals += 1
                raise StoreError("disk full")
            raise_mark(mark)

        monkeypatch.setattr(type(keeper.identity), "raise_mark", refuse)
