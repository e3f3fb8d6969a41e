"""What people see: the grid of an archive, tables, and nothing that a peer could inject."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from control.fake import AXES, EVERY_REPLY, METRICS, archive, cell, peers, show, status

from deid.cli.render import draw, make_console, safe
from deid.control.views import ArchiveView, AxisView, Peers, Reply, Scope


def drawn(reply: Reply, width: int = 100) -> str:
    console = make_console(io.StringIO())
    console.print(draw(reply, width))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("kind", EVERY_REPLY)
def test_every_reply_is_drawn_without_colour_where_there_is_no_terminal(kind: str) -> None:
    text = drawn(EVERY_REPLY[kind]())

    assert text.strip()
    assert "\x1b" not in text


def test_the_grid_has_a_line_a_bin_the_highest_on_top_and_labels_with_edges() -> None:
    lines = drawn(archive()).splitlines()

    heads = [line.partition("│")[0].strip() for line in lines if "│" in line]
    assert heads == ["≥64", "1–64", "<1"]
    (labels,) = [line for line in lines if "<100" in line]
    assert labels.split() == ["<100", "100–1k", "1k–5k", "≥5k"]
    assert any("spawned (processes)" in line for line in lines)
    assert any("covered (cells)" in line for line in lines)


def test_an_elite_stands_in_the_column_and_line_of_its_bins() -> None:
    lines = {
        line.partition("│")[0].strip(): line.partition("│")[2]
        for line in drawn(archive()).splitlines()
        if "│" in line
    }

    cells = {
        head: [line[i : i + 7].strip() for i in range(0, 28, 7)] for head, line in lines.items()
    }
    assert cells["≥64"] == ["·", "·", "·", "█ 2.00"]
    assert cells["1–64"] == ["·"] * 4
    assert cells["<1"] == ["·", "▓ 1.25", "·", "·"]


def test_the_merged_grid_names_each_cell_s_source_in_a_legend() -> None:
    text = drawn(archive(Scope.MERGED))

    assert "a 1.25" in text and "b 2.00" in text
    assert "a  alpha: 1 cells, best 1.250" in text
    assert "b  beta: 1 cells, best 2.000" in text
    assert "merged archive" in text and "from 9 items" in text


def test_cells_shrink_on_a_narrow_terminal() -> None:
    wide = max(map(len, [li for li in drawn(archive(), 100).splitlines() if "│" in li]))
    narrow = max(map(len, [li for li in drawn(archive(), 24).splitlines() if "│" in li]))

    assert (wide, narrow) == (6 + 1 + 4 * 7, 6 + 1 + 4 * 3)


def test_one_axis_is_one_line_and_a_third_axis_gives_pictures_of_its_own() -> None:
    one = replace(
        archive(rows=()), axes=AXES[:1], rows=(replace(cell((0, 1), 1.0, "a"), bins=(2,)),)
    )
    three = replace(archive(rows=()), axes=(AxisView("size", "", (5,)), *AXES))

    assert sum("│" in line for line in drawn(one).splitlines()) == 1
    text = drawn(three)
    assert "size <5" in text and "size ≥5" in text
    assert sum("│" in line for line in text.splitlines()) == 6


def test_an_empty_archive_is_a_grid_of_dots() -> None:
    empty = replace(archive(rows=()), metrics=replace(METRICS, occupied=0, best=0.0))

    assert drawn(empty).count("·") == 12


def test_what_peers_sent_is_neither_markup_nor_control_codes() -> None:
    evil = "[red]x[/red]\x1b[2J\x07"
    named = Peers("alpha", (replace(peers().peers[0], name=evil, address=evil),))
    sourced = replace(show(), source=f"mov 0, 1 ; {evil}\n")
    celled: ArchiveView = archive(Scope.MERGED, (cell((0, 1), 1.0, "[bold]n[/bold]"),))

    for reply in (named, sourced):
        text = drawn(reply)
        assert "[red]x[/red]\\x1b[2J\\x07" in text
        assert "\x1b" not in text and "\x07" not in text
    assert "[bold]n[/bold]: 1 cells" in drawn(celled)


def test_safe_keeps_lines_and_printable_text() -> None:
    assert safe("añb\n\tc") == "añb\n\tc"
    assert safe("\r\x7f") == "\\r\\x7f"


def test_status_says_what_is_missing_and_what_is_spent() -> None:
    text = drawn(status())

    assert "no seed answers" in text
    assert "1 h 2 min" in text
    assert "usd_max: 0.2500 of 1.00 USD" in text
    assert "2 of 12 cells (16.7%)" in text
