"""The promise: a story has every call that ended while it was recorded, as it happened, and says of the bytes where they stand in
their stream."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, ends
from helpers import eventually, in_thread
from socklens import Connection, Event, Story, TcpState
from socklens.story._ledger import ledger

Pair = tuple[Connection, Connection]


def calls(story: Story, of: Connection | None = None) -> list[str]:
    return [e.call for e in story.events if of is None or (e.local, e.peer) == (of.local_addr, of.peer_addr)]


def last(story: Story, call: str) -> Event:
    return next(event for event in reversed(story.events) if event.call == call)


def test_a_session_from_listen_to_close() -> None:
    with sl.record() as story, sl.listen() as listener:
        client = sl.connect(listener.local_addr)
        server = listener.accept(timeout=5)
        client.sendall(b"hello")
        assert server.recv() == b"hello"
        client.shutdown("send")
        assert server.recv() == b""
        server.close()
        client.close()
    assert [e.call for e in story.events] == [
        *("listen", "connect", "accept", "sendall", "recv", "shutdown", "recv", "close", "close", "close")
    ]
    listen, connect, accept, sendall, recv, shutdown, end, close, _, _ = story.events
    assert (listen.after, listen.local, listen.peer) == (TcpState.LISTEN, listener.local_addr, None)
    assert (connect.after, connect.local, connect.peer) == (
        TcpState.ESTABLISHED,
        client.local_addr,
        listener.local_addr,
    )
    assert accept.socket == listen.socket
    assert accept.made == recv.socket
    assert (sendall.direction, sendall.offset, sendall.count, sendall.head) == ("out", 0, 5, b"hello")
    assert (recv.direction, recv.offset, recv.count, recv.head) == ("in", 0, 5, b"hello")
    assert shutdown.before is TcpState.ESTABLISHED
    assert shutdown.after in (TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2)
    assert end.end_of_stream
    assert end.count is None
    assert end.after is TcpState.CLOSE_WAIT
    assert close.before is TcpState.CLOSE_WAIT
    assert not close.reset
    assert {e.thread for e in story.events} == {threading.current_thread().name}
    assert [e.number for e in story.events] == list(range(1, 11))
    assert all((e.began or 0) <= e.ended for e in story.events)


def test_nothing_is_recorded_before_and_after(pair: Pair) -> None:
    client, server = pair
    client.send(b"before")
    with sl.record() as story:
        client.send(b"in it")
    client.send(b"after")
    assert server.recv_exactly(16) == b"beforein itafter"
    assert [(e.call, e.offset, e.count) for e in story.events] == [("send", 6, 5)]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 70_000])
def test_the_first_bytes_are_kept_whatever_way_they_are_read(pair: Pair, size: int) -> None:
    client, server = pair
    data = bytes(i % 251 for i in range(size))
    reads: list[Callable[[], Any]] = [
        lambda: server.recv_exactly(size),
        lambda: server.recv_into(bytearray(size)),
        lambda: server.recv_frame(),
        lambda: server.recv(size),
    ]
    with sl.record() as story:
        for read in reads:
            sent = in_thread(client.send_frame, data) if read is reads[2] else in_thread(client.sendall, data)
            read()
            sent.result(10)
            while server.input_buffer.rust or server.input_buffer.kernel:
                server.recv()
    heads = [e.head for e in story.events if e.direction == "in"]
    assert heads[0] == data[:32]
    frame = len(data).to_bytes(4, "big") + data
    assert frame[:32] in heads
    assert all(len(head) <= 32 for head in heads)


def test_errors_are_recorded_as_they_were_raised(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        for call, error in (
            (lambda: server.recv(timeout=0), BlockingIOError),
            (lambda: server.recv(timeout=0.001), TimeoutError),
            (lambda: sl.connect("127.0.0.1", 1, timeout=5), ConnectionRefusedError),
        ):
            with pytest.raises(error) as raised:
                call()
            assert story.events[-1].error == error.__name__
            assert story.events[-1].message == raised.value.strerror
        client.abort()
        with pytest.raises(ConnectionResetError):
            server.recv(timeout=5)
        assert last(story, "abort").reset
        assert last(story, "recv").error == "ConnectionResetError"
        assert last(story, "recv").after is TcpState.CLOSED
        server.close()
        with pytest.raises(sl.ClosedError):
            server.send(b"x")
        assert last(story, "send").error == "ClosedError"


def test_a_close_with_bytes_unread_says_reset(pair: Pair) -> None:
    client, server = pair
    client.send(b"unread")
    eventually(lambda: len(server.input_buffer))
    with sl.record() as story:
        server.close()
    assert [(e.call, e.reset) for e in story.events] == [("close", True)]


def test_closing_twice_is_one_event(pair: Pair) -> None:
    with sl.record() as story:
        pair[0].close()
        pair[0].close()
    assert calls(story) == ["close"]


def test_every_thread_is_in_it_by_its_name(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        threads = [threading.Thread(target=client.send, args=(b"x",), name=f"writer {i}") for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.recv_exactly(8) == b"x" * 8
    sends = [e for e in story.events if e.direction == "out"]
    assert {e.thread for e in sends} == {f"writer {i}" for i in range(8)}
    assert sorted(e.offset or 0 for e in sends) == list(range(8))


def test_a_wait_that_another_thread_ends(pair: Pair, in_thread: Callable[..., Future[Any]]) -> None:
    client, _ = pair
    with sl.record() as story:
        reader = in_thread(client.recv)
        client.close()
        assert isinstance(reader.exception(10), sl.ClosedError)
        eventually(lambda: len(story.events) == 2)
    assert sorted((e.call, e.error) for e in story.events if e.error or e.call == "close") == [
        ("close", None),
        ("recv", "ClosedError"),
    ]


def test_recordings_nest(pair: Pair) -> None:
    client, _ = pair
    with sl.record() as outer:
        client.send(b"1")
        with sl.record() as inner:
            client.send(b"2")
        client.send(b"3")
    assert [e.head for e in outer.events] == [b"1", b"2", b"3"]
    assert [(e.head, e.number) for e in inner.events] == [(b"2", 1)]


def test_a_full_recording_drops_the_oldest_and_says_how_many(pair: Pair) -> None:
    client, server = pair
    with sl.record(limit=5) as story:
        for i in range(12):
            client.send(bytes([i]))
            if i == 6:
                assert len(story.events) == 5
    assert [e.head for e in story.events] == [bytes([i]) for i in range(7, 12)]
    assert [e.number for e in story.events] == [8, 9, 10, 11, 12]
    assert story.lost == 7
    assert server.recv_exactly(12) == bytes(range(12))


def test_a_story_is_told_once() -> None:
    with sl.record() as story:
        assert story.recording
    with pytest.raises(RuntimeError, match="again"), story:
        pass
    with pytest.raises(ValueError, match="1 or more"):
        sl.record(limit=0)
    with pytest.raises(RuntimeError, match="with block"):
        story.include()


def test_what_a_server_in_rust_moves_is_in_it() -> None:
    with sl.record() as story, sl.Server(sl.LineEcho(), port=0) as server, sl.connect(server.local_addr) as client:
        client.sendall(b"one\ntwo\n")
        assert [client.recv_line(), client.recv_line()] == [b"one\n", b"two\n"]
    assert {"server accept", "server recv", "server send"} <= set(calls(story))
    ledger = story.ledger()
    assert (ledger.sent, ledger.taken, ledger.not_taken) == (16, 16, 0)


@pytest.mark.parametrize(
    "handler", [sl.Echo(), sl.LineEcho(), sl.OnMessage(lambda conn, line: line)], ids=["Echo", "LineEcho", "OnMessage"]
)
def test_a_server_in_rust_reads_before_it_answers(handler: Any) -> None:
    lines = [b"%d\n" % i for i in range(50)]
    with sl.record() as story, sl.Server(handler) as server, sl.connect(server.local_addr) as client:
        for line in lines:
            client.sendall(line)
            assert client.recv_line() == line
    told = [(event.call, event.head) for event in story.events if event.call in ("server recv", "server send")]
    assert told == [(call, line) for line in lines for call in ("server recv", "server send")]
    rows = {mark.text.partition(" [")[0][:11]: mark.row for mark in story._layout().marks}
    assert rows["server recv"] < rows["server send"]


def test_half_a_line_that_a_server_holds_is_read_once() -> None:
    with sl.record() as story, sl.Server(sl.LineEcho()) as server, sl.connect(server.local_addr) as client:
        client.sendall(b"one\ntw")
        assert client.recv_line() == b"one\n"
        client.sendall(b"o\nthree")
        assert client.recv_line() == b"two\n"
        client.shutdown("send")
        assert client.recv_all() == b"three"
    read = [(event.offset, event.head) for event in story.events if event.call == "server recv"]
    assert read == [(0, b"one\ntw"), (6, b"o\nthree")]
    ledger = story.ledger()
    assert (ledger.sent, ledger.taken, ledger.not_taken) == (26, 26, 0)


def test_what_python_handlers_do_is_in_it() -> None:
    def echo(conn: Connection) -> None:
        for line in conn.lines():
            conn.sendall(line)

    with sl.record() as story, sl.Server(echo, port=0) as server, sl.connect(server.local_addr) as client:
        client.sendall(b"one\n")
        assert client.recv_line() == b"one\n"
    assert {"accept", "lines", "sendall", "recv_line"} <= set(calls(story))
    assert story.ledger().taken == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_goes_on_with_a_copy(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        client.send(b"1")
        child = os.fork()
        if child == 0:
            client.send(b"2")
            os._exit(0 if [e.head for e in story.events] == [b"1", b"2"] else 1)
        _, status = os.waitpid(child, 0)
        assert server.recv_exactly(2) == b"12"
    assert os.waitstatus_to_exitcode(status) == 0
    assert calls(story) == ["send", "recv_exactly"]


class TestSocketsOfPython:
    def test_both_ends_from_listen_to_close(self) -> None:
        with sl.record() as story:
            listener = socket.create_server(("127.0.0.1", 0))
            client = socket.socket()
            story.include(listener, client)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            client.sendall(b"hello\nworld\n")
            with server.makefile("rb") as file:
                assert file.readline() == b"hello\n"
            assert client.send(memoryview(b"more")) == 4
            assert server.recv(2) == b"mo"
            client.shutdown(socket.SHUT_WR)
            assert server.recv(100) == b"re"
            assert server.recv(100) == b""
            for sock in (client, server, listener):
                sock.close()
        assert {type(sock) for sock in (client, server, listener)} == {socket.socket}
        by_call = [e.call for e in story.events]
        assert by_call[:3] == ["connect", "accept", "sendall"]
        assert by_call[-3:] == ["close"] * 3
        ledger = story.ledger()
        assert (ledger.sent, ledger.taken, ledger.not_taken) == (16, 16, 0)
        assert all(e.stdlib for e in story.events)

    def test_the_other_end_may_be_ours(self, listener: sl.Listener) -> None:
        with socket.create_connection(listener.local_addr) as sock:
            sock.sendall(b"before")
            with listener.accept(timeout=5) as conn, sl.record() as story:
                story.include(sock)
                sock.sendall(b"hello")
                assert conn.recv_exactly(11) == b"beforehello"
            assert type(sock) is socket.socket
        if sys.platform == "linux":
            pieces = [(p.send and p.send.call, p.count, p.fate) for p in story.ledger()]
            assert pieces == [(None, 6, "not seen sent"), ("sendall", 5, "taken")]

    def test_errors_and_looks(self, listener: sl.Listener) -> None:
        with sl.record() as story, socket.create_connection(listener.local_addr) as sock:
            story.include(sock)
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            assert story.events[-1].error == "BlockingIOError"
            with listener.accept(timeout=5) as conn:
                conn.sendall(b"seen")
                sock.settimeout(5)
                assert sock.recv(10, socket.MSG_PEEK) == b"seen"
                assert sock.recv(10) == b"seen"
        assert [e.call for e in story.events if e.stdlib] == ["recv", "peek", "recv", "close"]
        assert story.ledger().taken == 4

    def test_what_cannot_be_included_says_why(self, pair: Pair) -> None:
        with sl.record() as story, pytest.raises(TypeError, match="without this"):
            story.include(pair[0])  # type: ignore[type-var]


class TestWhatWasUnderWay:
    """Calls that waited already when the recording began."""

    @pytest.mark.parametrize("call", ["recv_line", "recv_exactly"])
    def test_a_read_that_ends_in_it_is_in_it(
        self, pair: Pair, in_thread: Callable[..., Future[Any]], call: str
    ) -> None:
        client, server = pair
        waiting = in_thread(getattr(server, call), *([6] if call == "recv_exactly" else []))
        client.send(b"he")
        eventually(lambda: server.input_buffer.rust == 2)
        with sl.record() as story:
            client.sendall(b"llo\nmore\n")
            assert waiting.result(10) == b"hello\n"
            eventually(lambda: len(story.events) == 2)
        event = last(story, call)
        assert (event.began, event.seconds, event.offset, event.count, event.head) == (None, None, 0, 6, b"hello\n")
        pieces = [(piece.count, piece.fate) for piece in story.ledger()]
        assert pieces == [(2, "not seen sent"), (4, "taken"), (5, "not taken")]
        mark = next(mark for mark in story._layout().marks if event.number in mark.numbers)
        assert mark.top == 0 < mark.row, "its bar comes from the top edge"
        assert "began before" in mark.text
        assert json.loads(story.to_json())["events"][event.number - 1]["began"] is None

    def test_a_handler_of_a_server(self) -> None:
        with sl.Server(Connection.recv_line, port=0) as server, sl.connect(server.local_addr) as client:
            client.send(b"h")
            eventually(lambda: server.clients and server.clients[0].conn.input_buffer.rust)
            with sl.record() as story:
                client.sendall(b"ello\n")
                eventually(lambda: "recv_line" in calls(story))
                with sl.connect(server.local_addr):
                    eventually(lambda: "accept" in calls(story))
        # The second client's may have ended within the story too, with nothing.
        (event,) = [event for event in story.events if event.call == "recv_line" and event.count]
        assert event.began is None
        assert story.ledger().taken == 5

    def test_a_send_that_waited_for_its_reader(self, in_thread: Callable[..., Future[Any]]) -> None:
        with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
            sending = in_thread(client.sendall, bytes(600_000))
            eventually(lambda: client.totals.sent > 0)
            with sl.record() as story:
                server.recv_exactly(600_000)
                sending.result(10)
                eventually(lambda: len(story.events) == 2)
        assert (last(story, "sendall").began, last(story, "sendall").count) == (None, 600_000)
        assert [(piece.count, piece.fate) for piece in story.ledger()] == [(600_000, "taken")]


def test_what_cannot_be_known_is_not_called_unread(pair: Pair) -> None:
    client, server = pair
    with sl.record(limit=2) as story:
        client.send(b"a")
        server.recv()
        client.send(b"b")
        os.close(server.detach())
    assert [(piece.count, piece.fate) for piece in story.ledger()] == [(1, "not seen taken")]


def test_a_send_whose_read_was_dropped_is_not_called_unread(pair: Pair) -> None:
    client, server = pair
    with sl.record(limit=1) as story:
        client.send(b"a")
    send = story.events[0]
    pieces = ledger([replace(send, began=None)], lost=1)
    assert [piece.fate for piece in pieces] == ["not seen taken"]
    server.recv()
