"""The promise: the lens accounts for every byte of both directions, says by which send it came, and never invents a reason."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
import socklens as sl
from flow import SMALL, arrived, ends, settle, stream, stuff
from helpers import eventually
from hypothesis import given
from hypothesis import strategies as st
from network import need_ipv6
from socklens import Address
from socklens.display.ends import EndView, PairView, SendsView, pair_view
from socklens.display.escape import cells
from socklens.display.flow import Flow, Place, Stage, check, flow, flows
from socklens.display.glyphs import ASCII, UNICODE
from socklens.display.lens import lens_text
from socklens.display.lens_html import lens_html
from socklens.display.views import ConnectionView, InputView, OutputView

A, B = Address("127.0.0.101", 6666), Address("127.0.0.110", 50320)
EVIL = b"<script>alert(1)</script>\x1b[31m\"'&"


class InThread(Protocol):
    def __call__(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]: ...


def stage(of: Flow, place: Place) -> Stage:
    return next(stage for stage in of.stages if stage.place is place)


def by_send(of: Flow, place: Place) -> list[tuple[int | None, bytes]]:
    return [(piece.send, piece.first) for piece in stage(of, place).pieces]


def view(
    sent: int = 12, taken: int = 0, rust: int = 0, kernel: int = 12, unacknowledged: int = 0, unsent: int = 0
) -> PairView:
    """b sends to a, in sends of 5 bytes."""
    text = EVIL * 8
    sending = ConnectionView(
        B,
        A,
        "ESTABLISHED",
        input=InputView(0, 0, 32768, b""),
        output=OutputView(
            unacknowledged, unsent, unacknowledged + unsent, 32768, text[sent - unacknowledged - unsent : sent]
        ),
        sent=sent,
        received=0,
        name="b",
    )
    reading = ConnectionView(
        A,
        B,
        "ESTABLISHED",
        input=InputView(rust, kernel, 32768, text[taken : taken + rust + kernel]),
        output=OutputView(0, 0, 0, 32768, b""),
        sent=0,
        received=taken + rust,
        name="a",
    )
    marks = tuple(range(5, sent + 1, 5))
    return PairView(
        EndView(sending, taken=0, sends=SendsView(sent, len(marks), marks)),
        EndView(reading, taken=taken, sends=SendsView(0, 0, ())),
    )


def test_bytes_are_shown_where_they_are_and_by_their_send(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    client.send(b"hello ")
    client.send(b"world\n")
    eventually(lambda: len(server.input_buffer) == 12)
    settle(client, server)
    there, back = sl.lens(client, server).flows
    assert by_send(there, Place.QUEUE) == [(1, b"hello "), (2, b"world\n")]
    assert back.silent
    server.recv(3)
    there = sl.lens(client, server).flows[0]
    assert by_send(there, Place.QUEUE) == [(1, b"lo "), (2, b"world\n")]
    assert [piece.whole for piece in stage(there, Place.QUEUE).pieces] == [False, True]
    assert stage(there, Place.TAKEN).count == 3
    server.recv_until(b"w")
    there = sl.lens(client, server).flows[0]
    assert by_send(there, Place.MEMORY) == [(2, b"orld\n")]
    assert (there.law.holds, there.sends) == (True, 2)


def test_a_stopped_reader_and_its_full_queues_add_up() -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        sent = stuff(client, server)
        seen = sl.lens(client, server)
        there = seen.flows[0]
        assert seen.holds is True
        assert there.law.sent == sent
        assert stage(there, Place.QUEUE).count == arrived(server)  # TCP_INFO counts for itself
        assert (stage(there, Place.UNSENT).count or 0) > 0
        assert there.sends is not None
        newest = stage(there, Place.UNSENT).pieces[-1]
        assert newest.send == there.sends
        assert newest.first == stream(newest.start, len(newest.first))


def test_bytes_in_both_queues_are_said_to_be_so_and_count_once() -> None:
    seen = view(sent=12, kernel=12, unacknowledged=12)
    there = flows(seen)[0]
    assert (there.law.holds, there.law.both) == (True, 12)
    assert stage(there, Place.IN_BOTH).count == 12
    assert stage(there, Place.ON_THE_WAY).count == 0
    assert "delayed ACK" in lens_text(seen)


def test_a_sendall_that_waits_is_one_send(in_thread: InThread) -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        client.send(b"first")
        waiting = in_thread(client.sendall, bytes(400_000))
        eventually(lambda: (client.output_buffer.unsent or 0) > 0)
        there = eventually(lambda: _steady(client, server))
        assert there is not None
        assert {piece.send for piece in stage(there, Place.QUEUE).pieces} == {1, 2}
        assert there.law.holds
        server.recv_exactly(400_005)
        waiting.result(5)
        assert client._sends == (400_005, 2, [5, 400_005])


def _steady(client: sl.Connection, server: sl.Connection) -> Flow | None:
    seen = pair_view(client, server)
    return flows(seen)[0] if seen.steady else None


def test_only_the_last_sends_are_remembered(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    for _ in range(100):
        client.send(b"ab")
    eventually(lambda: len(server.input_buffer) == 200)
    pieces = stage(sl.lens(client, server).flows[0], Place.QUEUE).pieces
    assert [piece.send for piece in pieces] == [None, *range(38, 101)]
    assert (pieces[0].stop, pieces[1].size) == (74, 2)


def test_the_other_end_is_found_in_this_program(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as client:
        with listener.accept(timeout=5):
            pass
        with pytest.raises(ValueError, match="another program's, or closed"):
            sl.lens(client)
        hidden = {"ends": [listener]}
        with sl.connect(listener.local_addr) as other, hidden["ends"][0].accept(timeout=5) as accepted:
            assert sl.lens(other).view.b.conn.local == accepted.local_addr
            assert sl.lens(accepted).view.b.conn.local == other.local_addr
            assert sl.lens((other, accepted)).view == sl.lens(other, accepted).view
            with pytest.raises(ValueError, match="not the two ends of one connection"):
                sl.lens(client, accepted)


def test_an_end_is_called_by_its_variable_or_by_its_address(listener: sl.Listener) -> None:
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(sl.connect(listener.local_addr)) for _ in range(2)]
        first, second = (opened.enter_context(listener.accept(timeout=5)) for _ in clients)
        by_name = {"ana": second}
        assert names(sl.lens(clients[0])) == ("clients[0]", "first")
        assert names(sl.lens(first)) == ("first", "clients[0]")
        del first
        clients[0].send(b"x")
        seen = sl.lens(clients[0])
        address = str(listener.local_addr)
        assert names(seen) == ("clients[0]", address)
        assert repr(seen).count(f"{address} {address}") == 0, "not twice in the line of the ends"
        assert f"taken by {address}" in repr(seen)
        assert f"<code>{address}</code>" in seen._repr_html_()
        assert f"<strong>{address}</strong> <code>" not in seen._repr_html_()
        del second
        assert names(sl.lens(clients[1])) == ("clients[1]", "by_name['ana']")
        assert len(by_name) == 1


def test_a_pair_without_names_has_two_addresses() -> None:
    hidden = SimpleNamespace(ends=sl.pair())  # no name is looked for in an object
    seen = sl.lens(*hidden.ends)
    assert names(seen) == (str(hidden.ends[0].local_addr), str(hidden.ends[1].local_addr))
    for end in hidden.ends:
        end.close()


def test_a_servers_end_is_called_as_in_the_table_of_ports() -> None:
    with sl.Server(sl.Echo()) as server, sl.connect(server.local_addr) as client:
        eventually(lambda: server.clients)
        assert names(sl.lens(client)) == ("client", "server.clients[0]")


def test_an_end_that_nobody_has_accepted_is_drawn_from_the_kernels_table(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as b:
        b.send(b"hello ")
        b.send(b"world\n")
        eventually(lambda: sl.lens(b).flows[0].law.queue == 12)
        seen = sl.lens(b)
        there, back = seen.flows
        assert names(seen) == ("b", str(listener.local_addr))
        assert (seen.holds, there.law.taken, there.law.outstanding) == (True, 0, there.law.both)
        assert [(piece.send, piece.size) for piece in stage(there, Place.QUEUE).pieces] == [(1, 6), (2, 6)]
        assert back.silent
        for drawn in (repr(seen), seen._repr_html_()):
            assert "nobody has accepted it yet" in drawn
        with listener.accept(timeout=5) as a_for_b:
            assert sl.lens(b).view.b.conn.local == a_for_b.local_addr
            assert "nobody" not in repr(sl.lens(b))


def test_a_client_that_left_before_it_was_accepted(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as b:
        b.send(b"hello")
    eventually(lambda: sl.lens(b).view.b.conn.state == "CLOSE_WAIT")
    seen = sl.lens(b)
    there = seen.flows[0]
    assert (there.law.queue, seen.holds) == (5, True), "a FIN is no byte"


def names(of: sl.Lens) -> tuple[str, str]:
    return of.view.a.name, of.view.b.name


def test_an_ipv4_client_of_a_dual_stack_listener() -> None:
    need_ipv6()
    with sl.listen("::", 0, dual_stack=True) as listener:
        client = sl.connect("127.0.0.1", listener.local_addr.port, timeout=10)
        with client, listener.accept(timeout=10) as server:
            client.send(b"hello")
            eventually(lambda: len(server.input_buffer) == 5)
            for seen in (sl.lens(client, server), sl.lens(client), sl.lens(server)):
                assert seen.holds is True
                assert sum(flow.law.queue or 0 for flow in seen.flows) == 5


def test_what_is_no_connection_is_refused(pair: tuple[sl.Connection, sl.Connection]) -> None:
    with socket.socket() as sock, pytest.raises(TypeError, match=r"not a socket; sl\.look"):
        sl.lens(sock)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not an int"):
        sl.lens(pair[0], 5)  # type: ignore[arg-type]


def test_bytes_that_nobody_counted_are_no_mystery() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        accepted = server.accept()[0]
        sock.sendall(b"before")
        assert accepted.recv(6) == b"before"
        with sl.Connection.from_socket(sock) as a, sl.Connection.from_socket(accepted) as b:
            a.send(b"x")
            eventually(lambda: len(b.input_buffer) == 1)
            assert sl.lens(a, b).holds is True  # neither end has counted them
            with socket.socket(fileno=os.dup(b.fileno())) as thief:
                assert thief.recv(1) == b"x"
            eventually(lambda: len(a.output_buffer) == 0)
            seen = sl.lens(a, b)
            assert seen.holds is False
            assert "1 B missing: a call sent or took them" in " ".join(repr(seen).split())
            assert "socklens-law-wrong" in seen._repr_html_()


def test_a_closed_end_is_said_to_be_closed(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    client.sendall(b"bye")
    eventually(lambda: len(server.input_buffer) == 3)
    client.close()
    assert sl.lens(client, server).holds is True  # all has arrived
    server.send(b"to nobody")
    seen = sl.lens(client, server)
    assert seen.flows[0].law.holds is not False
    assert seen.flows[1].law.holds is None
    assert "client is closed: what it had not read is gone" in " ".join(repr(seen).split())


@given(
    taken=st.integers(0, 40),
    rust=st.integers(0, 40),
    kernel=st.integers(0, 40),
    road=st.integers(0, 40),
    unsent=st.integers(0, 40),
    both=st.integers(0, 40),
)
def test_the_law_holds_exactly_when_every_byte_is_somewhere(
    taken: int, rust: int, kernel: int, road: int, unsent: int, both: int
) -> None:
    both = min(both, taken + rust + kernel)
    sent = taken + rust + kernel + road + unsent
    seen = view(sent, taken, rust, kernel, road + both, unsent)
    there = flow(seen.a, seen.b)
    assert (there.law.holds, there.law.both) == (True, both)
    covered = [piece for part in there.stages if part.place is not Place.IN_BOTH for piece in part.pieces]
    assert sum(piece.size for piece in covered) == sent
    at = 0
    for piece in sorted(covered, key=lambda piece: piece.start):
        assert piece.start == at
        at = piece.stop
    missing = replace(seen.a, conn=replace(seen.a.conn, sent=sent + 1))
    assert check(missing, seen.b).holds is bool(both)
    surplus = replace(seen.a, conn=replace(seen.a.conn, sent=sent - road - both - 1))
    assert check(surplus, seen.b).holds is False


SCENES = [
    view(),
    view(taken=3, kernel=9),
    view(kernel=5, unacknowledged=7, unsent=0),
    view(sent=300, kernel=100, unsent=200),
]


@pytest.mark.parametrize("seen", SCENES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_text_keeps_its_width_and_escapes(seen: PairView, glyphs: Any, width: int) -> None:
    text = lens_text(seen, width, glyphs)
    assert all(cells(line) <= width for line in text.split("\n"))
    assert "\x1b" not in text
    assert text == lens_text(seen, width, glyphs)
    assert text.isascii() or glyphs is UNICODE


def small_beside_large() -> PairView:
    """Sends of 5, 60,000 and 3 bytes in one receive queue."""
    seen = view(sent=60_008, kernel=60_008)
    content = b"hello" + bytes(60_000) + b"bye"
    sending = replace(seen.a, sends=SendsView(60_008, 3, (5, 60_005, 60_008)))
    reading = replace(seen.b, conn=replace(seen.b.conn, input=InputView(0, 60_008, 131_072, content)))
    return PairView(sending, reading)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_small_send_is_seen_beside_a_large_one(width: int) -> None:
    seen = small_beside_large()
    text = lens_text(seen, width)
    for shown in ('#1 "hello"', "#2 ", '#3 "bye"'):
        assert shown in text
    assert "60,008 B" in text
    least = re.findall(r'min-width:(\d+)ch"><b>#(\d)</b> <code>([^<]*)', lens_html(seen))
    for columns, number, content in least:
        assert int(columns) > len(f"#{number} ") + (len(content) if number != "2" else 0), (
            "room for its number and its bytes"
        )
    assert [number for _, number, _ in least] == ["1", "2", "3"]
    shares = [float(share) for share in re.findall(r"flex-grow:([\d.]+)", lens_html(seen))]
    assert sum(shares) == pytest.approx(1, abs=0.001), "the row is as wide as ever"


def test_text_and_html_have_one_direction() -> None:
    seen = view(sent=12, kernel=12)
    for pair in (seen, PairView(seen.b, seen.a)):
        text, html = lens_text(pair), lens_html(pair)
        assert "b ───► a" in text
        assert "b → a" in html
        assert "a → b" in html
        assert "←" not in html
        for drawn in (text, html):
            places = ["not sent yet", "sent, not arrived", "receive queue", "taken by a"]
            assert sorted(places, key=drawn.index) == places
            assert drawn.index("#1") < drawn.index("#2"), "as recv will return them"


@pytest.mark.parametrize("seen", SCENES)
def test_html_escapes_and_is_the_same_for_the_same_view(seen: PairView) -> None:
    seen = PairView(replace(seen.a, conn=replace(seen.a.conn, name="<img src=x onerror=alert(1)>")), seen.b)
    html = lens_html(seen)
    assert html == lens_html(seen)
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in html
    assert "&lt;" in html
