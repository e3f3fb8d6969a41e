"""The partial view: whom a node links to, whom it turns away, what its passive view lets in."""

from __future__ import annotations

import pytest
from wire.support import Pair, keys, node

from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.directory import Directory, prefix_of
from deid.wire.keys import KeyPair, verify_signature
from deid.wire.record import PeerRecord, SignedRecord, sign_record

SMALL = {"peers_max": 4, "active_min": 2, "active_max": 3, "links_max": 4, "dialled_min": 1}


def crowd(size: int) -> Pair:
    """``size`` nodes of which the first four have a mesh, and know of all the others."""
    pair = Pair(*(node(number, **SMALL) for number in range(1, size + 1)))
    for far in range(1, size):
        pair.link(far, 0, f"{far}")
    pair.pass_time(4_000)
    return pair


def record(number: int, address: str, incarnation: int = 0) -> SignedRecord:
    said = PeerRecord(keys(number).public, incarnation, 1, f"n{number}", address, b"t" * 32, 0)
    return sign_record(said, keys(number))


def directory(**settings: int) -> tuple[Directory, Book]:
    config = NodeConfig("n", address="tcp://me", **settings)  # type: ignore[arg-type]
    book = Book(config, Stream(1, "n", "book"))
    pair: KeyPair = keys(99)
    return (
        Directory(config, pair, b"t" * 32, book, verify_signature, epoch=1, incarnation=0),
        book,
    )


def test_with_more_known_than_a_mesh_can_have_a_node_keeps_few_links() -> None:
    pair = crowd(9)
    overlay = pair.nodes[0]._membership.overlay
    links = len(pair.nodes[0]._membership.roster.linked())

    assert overlay.sparse
    assert links <= 4


def test_who_is_turned_away_learns_whom_to_ask_instead() -> None:
    pair = crowd(9)

    assert len(pair.nodes[8].addresses()) >= 3


def test_who_has_enough_links_is_refused_where_who_has_none_is_taken() -> None:
    here = node(1, **SMALL)
    overlay = here._membership.overlay
    overlay.sparse = True
    pair = Pair(here, node(2), node(3), node(4))
    for far in range(1, 4):
        pair.link(far, 0, f"{far}")
    answers = overlay.refusal(5, dialled=False), overlay.refusal(0, dialled=False)

    assert len(here._membership.roster.linked()) == 3
    assert answers[0] is not None
    assert answers[1] is None


def test_callers_leave_room_for_links_of_ones_own_choice() -> None:
    here = node(1, peers_max=6, active_min=3, active_max=6, links_max=6, dialled_min=2)
    members = here._membership
    members.overlay.sparse = True
    pair = Pair(here, *(node(number) for number in range(2, 6)))
    for far in range(1, 5):
        pair.link(far, 0, f"{far}")

    assert len(members.roster.linked()) == 4
    assert "callers" in (members.overlay.refusal(9, dialled=False) or "")
    assert members.overlay.refusal(9, dialled=True) is None


def test_one_source_displaces_only_what_it_told_itself() -> None:
    table, book = directory(per_source_max=3, addresses_max=8)
    friend, liar = keys(50).public, keys(51).public
    for number in (1, 2):
        table.take(0, record(number, f"tcp://friend{number}"), (), friend)
    for number in range(10, 30):
        table.take(0, record(number, f"tcp://lie{number}"), (), liar)

    assert len(table) == 5
    assert {"tcp://friend1", "tcp://friend2"} <= set(book.addresses())
    assert len(book.addresses()) == 5


def test_many_sources_together_displace_only_the_largest_of_them() -> None:
    table, _ = directory(per_source_max=4, addresses_max=6)
    table.take(0, record(1, "tcp://friend"), (), keys(50).public)
    for number in range(10, 30):
        table.take(0, record(number, f"tcp://lie{number}"), (), keys(60 + number % 2).public)

    assert table.get(keys(1).public) is not None
    assert len(table) == 6


def test_one_network_has_a_bounded_share() -> None:
    table, book = directory(per_prefix_max=3)
    for number in range(10):
        table.take(0, record(number, f"tcp://203.0.113.{number}:7"), (), keys(60 + number).public)
    table.take(0, record(20, "tcp://198.51.100.1:7"), (), keys(50).public)

    assert sum(address.startswith("tcp://203.0") for address in book.addresses()) == 3
    assert "tcp://198.51.100.1:7" in book.addresses()


def test_what_one_peer_tells_does_not_make_a_small_network_look_large() -> None:
    table, _ = directory()
    for number in range(10, 50):
        table.take(0, record(number, f"tcp://lie{number}"), (), keys(9).public)

    assert len(table) == 40
    assert table.others(()) == 16


def test_a_changed_address_takes_the_place_of_the_old_one() -> None:
    table, book = directory()
    table.take(0, record(1, "tcp://old"), (), keys(50).public)
    table.take(0, record(1, "tcp://new", incarnation=1), (), keys(50).public)

    assert book.addresses() == ("tcp://new",)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("tcp://203.0.113.9:7", "203.0"),
        ("tcp://[2001:db8:1::1]:7", "2001:db8"),
        ("tcp://a.peers.example.org:7", "example.org"),
        ("tcp://localhost:7", ""),
        ("tcp://127.0.0.1:7", ""),
        ("", ""),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert prefix_of(address) == network
