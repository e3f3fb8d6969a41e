"""The audit of claims: liars are found without anybody asking for the merged archive.

What is held is kept by the cells of its claims. Where a cell changed, its claims are checked from
the best down until one holds, one evaluation at a time and behind everything that a round waits
for: a node whose rounds leave its processors nothing checks at least one claim a round. What peers
accuse goes first. A liar is checked once: later items of it may do nothing in the search anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from deid.daemon.evaluator import EvaluatorFullError
from deid.daemon.exchange import elite_key
from deid.daemon.merged import Evaluate
from deid.errors import CandidateError, PluginError
from deid.plugin.contracts import Domain
from deid.search.evaluation import Evaluation
from deid.wire.events import ClaimAccused, Event, ItemReceived, ItemsExpired
from deid.wire.item import ItemName, SignedItem

log = structlog.get_logger(__name__)

RETRY_S = 1.0  # after the evaluator had no room

OnVerdict = Callable[[SignedItem, bool], None]


class ClaimAudit:
    """Checks what :meth:`observe` tells it of, in :meth:`run`.

    evaluate: with low priority. cell_of: the reference cell of a claim. own: this node's key; its
    claims are known to hold. on_verdict: told every check's result. liars: origins that were found
    out before, in this run.
    """

    def __init__(
        self,
        domain: Domain,
        evaluate: Evaluate,
        cell_of: Callable[[Evaluation], int],
        own: bytes,
        on_verdict: OnVerdict,
        liars: Iterable[bytes] = (),
    ) -> None:
        self.checked = 0
        self.liars = set(liars)
        self._domain = domain
        self._reference = domain.reference()
        self._evaluate = evaluate
        self._cell_of = cell_of
        self._own = own
        self._on_verdict = on_verdict
        self._cells: dict[int, dict[ItemName, SignedItem]] = {}
        self._held: dict[ItemName, SignedItem] = {}
        self._verdicts: dict[bytes, bool] = {}  # by body hash, of what is held
        self._changed: dict[int, None] = {}  # cells to look at, in the order of their change
        self._accused: deque[SignedItem] = deque()  # the core sends one at a time
        self._wake = asyncio.Event()

    def observe(self, event: Event) -> None:
        """An event of the collective; others than these change nothing."""
        match event:
            case ItemReceived():
                self.add(event.signed)
            case ItemsExpired():
                self.remove(event.names)
            case ClaimAccused():
                self._accused.append(event.signed)
                self._wake.set()
            case _:
                pass

    def add(self, signed: SignedItem) -> None:
        """An item is held now, in place of another of its name if there is one."""
        self.remove((signed.name,))
        cell = self._cell_of(signed.item.claim)
        self._held[signed.name] = signed
        self._cells.setdefault(cell, {})[signed.name] = signed
        self._change(cell)

    def remove(self, names: Iterable[ItemName]) -> None:
        """These items are not held any more."""
        for name in names:
            signed = self._held.pop(name, None)
            if signed is None:
                continue
            self._verdicts.pop(signed.body_hash, None)
            cell = self._cell_of(signed.item.claim)
            del self._cells[cell][name]
            if self._cells[cell]:
                self._change(cell)
            else:
                del self._cells[cell]

    async def run(self) -> None:
        """Checks until cancelled."""
        while True:
            if not await self.step():
                self._wake.clear()
                await self._wake.wait()

    async def step(self) -> bool:
        """Checks one claim; False where none is to be checked."""
        signed = self._next()
        if signed is None:
            return False
        try:
            holds = await self._holds(signed)
        except EvaluatorFullError:
            await asyncio.sleep(RETRY_S)
            return True
        except PluginError as error:  # nothing is proven by our own failure
            log.error("claim.unchecked", item=str(signed.name), reason=error.message)
            holds = True
        self._judge(signed, holds)
        return True

    async def _holds(self, signed: SignedItem) -> bool:
        try:
            genome = self._domain.decode(signed.item.code)
        except CandidateError:
            return False
        except Exception as error:
            raise PluginError(self._domain.name, f"decode raised {error!r:.200}") from error
        return await self._evaluate(genome, self._reference) == signed.item.claim

    def _next(self) -> SignedItem | None:
        """What is to be checked next; None if nothing is. It stays next until it is judged."""
        if self._accused:
            return self._accused[0]
        while self._changed:
            cell = next(iter(self._changed))
            best = self._best(cell)
            if best is not None and not self._is_known(best):
                return best
            del self._changed[cell]
        return None

    def _is_known(self, signed: SignedItem) -> bool:
        return signed.item.origin == self._own or signed.body_hash in self._verdicts

    def _best(self, cell: int) -> SignedItem | None:
        """The best of a cell's items that nothing is known against."""
        return min(
            (
                signed
                for signed in self._cells.get(cell, {}).values()
                if signed.item.origin not in self.liars
            ),
            key=lambda signed: elite_key(signed.item),
            default=None,
        )

    def _judge(self, signed: SignedItem, holds: bool) -> None:
        self.checked += 1
        if self._accused and self._accused[0].body_hash == signed.body_hash:
            self._accused.popleft()
        if self._held.get(signed.name) == signed:
            self._verdicts[signed.body_hash] = holds
        origin = signed.item.origin
        if not holds and origin != self._own and origin not in self.liars:
            self.liars.add(origin)
            self._recheck_cells_of(origin)
        self._on_verdict(signed, holds)

    def _recheck_cells_of(self, origin: bytes) -> None:
        """Where a liar's claims covered those of others, the others come next."""
        for cell, items in self._cells.items():
            if any(name.origin == origin for name in items):
                self._change(cell)

    def _change(self, cell: int) -> None:
        self._changed[cell] = None
        self._wake.set()
