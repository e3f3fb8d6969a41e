"""Four daemons by hand: one is killed and comes back, one joins late, and all agree."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from e2e.swarm import MakeNode, Node, in_step, is_done, until

from deid.cli.fleet import free_ports

pytestmark = pytest.mark.e2e

OPERATORS = (
    'operator = "markov"\n[operator]\ncorpus = "bombers"',
    'operator = "markov"\n[operator]\ncorpus = "papers"',
    'operator = "markov"\n[operator]\ncorpus = "scanners"',
    'operator = "edit"',
)


def in_the_middle_of_round(node: Node, number: int) -> bool:
    status = node.status()
    return status is not None and (
        status.round > number or (status.round == number and 0 < status.calls_done < status.calls)
    )


def test_four_daemons_agree_though_one_is_killed_and_one_joins_two_rounds_late(
    base: Path, node: MakeNode
) -> None:
    ports = free_ports(4)
    names = ("alpha", "bravo", "charlie", "delta")
    nodes = [
        node(name, port=port, seeds=[p for p in ports if p != port], operator=operator, rounds=6)
        for name, port, operator in zip(names, ports, OPERATORS, strict=True)
    ]
    alpha, bravo, charlie, delta = nodes

    for each in (alpha, bravo, charlie):
        each.start()
    until(lambda: in_the_middle_of_round(bravo, 1), "bravo is in its second round")
    bravo.kill()
    killed_at = bravo.head()
    bravo.start()
    until(lambda: (s := alpha.status()) is not None and s.round >= 2, "alpha has done two rounds")
    delta.start()
    until(lambda: in_step(nodes), "all are done and hold the same number of items")

    archives = [each.deictl("archive", "--merged", "--json") for each in nodes]
    champions = [each.deictl("champions", "--json") for each in nodes]
    stops = [each.deictl("stop") for each in nodes]
    codes = [each.wait() for each in nodes]

    assert [each.returncode for each in (*archives, *champions, *stops)] == [0] * 12
    assert codes == [0] * 4
    assert len({each.stdout for each in archives}) == 1
    view = json.loads(archives[0].stdout)
    held = [each.item_names() for each in nodes]
    assert held[0] == held[1] == held[2] == held[3]
    assert len(held[0]) == view["items"] > 4
    assert {row["node"] for row in view["rows"]} <= set(names)
    assert len({row["node"] for row in view["rows"]}) > 1
    with bravo.journal() as journal:
        assert next(journal.rows(killed_at.seq - 1)).chain == killed_at.chain
        assert journal.verify().holds
    for each in nodes:
        handed = each.handed()
        assert len(handed) == len(set(handed)) > 0, each.name
        assert set(handed) <= held[0]


def test_a_stopped_peer_does_not_keep_another_from_finishing(node: MakeNode) -> None:
    one, other = free_ports(2)
    alpha = node("alpha", port=one, seeds=[other], rounds=5)
    bravo = node("bravo", port=other, seeds=[one], rounds=0)
    alpha.start()
    bravo.start()
    until(lambda: (s := alpha.status()) is not None and s.peers_alive == 1, "they have met")

    bravo.send(signal.SIGSTOP)
    stood_at = bravo.head()
    until(lambda: is_done(alpha), "alpha is done")

    assert bravo.head() == stood_at


def test_a_daemon_that_waits_for_nobody_ends_when_asked_to(node: MakeNode) -> None:
    alpha = node("alpha", rounds=1)
    alpha.start()
    until(lambda: is_done(alpha), "alpha is done")

    paused, stopped = alpha.deictl("pause"), alpha.deictl("stop")

    assert (paused.returncode, stopped.returncode, alpha.wait()) == (0, 0, 0)
    assert alpha.deictl("status").returncode == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_daemon_in_order(number: signal.Signals, node: MakeNode) -> None:
    alpha = node("alpha", rounds=0)
    alpha.start()
    until(lambda: alpha.status() is not None, "alpha answers")

    alpha.send(number)

    assert alpha.wait() == 0
    assert not (alpha.state_dir / "control.json").exists()
