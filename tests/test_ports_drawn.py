"""The promise: a table of ports shows who has the port, however narrow the window is, and says what had no room."""

from __future__ import annotations

import ast
import html
import os
import socket
import sys

import pytest
import socklens as sl
from kernel import kernel
from socklens.display.escape import cells
from socklens.display.ports import as_text, drawing
from socklens.display.tables import Drawing, Group, text
from terminal import Terminal, needs_terminal


def _of_another_program(table: sl.PortTable) -> sl.PortTable:
    """The same rows as another program sees them."""
    return sl.PortTable([sl.PortRow(row._all()._replace(owner=None)) for row in table], table.source)


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_a_narrow_window_shows_who_has_the_port(width: int) -> None:
    with sl.listen() as listener, sl.connect(listener.local_addr) as b, listener.accept(timeout=10) as a_for_b:
        table = sl.ports(listener.local_addr.port, mine=True)
        assert {row.local for row in table} == {listener.local_addr, b.local_addr, a_for_b.local_addr}
        for seen in (table, _of_another_program(table)):
            lines = as_text(seen, width=width).splitlines()
            assert max(map(cells, lines)) <= width
            assert sum(f"({os.getpid()})" in line for line in lines) == 3
        if width >= 80:
            assert all(
                any(name in line for line in as_text(table, width=width).splitlines()) for name in ("`b`", "`a_for_b`")
            )
        if width >= 100:
            others = as_text(_of_another_program(table), width=width).splitlines()[0]
            assert {"peer", "state", "role", "program"} <= set(others.split())


def test_a_column_that_has_no_room_is_named() -> None:
    rows = (("127.0.0.1:80", "x" * 30, "python (7)"), ("127.0.0.1:81", "y", "cat (8)"))
    table = Drawing(("local", "note", "program"), (Group(rows),), gives=(1,))
    assert "no room" not in text(table)
    assert text(table, 80) == text(table)
    assert text(table, 30).splitlines() == [
        "local         program",
        "127.0.0.1:80  python (7)",
        "127.0.0.1:81  cat (8)",
        "no room for: note",
    ]


def test_a_long_owner_is_cut_before_a_column_goes() -> None:
    rows = (("127.0.0.1:80", "python (7)", "`clients[17]`, chat_room.py, line 190"),)
    table = Drawing(("local", "program", "in this program"), (Group(rows),), gives=(1,), shortens=2)
    assert text(table, 50).splitlines()[1] == "127.0.0.1:80  python (7)  `clients[17]`, chat_roo…"


def test_a_page_breaks_words_not_the_program() -> None:
    with sl.listen() as listener:
        table = sl.ports(listener.local_addr.port)
        head = drawing(table).head
        assert head.index("program") < head.index("in this program") < head.index("role")
        html = table._repr_html_()
        assert f"<td>{table[0].program} ({os.getpid()})</td>" in html
        assert '<td class="socklens-soft">`listener`' in html


def test_a_notebooks_own_sockets_are_said_to_be_its() -> None:
    with kernel() as notebook:
        notebook.do("import socklens as sl, socket\nlistener = sl.listen(port=0)\nb = sl.connect(listener.local_addr)")
        notebook.do("plain = socket.create_server(('127.0.0.1', 0))\ntable = sl.ports(mine=True)")
        shown = notebook.do("display(table)").shown[0]
        told = ast.literal_eval(
            notebook.do("[(row.of_jupyter, row.owner.variable if row.owner else None) for row in table]").result
        )
    assert sorted(name for _, name in told if name) == ["b", "listener", "listener", "plain"]
    assert {of_jupyter for of_jupyter, name in told if name} == {False}
    assert {of_jupyter for of_jupyter, name in told if not name} == {True}, "nothing is left unexplained"
    for drawn in shown["text/plain"], html.unescape(shown["text/html"]):
        assert drawn.count("Jupyter's kernel") == len(told) - 4 + 1
        assert "derived from its connection file" in drawn


def test_without_a_notebook_nothing_is_its() -> None:
    with sl.listen() as listener, socket.create_server(("127.0.0.1", 0)):
        table = sl.ports(mine=True)
        assert not any(row.of_jupyter for row in table)
        assert "Jupyter" not in repr(sl.ports(listener.local_addr.port))


@needs_terminal
def test_what_was_watched_stays_on_the_screen() -> None:
    with sl.listen() as listener:
        port = str(listener.local_addr.port)
        with Terminal(sys.executable, "-m", "socklens", "ports", "--watch", port) as terminal:
            terminal.wait_for(r"Ctrl-C ends it")
            terminal.wait_for(rf"\({os.getpid()}\)")
            terminal.interrupt()
            assert terminal.ended() == 130
            after = terminal.shown.rpartition("\x1b[?1049l")[2]
        assert f"({os.getpid()})" in after
        assert "1 LISTEN" in after  # a client of an earlier test may rest in TIME_WAIT beside it
