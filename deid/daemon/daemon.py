"""One daemon: every part of a node, put together in the order of their dependence."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack

import structlog

from deid.config import Config
from deid.control.views import RunState
from deid.daemon.asking import Arm, Asker
from deid.daemon.attempts import Attempts
from deid.daemon.claims import ClaimAudit
from deid.daemon.collective_events import CollectiveEvents
from deid.daemon.control_server import ControlServer
from deid.daemon.epoch import EpochKeeper
from deid.daemon.evaluation_workers import DomainRecipe
from deid.daemon.evaluator import Evaluator, Priority
from deid.daemon.exchange import cell_of_claims
from deid.daemon.merged import ClaimChecker
from deid.daemon.operator_setup import make_arms, make_attempts, make_domain
from deid.daemon.proofs import ProofStore
from deid.daemon.resume import refold
from deid.daemon.search_loop import SearchLoop
from deid.daemon.tally import Tally
from deid.daemon.view import Found, View, find_in
from deid.errors import ConfigError, RemoteError
from deid.net.collective import Collective
from deid.net.endpoint import net_settings, open_endpoint
from deid.plugin.contracts import Domain
from deid.plugin.host import PluginHost
from deid.search.engine import Engine
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.records import Configured, Record, Row
from deid.search.streams import Stream
from deid.store import Identity, Journal, StateDirectory, Transaction
from deid.store.writer import JournalState
from deid.wire.config import NodeConfig
from deid.wire.events import ItemReceived, PeerState
from deid.wire.gather import Mailbox
from deid.wire.item import Item, SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Node

log = structlog.get_logger(__name__)

META_TASK = "task_hash"
META_RUN = "run_id"
META_PAUSED = "paused"
RUN_ID_BYTES = 16
SETTLE_POLL_S = 0.1


class Daemon:
    """A node between :meth:`open` and :meth:`close`.

    Public attributes are for the control view and for tests.
    """

    domain: Domain
    identity: Identity
    journal: Journal
    evaluator: Evaluator
    attempts: Attempts
    arms: dict[str, Arm]
    collective: Collective
    claims: ClaimChecker
    audit: ClaimAudit
    loop: SearchLoop
    address: str

    def __init__(self, config: Config, host: PluginHost | None = None) -> None:
        self.config = config
        self.host = host or PluginHost()
        self.tally = Tally()
        self._directory = StateDirectory(config.node.state_dir)
        self._started_s = time.monotonic()
        self._stop = asyncio.Event()
        self._stopping = False
        self._stack = AsyncExitStack()

    # --- Life -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Brings every part up; :class:`ConfigError` or :class:`StoreError` says what is wrong.

        Nothing here waits for a peer.
        """
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        config = self.config
        self.domain = make_domain(config, self.host)
        self._directory.acquire()
        self._stack.callback(self._directory.release)
        self.journal = Journal(self._directory.journal_file, on_state=_log_journal)
        self._stack.callback(self.journal.close)
        await self._check_run()
        self._epoch = EpochKeeper(config.node.key_file, self.journal)
        self.identity = self._epoch.identity
        epoch = await self._epoch.open()

        self.attempts = make_attempts(config, self.host, self.journal)
        self._stack.push_async_callback(self.attempts.close)
        self.arms = make_arms(config, self.host, self.attempts, self.journal)
        engine = await self._open_engine()

        self.audit = self._make_audit(engine.quarantined)
        self._open_collective(epoch)
        self._stack.push_async_callback(self._leave)
        recipe = DomainRecipe(config.search.domain, config.domain)
        self.evaluator = Evaluator(self.domain, config.search.battle_threads, recipe=recipe)
        self._stack.push_async_callback(self.evaluator.close)
        self.claims = ClaimChecker(self.domain, self._evaluate_claim)
        for arm in self.arms.values():
            self._stack.push_async_callback(arm.port.close)
        await asyncio.gather(*(arm.port.start() for arm in self.arms.values()))

        self.loop = SearchLoop(
            engine,
            self.domain,
            Asker(self.domain, self.arms, self.attempts),
            self.evaluator,
            self.journal,
            self.collective,
            epoch=self._epoch,
            on_record=self.tally.observe,
            paused=self.journal.meta(META_PAUSED) == b"1",
        )
        self._server = ControlServer(
            View(self), config.node.name, config.node.state_dir, config.control.socket_dir
        )
        await self._server.open()
        self._stack.push_async_callback(self._server.close)
        self.collective.start()

    async def run(self, *, until_done: bool, linger_s: float) -> None:
        """Searches and serves until :meth:`request_stop`, or, if ``until_done``, until its rounds
        are done and its peers hold what it has, or ``linger_s`` seconds after its rounds."""
        search = asyncio.create_task(self.loop.run(), name="search")
        control = asyncio.create_task(self._server.failed(), name="control")
        epoch = asyncio.create_task(self._epoch.keep(self.collective), name="epoch")
        tasks: set[asyncio.Task[None]] = {search, control, epoch}
        tasks.add(asyncio.create_task(self._stopped(), name="stop"))
        tasks.add(asyncio.create_task(self.audit.run(), name="audit"))
        if until_done:
            tasks.add(asyncio.create_task(self._finished(linger_s), name="finished"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._stopping = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Gives everything back; what was folded is durable."""
        self._stopping = True
        await self._stack.aclose()

    def request_stop(self) -> bool:
        """Ends :meth:`run`; False if that was asked before."""
        changed = not self._stop.is_set()
        self._stop.set()
        return changed

    async def set_paused(self, paused: bool) -> bool:
        """Rests or goes on, over restarts; False if it was so already."""
        changed = self.loop.paused != paused
        if changed:
            if paused:
                self.loop.pause()
            else:
                self.loop.resume()
            await self.journal.commit(Transaction(meta={META_PAUSED: b"1" if paused else b"0"}))
            log.info("search.paused" if paused else "search.started")
        return changed

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _finished(self, linger_s: float) -> None:
        """Returns when a node that leaves after its rounds may leave."""
        await self.loop.finished.wait()
        deadline = time.monotonic() + linger_s
        # The collective has no signal for "handed over": it is a view of many peers' last words.
        while time.monotonic() < deadline and not self._handed_over():  # noqa: ASYNC110
            await asyncio.sleep(SETTLE_POLL_S)

    def _handed_over(self) -> bool:
        """Whether a living peer of this task, and every such peer, holds what this node holds.
        Alone by configuration, there is nobody to wait for."""
        peers = [peer for peer in self.collective.peers() if peer.same_task]
        if any(peer.state is PeerState.ALIVE for peer in peers):
            return self.collective.settled()
        return not peers and not self.config.net.seeds

    # --- What people see ------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        if self._stopping or self._stop.is_set():
            return RunState.STOPPING
        if self.loop.done:
            return RunState.DONE
        if self.loop.budget_spent is not None:
            return RunState.BUDGET_SPENT
        return RunState.PAUSED if self.loop.paused else RunState.RUNNING

    def degraded(self) -> tuple[str, ...]:
        """What is missing though the daemon runs on."""
        reasons: list[str] = []
        if self.journal.state is not JournalState.READY:
            reasons.append(f"journal {self.journal.state.value}: {self.journal.fault}")
        if self._epoch.fault:
            reasons.append(f"epoch mark: {self._epoch.fault}")
        if self._events.key_in_use:
            reasons.append("another daemon runs with this node's key")
        for arm in self.arms.values():
            figures = arm.port.counters()
            if figures.breaker != "closed":
                reasons.append(f"operator {arm.name}: {figures.last_failure}")
        reasons += [f"plugin {fault.name}: {fault.reason}" for fault in self.host.faults]
        return tuple(reasons)

    def uptime_s(self) -> float:
        return time.monotonic() - self._started_s

    @property
    def arrivals(self) -> int:
        """Items that came from peers in this process's life."""
        return self._events.received

    def quarantine(self, void: Iterable[Item]) -> None:
        """Items with false claims are proof: their origins' items may do nothing here."""
        for item in void:
            origin = item.origin
            known = self.tally.quarantined  # from the journal, after a restart
            if origin not in known and origin != self.identity.public:
                known.add(origin)
                log.error("claim.false", node=item.node, item=str(item.name))
                self.loop.quarantine(origin)
                self.collective.mailbox.quarantine(origin)

    def journal_search(self, prefix: str) -> Found:
        """Reads the journal for programs whose hash begins with ``prefix``; for a thread."""
        return find_in((stored.row.record() for stored in self.journal.rows()), prefix)

    # --- Parts ----------------------------------------------------------------------------------

    async def _check_run(self) -> None:
        """A state directory belongs to one task for good."""
        task = self.journal.meta(META_TASK)
        if task is None:
            run_id = secrets.token_bytes(RUN_ID_BYTES)
            meta = {META_TASK: self.domain.task_hash, META_RUN: run_id}
            await self.journal.commit(Transaction(meta=meta))
        elif task != self.domain.task_hash:
            raise ConfigError(
                f"[domain] describes task {self.domain.task_hash.hex()[:12]}, but "
                f"{self.config.node.state_dir} belongs to task {task.hex()[:12]}",
                hint="the problem of a run cannot change: use another state_dir",
            )

    async def _open_engine(self) -> Engine:
        """The search as the journal left it, under today's settings."""
        engine = Engine(self.domain)
        ordered = not any(arm.port.needs_model for arm in self.arms.values())
        settings = self.config.search_settings(ordered)
        rows = refold(engine, self.journal.rows(), self.tally.observe)
        if rows:
            held = engine.settings
            if (held.node, held.seed, held.ordered) != (settings.node, settings.seed, ordered):
                raise ConfigError(
                    f"{self.config.node.state_dir} holds a run of node {held.node!r} with seed "
                    f"{held.seed}" + ("" if held.ordered == ordered else " and other operators"),
                    hint="a run keeps its name, its seed, and whether its operators use a model: "
                    "restore them or use another state_dir",
                )
        if not rows or engine.settings != settings:
            record = Configured(settings)
            records: list[Record] = [record, *engine.apply(record)]
            await self.journal.commit(Transaction(rows=tuple(map(Row.of, records))))
            for each in records:
                self.tally.observe(each)
        log.info("search.opened", round=engine.round, journal_rows=rows)
        return engine

    def _open_collective(self, epoch: int) -> None:
        config = self.config
        settings = net_settings(
            listen=config.net.listen,
            advertise=config.net.advertise,
            seeds=config.net.seeds,
            profile=config.net.profile,
            security=config.net.security,
        )
        endpoint = open_endpoint(settings)
        self._stack.callback(endpoint.transport.abandon)
        self.address = endpoint.advertised
        name = config.node.name
        node = Node(
            NodeConfig(name=name, address=self.address, seeds=endpoint.seeds),
            KeyPair.from_seed(self.identity.seed),
            self.domain.task_hash,
            cell_of_claims(self.domain.grid, self.domain.reference()),
            Stream(secrets.randbits(63), name, "network"),
            epoch=epoch,
            incarnation=int(time.time() * 1_000),
        )
        mailbox = Mailbox(self.tally.handed)
        for origin in self.audit.liars:
            mailbox.quarantine(origin)
        self._restore(node, mailbox)
        proofs = ProofStore(self.journal)
        proofs.restore(node)
        self._events = CollectiveEvents(
            self.journal,
            self.identity.public,
            self._epoch.behind,
            proofs=proofs,
            watch=self.audit.observe,
        )
        self.collective = Collective(
            node,
            endpoint.transport,
            mailbox,
            self._events,
            seeds=endpoint.seeds,
            profile=settings.profile,
        )

    def _restore(self, node: Node, mailbox: Mailbox) -> None:
        """Gives the core what the journal holds, and the search what it has not had yet: items of
        others, and own ones of an earlier epoch that peers brought back."""
        for stored in self.journal.items():
            try:
                signed = node.restore(stored.raw)
            except RemoteError as error:
                log.warning("item.unreadable", reason=str(error))
                continue
            item = signed.item
            if (item.origin, item.epoch) != (self.identity.public, node.epoch):
                mailbox.put(ItemReceived(signed, int(self._loop_ms()), True))

        for signed in node.items():
            self.audit.add(signed)

    @staticmethod
    def _loop_ms() -> float:
        return asyncio.get_running_loop().time() * 1_000

    async def _leave(self) -> None:
        await self.collective.stop()

    async def _evaluate_claim(self, genome: Genome, context: Context) -> Evaluation:
        # Someone waits for the answer; behind the round's own work it would not come before the
        # search is over. Each content is asked for once.
        return await self.evaluator.submit(genome, context, Priority.ROUND)

    def _make_audit(self, liars: Iterable[bytes]) -> ClaimAudit:
        async def evaluate(genome: Genome, context: Context) -> Evaluation:
            return await self.evaluator.submit(genome, context, Priority.CLAIM)

        cell_of = cell_of_claims(self.domain.grid, self.domain.reference())
        own = self.identity.public
        return ClaimAudit(self.domain, evaluate, cell_of, own, self._on_verdict, liars)

    def _on_verdict(self, signed: SignedItem, holds: bool) -> None:
        """The audit checked a claim."""
        self.collective.judged(signed, holds=holds)
        if not holds:
            self.quarantine((signed.item,))


def _log_journal(state: JournalState, fault: str) -> None:
    """Called in the journal's own thread."""
    if state is JournalState.READY:
        log.info("journal.ready")
    else:
        log.error(f"journal.{state.value}", reason=fault)
