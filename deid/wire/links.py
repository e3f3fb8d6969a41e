"""Links and their handshakes: who is at the other end, proven by a signature over a challenge.

Both sides ask with an open and answer with a hello, so either may begin, and a lost message is
asked for again. An open with another session means another process behind the same link (a
transport that reconnects by itself): the proof starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.events import Link, LinkRefused
from deid.wire.keys import KeyPair
from deid.wire.messages import (
    MAJOR,
    MINOR,
    NONCE_BYTES,
    SESSION_BYTES,
    Message,
    Open,
    Reason,
    Refuse,
    encode,
)
from deid.wire.notices import Notices
from deid.wire.outbox import Outbox
from deid.wire.peer import Connection

_WORD_BYTES = 8
_REFUSED_MAX = 256  # refused links that are remembered until they are closed
_UNPROVEN_MAX = 32  # links beyond those of members that may wait for their hello


class Links:
    """The table of links. ``session`` names this start of the process."""

    def __init__(
        self,
        config: NodeConfig,
        keys: KeyPair,
        book: Book,
        outbox: Outbox,
        notices: Notices,
        stream: Stream,
    ) -> None:
        self._config = config
        self._keys = keys
        self._book = book
        self._outbox = outbox
        self._notices = notices
        self._stream = stream
        self._connections: dict[Link, Connection] = {}
        self._refused: dict[Link, None] = {}
        self._ordinal = 0
        self.session = self._random(SESSION_BYTES)

    def __len__(self) -> int:
        return len(self._connections)

    def get(self, link: Link) -> Connection | None:
        return self._connections.get(link)

    def up(self, now_ms: int, link: Link, dialled: str | None) -> Connection | None:
        """A new link: ask who is there. None where too many unproven ones wait already."""
        if dialled is None and sum(1 for _ in self.unproven()) >= _UNPROVEN_MAX:
            self._notices.tell(LinkRefused(link, None, "too many links wait for their hello"))
            return None
        self._refused.pop(link, None)
        self._ordinal += 1
        connection = Connection(
            link, dialled, self._ordinal, self._random(NONCE_BYTES), now_ms, now_ms, now_ms
        )
        self._connections[link] = connection
        if dialled is not None:
            self._book.up(dialled)
        self.open(now_ms, connection)
        return connection

    def down(self, now_ms: int, connection: Connection, *, refused: bool = False) -> None:
        """Take a link off the table; what is queued for it still goes out."""
        self._connections.pop(connection.link, None)
        if refused:
            self._refused[connection.link] = None
            if len(self._refused) > _REFUSED_MAX:
                del self._refused[next(iter(self._refused))]
        if connection.dialled is not None:
            (self._book.refused if refused else self._book.down)(now_ms, connection.dialled)

    def refused(self, link: Link) -> bool:
        """Whether ``link`` was refused, here or there, and the transport did not close it yet:
        answers to what still comes would be refused in turn, for ever."""
        return link in self._refused

    def closed(self, link: Link) -> None:
        """The transport closed ``link``: its name may be used again."""
        self._refused.pop(link, None)

    def open(self, now_ms: int, connection: Connection) -> None:
        """Ask who is there."""
        connection.opened_ms = now_ms
        mine = Open(MAJOR, MINOR, self.session, self._keys.public, connection.nonce)
        self.post(connection, mine)

    def post(self, connection: Connection, message: Message) -> None:
        """Queue a control message on this very link."""
        self._outbox.put(connection.link, encode(message))

    def tell_refusal(self, connection: Connection, reason: Reason, detail: str) -> None:
        """Tell the other side and the rim why the link ends."""
        self.post(connection, Refuse(reason, detail))
        told = LinkRefused(connection.link, connection.dialled, f"{reason.label()}: {detail}")
        self._notices.tell(told)

    def unproven(self) -> Iterator[Connection]:
        return (each for each in self._connections.values() if each.peer is None)

    def overdue(self, now_ms: int) -> list[Connection]:
        """Unproven links whose time is up; the others are asked again when it is time."""
        found = []
        for connection in list(self.unproven()):
            if now_ms - connection.up_ms >= self._config.hello_max_ms:
                found.append(connection)
            elif now_ms - connection.opened_ms >= self._config.hello_retry_ms:
                self.open(now_ms, connection)
        return found

    def next_due_ms(self) -> int | None:
        return min(
            (
                min(
                    each.opened_ms + self._config.hello_retry_ms,
                    each.up_ms + self._config.hello_max_ms,
                )
                for each in self.unproven()
            ),
            default=None,
        )

    def _random(self, count: int) -> bytes:
        words = -(-count // _WORD_BYTES)
        drawn = (self._stream.word().to_bytes(_WORD_BYTES, "big") for _ in range(words))
        return b"".join(drawn)[:count]
