"""The tree of a large network: no circle, no echo, another root where one falls silent."""

from __future__ import annotations

from typing import Any

import pytest
from wire.support import Pair, draft, inject, keys, linked, node, sent

from deid.wire.messages import Have, Items, Tree


def ring(size: int, **settings: Any) -> Pair:
    """Nodes in a circle, each of which keeps a partial view."""
    pair = Pair(*(node(number, **settings) for number in range(1, size + 1)))
    for each in pair.nodes:
        each._membership.overlay.sparse = True
        each._membership.overlay._mode_ms = 10**9
    for near in range(size):
        pair.link(near, (near + 1) % size, f"{near}")
    pair.pass_time(12_000)
    return pair


def branches(pair: Pair) -> set[tuple[int, int]]:
    """(node, node) of every link that both ends take for a branch."""
    numbers = {keys(at + 1).public: at for at in range(len(pair.nodes))}
    found = set()
    for at, each in enumerate(pair.nodes):
        tree = each._sharing._spread._branches
        for peer in each._membership.roster.reached():
            if tree.is_branch(peer):
                found.add((at, numbers[peer.key]))
    return {(a, b) for a, b in found if (b, a) in found and a < b}


@pytest.mark.parametrize("size", [3, 6, 9])
def test_a_circle_has_one_branch_less_than_links(size: int) -> None:
    assert len(branches(ring(size))) == size - 1


def test_an_item_travels_once_to_each_node_and_its_name_beside_the_tree() -> None:
    pair = ring(7)
    pair.log.clear()
    items = pair.publish(3, draft(1))
    pair.pass_time(3_000)

    assert all(items[0] in each.items() for each in pair.nodes)
    assert sum(len(sent(pair, at, Items)) for at in range(7)) == 6
    assert sum(len(sent(pair, at, Have)) for at in range(7)) >= 1


def test_another_counts_where_the_root_falls_silent() -> None:
    pair = ring(5)
    roots = {each._sharing._spread._branches._root for each in pair.nodes}
    assert len(roots) == 1
    dead = [keys(at + 1).public for at in range(5)].index(roots.pop())
    pair.deliver = lambda near, far, data: None if dead in (near, far) else data
    pair.pass_time(20_000)
    after = {pair.nodes[at]._sharing._spread._branches._root for at in range(5) if at != dead}

    assert len(after) == 1
    assert keys(dead + 1).public not in after


def test_a_count_is_taken_once() -> None:
    pair = linked(node(1), node(2))
    tree = pair.nodes[1]._sharing._spread._branches
    for _ in range(3):
        inject(pair, 0, Tree(bytes(32), 5, 1, False))
    first = len(sent(pair, 1, Tree))
    inject(pair, 0, Tree(bytes(32), 4, 1, False))

    assert first == 1
    assert (tree._root, tree._count, tree._distance) == (bytes(32), 5, 2)
    assert len(sent(pair, 1, Tree)) == 1
