"""What the daemon does about the collective's events: store, log, take a new epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from deid.daemon.proofs import ProofStore
from deid.store import Journal, Transaction
from deid.store.values import StoredItem
from deid.wire.events import (
    ClaimAccused,
    Equivocation,
    Event,
    InputRefused,
    ItemReceived,
    ItemsExpired,
    KeyInUse,
    LinkRefused,
    OriginRefused,
    OwnLogBehind,
    PeerChanged,
    RefusedByPeer,
)

log = structlog.get_logger(__name__)


class CollectiveEvents:
    """Takes the events of a :class:`deid.net.collective.Collective`.

    received: items that came in this process's life. on_behind: called when another epoch is
    needed; key_in_use: another daemon runs with this node's key. proofs: where those of
    equivocation are stored. watch: told every event, once what it brings is on its way to the
    journal.
    """

    def __init__(
        self,
        journal: Journal,
        key: bytes,
        on_behind: Callable[[], None],
        *,
        proofs: ProofStore | None = None,
        watch: Callable[[Event], None] | None = None,
    ) -> None:
        self.received = 0
        self.key_in_use = False
        self._proofs = proofs
        self._watch = watch
        self._journal = journal
        self._key = key
        self._on_behind = on_behind

    def __call__(self, events: Sequence[Event]) -> None:
        items: list[StoredItem] = []
        dropped: list[tuple[bytes, int, int]] = []
        meta: dict[str, bytes] = {}
        for event in events:
            match event:
                case ItemReceived():
                    signed = event.signed
                    own = signed.item.origin == self._key
                    items.append(StoredItem(signed.name, signed.item.content_hash, own, signed.raw))
                case ItemsExpired():
                    dropped.extend(event.names)
                case Equivocation() if self._proofs is not None:
                    meta.update(self._proofs.add(event))
                    self._log(event)
                case OwnLogBehind():
                    log.warning("epoch.behind", seq=event.seq)
                    self._on_behind()
                case _:
                    self._log(event)
        if items or dropped or meta:
            self.received += len(items)
            # In order with all later commits; a failed write shows in the journal's state.
            self._journal.append(Transaction(items=tuple(items), dropped=tuple(dropped), meta=meta))
        if self._watch is not None:
            for event in events:
                self._watch(event)

    def _log(self, event: Event) -> None:
        match event:
            case PeerChanged():
                log.info(
                    f"peer.{event.now.value}",
                    peer=event.name,
                    key=event.key.hex()[:16],
                    address=event.address,
                    before=event.before.value if event.before else None,
                    silent_ms=event.silent_ms,
                )
            case LinkRefused():
                log.warning("link.refused", address=event.address, reason=event.reason)
            case RefusedByPeer():
                log.warning("link.refused_by_peer", address=event.address, reason=event.reason)
            case InputRefused():
                key = event.key.hex()[:16] if event.key else None
                log.warning("input.refused", key=key, reason=event.reason)
            case OriginRefused():
                log.warning("origin.refused", key=event.origin.hex()[:16], reason=event.reason)
            case Equivocation():
                log.error("origin.equivocates", item=str(event.name))
            case ClaimAccused():
                log.info("claim.accused", item=str(event.signed.name), by=event.accuser.hex()[:16])
            case KeyInUse():
                self.key_in_use = True
                log.error(
                    "key.in_use",
                    address=event.address,
                    hint="two daemons run with one key: give each a key_file of its own",
                )
            case _:
                log.info("collective.event", event=type(event).__name__)
