"""The node's own log: drafts become signed items, durable before they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from deid.errors import LocalError
from deid.search.evaluation import Evaluation
from deid.wire.config import NodeConfig
from deid.wire.item import Item, ItemName, SignedItem, Usage, sign
from deid.wire.keys import KeyPair
from deid.wire.log import Logs
from deid.wire.retention import Candidate, choose_live
from deid.wire.seqset import SeqSet


@dataclass(frozen=True, slots=True)
class Draft:
    """What the search publishes; origin, epoch, seq, task, node and live set are the core's.

    The fields are those of :class:`~deid.wire.item.Item`.
    """

    round: int
    champion: bool
    code: bytes
    source: str
    claim: Evaluation
    operator: str
    parents: tuple[bytes, ...] = ()
    model: str = ""
    prompt_hash: bytes = b""
    usage: Usage = field(default_factory=Usage)
    price: int = 0
    ancestry: tuple[tuple[str, int], ...] = ()


class OwnLog:
    """Numbers, signs and retires what this node publishes in its current epoch.

    behind: an item of this epoch was met that this log does not know; nothing can be published
    before the epoch is raised.
    """

    def __init__(
        self,
        config: NodeConfig,
        keys: KeyPair,
        task_hash: bytes,
        cell_of: Callable[[Evaluation], int],
        logs: Logs,
        epoch: int,
    ) -> None:
        self._config = config
        self._keys = keys
        self._task_hash = task_hash
        self._cell_of = cell_of
        self._logs = logs
        self._pending: dict[ItemName, SignedItem] = {}
        self._candidates: dict[int, Candidate] | None = None  # None: to be read from the log
        self._last_seq = 0
        self.epoch = epoch
        self.behind = False

    def publish(self, drafts: Sequence[Draft]) -> list[SignedItem]:
        """Sign ``drafts``; they wait for :meth:`commit`.

        :class:`LocalError` where the log is behind, or a draft breaks a bound of items (then none
        of them was taken).
        """
        if self.behind:
            raise LocalError(
                f"epoch {self.epoch >> 64} of this node is in use further than its log knows: "
                "raise the epoch before publishing"
            )
        unsigned = [self._item(draft) for draft in drafts]
        return self._sign_all(unsigned)

    def commit(self, name: ItemName) -> SignedItem | None:
        """``name`` is durable; the item, or None where it does not wait (any more)."""
        return self._pending.pop(name, None)

    def knows(self, name: ItemName) -> bool:
        """Whether a name of the current epoch was given by this log."""
        log = self._logs.log(self._keys.public, self.epoch)
        return name.seq <= max(self._last_seq, 0 if log is None else log.head)

    def waiting(self, name: ItemName) -> SignedItem | None:
        return self._pending.get(name)

    def raise_epoch(self, epoch: int) -> list[SignedItem]:
        """Leave the current epoch for ``epoch``: everything alive is signed anew there and waits
        for its commit. The old log is the caller's to drop; peers bring back what was in it."""
        if epoch == self.epoch:
            raise LocalError("raise_epoch: the new epoch must differ from the old one")
        alive = sorted(self._alive().values(), key=lambda each: each.seq)
        self._pending.clear()
        self._candidates = {}
        self._last_seq = 0
        self.epoch = epoch
        self.behind = False
        return self._sign_all([each.signed.item for each in alive])

    def _item(self, draft: Draft) -> Item:
        return Item(
            origin=self._keys.public,
            epoch=self.epoch,
            seq=1,  # given at signing, as is the live set
            task_hash=self._task_hash,
            node=self._config.name,
            round=draft.round,
            champion=draft.champion,
            code=draft.code,
            source=draft.source,
            parents=draft.parents,
            operator=draft.operator,
            model=draft.model,
            prompt_hash=draft.prompt_hash,
            usage=draft.usage,
            price=draft.price,
            claim=draft.claim,
            ancestry=draft.ancestry,
            live=SeqSet(((1, 1),)),
        )

    def _sign_all(self, items: Iterable[Item]) -> list[SignedItem]:
        """All or none: a bound that one of them breaks leaves the log as it was."""
        candidates = self._alive()
        seq = self._next_seq() - 1
        others, heads = self._other_epochs()
        signed_items: list[SignedItem] = []
        for item in items:
            seq += 1
            rounds = [each.signed.item.round for each in candidates.values()]
            live = choose_live(
                list(candidates.values()),
                others,
                heads,
                seq=seq,
                newest_round=max([item.round, *rounds]),
                window_rounds=self._config.window_rounds,
                quota_bytes=self._config.quota_bytes,
            )
            signed = sign(replace(item, epoch=self.epoch, seq=seq, live=live), self._keys)
            candidates = {number: each for number, each in candidates.items() if number in live}
            candidates[seq] = Candidate(signed, self._cell_of(item.claim))
            signed_items.append(signed)
        self._candidates = candidates
        self._last_seq = seq
        self._pending.update((signed.name, signed) for signed in signed_items)
        return signed_items

    def _alive(self) -> dict[int, Candidate]:
        """The live items of this epoch, waiting ones included."""
        log = self._logs.log(self._keys.public, self.epoch)
        held = {} if log is None else log.items
        if self._candidates is None:
            self._candidates = {
                seq: Candidate(signed, self._cell_of(signed.item.claim))
                for seq, signed in held.items()
            }
        return {
            seq: each
            for seq, each in self._candidates.items()
            if seq in held or each.signed.name in self._pending
        }

    def _next_seq(self) -> int:
        log = self._logs.log(self._keys.public, self.epoch)
        return max(self._last_seq, 0 if log is None else log.head) + 1

    def _other_epochs(self) -> tuple[list[SignedItem], set[ItemName]]:
        logs = [log for log in self._logs.of_origin(self._keys.public) if log.epoch != self.epoch]
        items = [signed for log in logs for signed in log.items.values()]
        return items, {log.items[log.head].name for log in logs if log.items}
