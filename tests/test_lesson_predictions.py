"""What the predictions of the first five notebooks see is what is there: each answer, where sockets of that kind can be had."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
import socklens as sl
from helpers import eventually
from socklens.lessons import Prediction, chat_room, first_session, flow_control, ports_in_use, three_servers


def sees(prediction: Prediction, *made: object) -> str:
    """The letter of what it sees, told by who is right to have predicted it."""
    letters = [letter for letter in "abc" if prediction.predict(letter).chosen == letter]
    right = [letter for letter in letters if prediction.predict(letter) and prediction.compare(*made)]
    prediction.predict(...)
    assert len(right) == 1, prediction.compare(*made)
    return right[0]


@pytest.fixture
def ends() -> Iterator[tuple[sl.Connection, sl.Connection]]:
    with sl.listen(recv_buffer=16384) as listener, sl.connect(listener.local_addr, send_buffer=16384) as writer:
        writer.nodelay = True
        with listener.accept(timeout=5) as reader:
            yield writer, reader


# ── 1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_which_port(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as b, listener.accept(timeout=5) as a_for_b:
        assert sees(first_session.which_port, listener, a_for_b) == "a"
        assert sees(first_session.which_port, listener, b) == "b"


def test_where_is_hello(ends: tuple[sl.Connection, sl.Connection]) -> None:
    b, a_for_b = ends
    assert sees(first_session.where_is_hello, b, a_for_b) == "c"  # nothing has been sent
    b.send(b"hello")
    eventually(lambda: len(a_for_b.input_buffer) == 5)
    assert sees(first_session.where_is_hello, b, a_for_b) == "b"
    assert bytes(a_for_b.input_buffer) == b"hello"  # looked at, and still there


@pytest.mark.parametrize(("received", "letter"), [(b"", "b"), (b"more", "a"), (ConnectionResetError(), "c")])
def test_at_the_end(received: object, letter: str) -> None:
    assert sees(first_session.at_the_end, received) == letter


# ── 2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_server_ports() -> None:
    with sl.Server(sl.Chat()) as server:
        empty = chat_room.server_ports.compare(server)
        assert empty.right is None
        assert "fewer than two clients" in repr(empty)
        with sl.connect(server.local_addr), sl.connect(server.local_addr):
            eventually(lambda: len(server.clients) == 2)
            assert sees(chat_room.server_ports, server) == "a"


def test_where_is_the_talk(ends: tuple[sl.Connection, sl.Connection]) -> None:
    writer, reader = ends
    assert sees(chat_room.where_is_the_talk, writer, reader) == "c"
    writer.sendall(b"a little")
    flow_control.settle(writer, reader)
    assert sees(chat_room.where_is_the_talk, writer, reader) == "a"
    fill(writer)
    assert sees(chat_room.where_is_the_talk, writer, reader) == "b"


def test_whom_it_hits() -> None:
    with sl.Server(lambda conn: conn.recv_line()) as server:
        assert sees(chat_room.whom_it_hits, server) == "a"
        sl.connect(server.local_addr).abort()
        eventually(lambda: server.errors)
        assert sees(chat_room.whom_it_hits, server) == "b"
    assert sees(chat_room.whom_it_hits, server) == "c"


# ── 3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("mode", "last", "worst"), [("one", "c", "b"), ("threads", "a", "a")])
def test_how_long_the_last_one_takes(mode: str, last: str, worst: str) -> None:
    lanes = three_servers.Lanes()

    @lanes.handler
    def serve(conn: sl.Connection) -> None:
        conn.recv_line()
        with lanes.serving(conn):
            time.sleep(0.2)
            conn.sendall(b"ready\n")

    def customer(name: str, address: sl.Address) -> None:
        with lanes.client(name, address) as conn:
            conn.sendall(b"coffee\n")
            conn.recv_line()

    with sl.Server(serve, mode=mode) as server:  # type: ignore[arg-type]
        three_servers.come(customer, "BCDE", server.local_addr)
    assert sees(three_servers.last_of_four, lanes) == last
    assert sees(three_servers.forgot, lanes) == worst
    if mode == "one":
        assert sees(three_servers.fourth, lanes) == "a"


# ── 4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_new_sockets_and_ports_of_three(listener: sl.Listener) -> None:
    before = sl.ports(mine=True)
    with sl.connect(listener.local_addr) as b:
        assert sees(ports_in_use.new_sockets, sl.ports(mine=True).diff(before)) == "c"
        assert sees(ports_in_use.new_sockets, before.diff(before)) == "a"
        with listener.accept(timeout=5) as a_for_b:
            assert sees(ports_in_use.ports_of_three, listener, [a_for_b]) == "a"
            assert sees(ports_in_use.ports_of_three, listener, [a_for_b, b]) == "c"


def test_who_rests() -> None:
    for server_first in (True, False):
        server, client = sl.pair()
        ends = (server.local_addr, client.local_addr)
        assert sees(ports_in_use.who_rests, *ends) == "a"
        for conn in (server, client) if server_first else (client, server):
            conn.close()
        eventually(lambda ends=ends: any(row.state == sl.TcpState.TIME_WAIT for row in sl.ports(ends[0].port)))  # type: ignore[misc]
        assert sees(ports_in_use.who_rests, *ends) == ("b" if server_first else "c")


# ── 5 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(writer: sl.Connection) -> None:
    """Nobody reads, until not a byte more goes in."""
    with contextlib.suppress(BlockingIOError):
        while True:
            writer.send(bytes(65536), timeout=0)


def test_buffers_and_the_window(ends: tuple[sl.Connection, sl.Connection]) -> None:
    writer, reader = ends
    assert sees(flow_control.both_full, writer) == "a"  # there is room
    writer.send(bytes(1024))
    flow_control.settle(writer, reader)
    assert sees(flow_control.unread, writer, reader) == "b"
    assert sees(flow_control.after_4_kib, reader) == "a"  # nothing is full: the window is open
    fill(writer)
    flow_control.settle(writer, reader)
    assert sees(flow_control.both_full, writer) == "b"
    reader.recv(4096)
    assert sees(flow_control.after_4_kib, reader) == "b"
    writer.close()
    assert sees(flow_control.both_full, writer) == "c"
