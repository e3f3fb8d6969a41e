"""The guarantees, judged from histories and disks; shares no code with what it judges.

Each check returns the violations that it finds, in words. Signatures are checked with the
cryptography library directly, retention and order are computed anew from the published items.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sim.cluster import CELLS, Cluster, SimNode

from deid.wire.events import PeerChanged, PeerState
from deid.wire.item import ItemName, SignedItem

_ITEMS = 9  # number of the message that carries items
_ITEM_BYTES_MAX = 64 << 10


class Checker:
    """Watches a cluster from its first message on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._keys = {node.keys.public: node for node in cluster.nodes}
        self.seen: list[str] = []
        cluster.watchers.append(self._on_message)

    # ---- while it runs -------------------------------------------------------------------

    def _on_message(self, node: SimNode, data: bytes) -> None:
        """Durable before sent: no correct node sends an item that its disk does not have."""
        if node.malicious or data[1] != _ITEMS:
            return
        for raw in msgpack.unpackb(data)[1]:
            if raw not in node.stored:
                self.seen.append(f"durable: node {node.number} sent an item that it did not store")

    def bounds(self) -> None:
        """Every table within its limit, right now."""
        for node in self._cluster.nodes:
            if node.up:
                self.seen += self._bounds_of(node)

    def accused(self) -> None:
        """No eviction of a node that was up and reachable all the time it was silent."""
        for node in self._cluster.nodes:
            for event in node.events:
                if isinstance(event, PeerChanged) and event.now is PeerState.EVICTED:
                    silent = event.silent_ms >= node.config.evict_min_ms
                    if not silent:
                        self.seen.append(f"alive: node {node.number} evicted a peer heard lately")

    @staticmethod
    def _bounds_of(node: SimNode) -> Iterator[str]:
        core, config = node.node, node.config
        sizes: dict[bytes, int] = defaultdict(int)
        for signed in core.items():
            sizes[signed.item.origin] += len(signed.raw)
        figures = [
            ("bytes of one origin", max(sizes.values(), default=0), config.quota_bytes),
            ("origins", len(sizes), config.origins_max + 1),
            ("members", len(core._membership.roster.members()), config.peers_max),
            ("wants", len(core._sharing.repair), config.wants_max),
            ("records", len(core._membership.directory), config.addresses_max),
        ]
        for what, value, most in figures:
            if value > most:
                yield f"bounded: node {node.number} has {value} {what}, at most {most}"

    # ---- at the end ----------------------------------------------------------------------

    def converged(self) -> bool:
        """Whether all correct live nodes of each task hold the same items."""
        live = self._live()
        held = {(node.task, tuple(sorted(node.disk.items))) for node in live}
        return len(held) == len({node.task for node in live})

    def strangers(self) -> list[str]:
        """Pairs of correct live nodes of which one does not take the other for alive, and nodes
        that take one for alive that is gone."""
        live = self._live()
        found = []
        for node in live:
            alive = {peer.key for peer in node.node.peers() if peer.state.value == "alive"}
            for other in live:
                if other is not node and other.keys.public not in alive:
                    found.append(f"alive: node {node.number} denies node {other.number}")
            for other in self._cluster.nodes:
                if other.gone and not other.up and other.keys.public in alive:
                    found.append(f"alive: node {node.number} believes in node {other.number}")
        return found

    def violations(self) -> list[str]:
        """Everything that broke a guarantee; empty when all hold."""
        self.accused()
        found = list(self.seen)
        found += self._complete()
        found += self._retained()
        found += self._delivered()
        found += self._once()
        found += self._authentic()
        found += self._names_unique()
        return found

    def _live(self) -> list[SimNode]:
        return [node for node in self._cluster.nodes if node.up and not node.malicious]

    def _complete(self) -> Iterator[str]:
        """What one live correct node holds, every other holds, byte for byte."""
        by_task: dict[bytes, list[SimNode]] = defaultdict(list)
        for node in self._live():
            by_task[node.task].append(node)
        for nodes in by_task.values():
            everything = set().union(*(node.disk.items for node in nodes))
            for node in nodes:
                lacking = everything - set(node.disk.items)
                if lacking:
                    names = ", ".join(str(name) for name in sorted(lacking)[:3])
                    yield f"complete: node {node.number} lacks {len(lacking)} items: {names}"
                core = {signed.name: signed.raw for signed in node.node.items()}
                if core != node.disk.items:
                    yield f"complete: node {node.number}'s core and disk differ"
            for name in sorted(everything):
                raws = {node.disk.items[name] for node in nodes if name in node.disk.items}
                if len(raws) > 1 and not self._disputed(name):
                    yield f"complete: nodes hold different items called {name}"

    def _disputed(self, name: ItemName) -> bool:
        """Names that their origin gave twice, by malice or because its disk was lost."""
        origin = self._keys[name.origin]
        return origin.malicious or len(self._cluster.journalled[name]) > 1

    def _retained(self) -> Iterator[str]:
        """Best of each cell for ever, everything of the last rounds: nothing of it expired."""
        published: dict[tuple[bytes, int], list[SignedItem]] = defaultdict(list)
        for name, given in self._cluster.journalled.items():
            published[name.origin, name.epoch] += given
        for (origin, epoch), items in published.items():
            node = self._keys[origin]
            if node.malicious or not node.up or epoch in node.lost_epochs:
                continue
            if epoch != node.disk.epoch:
                continue  # left for a new one; its contents were signed anew
            for signed in _must_stay(items, node.config.window_rounds):
                if signed.name not in node.disk.items:
                    yield f"retained: {signed.name} of node {node.number} is gone"

    def _delivered(self) -> Iterator[str]:
        """Every foreign content that is held was handed to the search, once it asked."""
        for node in self._live():
            handed = {signed.item.content_hash for signed in node.handed}
            for signed in node.node.items():
                if signed.item.origin == node.keys.public:
                    continue
                if signed.item.content_hash not in handed:
                    yield f"delivered: node {node.number} never handed out {signed.name}"

    def _once(self) -> Iterator[str]:
        for node in self._cluster.nodes:
            counts = Counter(signed.item.content_hash for signed in node.handed)
            for content, count in counts.items():
                if count > 1:
                    yield f"once: node {node.number} handed {content.hex()[:8]} out {count} times"

    def _authentic(self) -> Iterator[str]:
        """Signed by its origin; of a correct origin only what it published; of this task only."""
        checked: dict[bytes, bool] = {}
        for node in self._cluster.nodes:
            if node.malicious:
                continue
            for signed in [*node.handed, *node.handed_before]:
                origin = self._keys.get(signed.item.origin)
                if signed.raw not in checked:
                    checked[signed.raw] = _signature_holds(signed)
                if origin is None or not checked[signed.raw]:
                    yield f"authentic: node {node.number} took a forged {signed.name}"
                elif not origin.malicious and signed.raw not in origin.stored:
                    yield f"authentic: node {node.number} took {signed.name}, never published"
                if signed.item.task_hash != node.task:
                    yield f"isolated: node {node.number} took {signed.name} of another task"

    def _names_unique(self) -> Iterator[str]:
        """A restart never uses a name again, unless the disk and its high-water mark were lost."""
        for name, signed in self._cluster.journalled.items():
            origin = self._keys[name.origin]
            if len(signed) > 1 and not origin.malicious and name.epoch not in origin.lost_epochs:
                yield f"authentic: {name} was given to {len(signed)} items"


def _must_stay(items: list[SignedItem], window_rounds: int) -> list[SignedItem]:
    best: dict[int, SignedItem] = {}
    for signed in items:
        cell = signed.item.claim.measures[0] % CELLS
        if cell not in best or _rank(signed) < _rank(best[cell]):
            best[cell] = signed
    newest = max(signed.item.round for signed in items)
    recent = [signed for signed in items if signed.item.round > newest - window_rounds]
    return [*best.values(), *recent]


def _rank(signed: SignedItem) -> tuple[int, bytes, int]:
    """Trials are equal in simulations, so points alone rank."""
    return (-signed.item.claim.points, signed.item.content_hash, signed.item.seq)


def _signature_holds(signed: SignedItem) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(signed.item.origin).verify(
            signed.raw[:64], b"deid item 1\x00" + signed.raw[64:]
        )
    except InvalidSignature:
        return False
    return len(signed.raw) <= _ITEM_BYTES_MAX
