"""The promise: a server and its roster print as what they are, in text and in HTML, and no name that a client chose steers the screen."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from refusals import refused
from serving import ask, client_of, echo_lines, serving
from socklens._ports import PortTable
from socklens.display.ports import drawing
from socklens.display.roster import (
    ClientView,
    RosterView,
    ServerView,
    roster_html,
    roster_text,
    roster_view,
    server_html,
    server_line,
)

ANA = ClientView(1, "ana", "127.0.0.1:50320", "12:00:03", "ESTABLISHED", 6, 1234567, 99)
NOBODY = ClientView(12, None, "[::1]:1", "12:00:04", "closed", 0, 0, None)
EVIL = ClientView(3, "<b>\x1b[31m&\u202e", "127.0.0.1:1", "12:00:05", "ESTABLISHED", 0, 0)


def view(**changes: object) -> ServerView:
    fields: dict[str, object] = {
        "handler": "serve",
        "mode": "threads",
        "address": "127.0.0.1:6666",
        "started": True,
        "running": True,
        "accepted": 1,
        "refused": 0,
        "dropped": 0,
        "errors": 0,
        "roster": RosterView((ANA,), 1),
    }
    return ServerView(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_roster_as_text() -> None:
    assert roster_text(RosterView((ANA, NOBODY), 1002)).splitlines() == [
        " #  name  address          since     state        taken         sent  unacked",
        " 1  ana   127.0.0.1:50320  12:00:03  ESTABLISHED    6 B  1,234,567 B     99 B",
        "12        [::1]:1          12:00:04  closed         0 B          0 B",
        "and 1,000 more",
    ]
    assert roster_text(RosterView((), 0)) == "<Roster: no clients>"


def test_names_are_escaped() -> None:
    text = roster_text(RosterView((EVIL,), 1))
    assert r"<b>\x1b[31m&\u202e" in text
    assert "\x1b" not in text
    html = roster_html(RosterView((EVIL,), 1))
    assert r"&lt;b&gt;\x1b[31m&amp;\u202e" in html
    assert "<b>" not in html
    assert "<b>" not in server_html(view(handler="<b>"))
    long = ClientView(1, "x" * 1000, "127.0.0.1:1", "12:00:05", "ESTABLISHED", 0, 0)
    assert max(map(len, roster_text(RosterView((long,), 1)).splitlines())) < 100


def test_a_server_as_a_line() -> None:
    assert server_line(view()) == "<Server serve on 127.0.0.1:6666, mode threads, 1 client>"
    assert (
        server_line(view(running=False, accepted=1234, refused=5, errors=1))
        == "<Server serve on 127.0.0.1:6666, mode threads, stopped after 1,234 clients, 5 refused, 1 error, see .errors>"
    )
    assert server_line(view(dropped=2, errors=3)).endswith(
        ", 1 client, 2 dropped, see .dropped, 3 errors, see .errors>"
    )
    assert server_line(view(started=False, running=False)).endswith("not started>")
    assert "<table>" in server_html(view())
    assert "<table>" not in server_html(view(roster=RosterView((), 0)))


@pytest.mark.parametrize("handler", [echo_lines, sl.LineEcho()])
def test_real_ones(handler: Any) -> None:
    server = sl.Server(handler)
    assert " on a free port of 127.0.0.1, " in repr(server)
    assert repr(server).endswith("not started>")
    assert " on 127.0.0.1:6666, " in repr(sl.Server(handler, "127.0.0.1", 6666))
    with server, client_of(server) as conn:
        ask(conn, b"12345\n")
        (client,) = server.clients
        client.name = "ana"
        assert repr(client) == f"<Client 1 'ana' {conn.local_addr}, ESTABLISHED>"
        assert repr(server).endswith(", 1 client>")
        head, row = repr(server.clients).splitlines()
        assert head.split() == ["#", "name", "address", "since", "state", "taken", "sent", "unacked"]
        assert row.split()[:3] == ["1", "ana", str(conn.local_addr)]
        assert row.split()[4:9] == ["ESTABLISHED", "6", "B", "6", "B"]
        assert "<td>ana</td>" in server.clients._repr_html_()
        assert "<td>ana</td>" in server._repr_html_()
        roster = server.clients
    assert "closed" in repr(roster), "what is gone is shown as gone"
    assert repr(server).endswith("stopped after 1 client>")


def test_a_roster_of_many_looks_at_the_first() -> None:
    with serving(echo_lines) as server:
        clients = [sl.connect(server.local_addr) for _ in range(25)]
        eventually(lambda: len(server.clients) == 25)
        assert repr(server.clients).splitlines()[-1] == "and 5 more"
        assert len(repr(server.clients).splitlines()) == 22
        for client in clients:
            client.close()


def test_lazy_names_are_there_like_all_others() -> None:
    assert {"Client", "Dropped", "Roster", "Server", "ServerError"} <= set(dir(sl))
    refused(AttributeError, ["socklens", "'Sevrer'"], lambda: sl.Sevrer)


def test_tables_have_one_word_for_one_count() -> None:
    with serving(sl.LineEcho()) as server, client_of(server) as conn:
        ask(conn, b"12345\n")
        watched = re.findall(r"<th>([^<]*)</th>", sl.watch(server)._repr_html_())
        listed = re.findall(r"<th[^>]*>([^<]*)</th>", server._repr_html_())
    assert watched == ["peer", "state", "to read", "unacked", "taken", "sent"]
    assert listed == ["#", "name", "address", "since", "state", "taken", "sent", "unacked"]
    assert {"to read", "unacked"} <= set(drawing(PortTable()).head)


def test_what_a_line_was_read_with_is_not_taken_yet() -> None:
    got, more = threading.Event(), threading.Event()

    def handler(conn: sl.Connection) -> None:
        conn.recv_line()
        got.set()
        more.wait(20)

    with sl.Server(handler) as server, client_of(server) as client:
        client.sendall(b"one\ntwo")
        assert got.wait(20)
        (row,) = roster_view(server.clients).first
        (lens,) = [line for line in str(sl.lens(client)).splitlines() if "taken by" in line]
        more.set()
    assert row.taken == 4
    assert " 4 B" in lens
