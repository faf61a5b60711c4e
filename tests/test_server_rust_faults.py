"""The promise: whatever clients do to a handler in Rust, or to a callback of OnMessage, the others are served correctly, and nothing is
left over: no client in the roster, no thread, no descriptor, no memory.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, stream
from helpers import eventually
from rust_handlers import LINE_LIMIT, by_lines, every, sent_back
from serving import DEADLINE, ask, client_of, serving, whole

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")
MIB = 1 << 20
pause = threading.Event()


def resident() -> int:
    """The memory of this process, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def stuffed(stack: ExitStack, server: sl.Server) -> sl.Connection:
    """A client that sends as long as anybody takes it, and reads nothing."""
    client = stack.enter_context(client_of(server, recv_buffer=SMALL))
    with contextlib.suppress(TimeoutError):
        while True:
            client.sendall((b"x" * 999 + b"\n") * 100, timeout=0.1)
    return client


# What clients do


@every
def test_who_says_nothing_keeps_nobody_waiting(handler: Any) -> None:
    with serving(handler) as server, ExitStack() as silent:
        for _ in range(50):
            silent.enter_context(client_of(server))
        whole(server)
        eventually(lambda: len(server.clients) == 50)


@every
def test_a_byte_at_a_time(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as slow:
        for byte in b"slow":
            slow.sendall(bytes([byte]))
            whole(server)
        slow.sendall(b"\n")
        assert slow.recv_line() == b"slow\n"


@linux
@every
def test_who_never_reads_takes_little_memory_and_nobodys_time(handler: Any) -> None:
    with serving(handler) as server, ExitStack() as stack:
        whole(server)
        gc.collect()
        before = resident()
        stubborn = [stuffed(stack, server) for _ in range(5)]
        whole(server)
        eventually(lambda: len(server.clients) == 5)
        assert resident() - before < 5 * (MIB + 4 * 65536)
        assert [client.conn.output_buffer.rust > 0 for client in server.clients] == [True] * 5
        for client in stubborn:
            client.abort()
        eventually(lambda: not server.clients)
        assert server.dropped == [], "who left by itself was not dropped"
        eventually(lambda: resident() - before < 2 * MIB, what="the memory back")
        whole(server)


@every
def test_who_never_reads_and_then_does_has_lost_nothing(handler: Any, in_thread: InThread) -> None:
    lines = b"".join(b"line %d %s\n" % (number, b"x" * (number % 1000)) for number in range(20_000))
    with serving(handler) as server, client_of(server, recv_buffer=SMALL) as client:
        sending = in_thread(client.sendall, lines)
        end = eventually(lambda: server.clients)[0].conn
        eventually(lambda: end.output_buffer.rust > 0)
        whole(server)
        assert client.recv_exactly(len(lines)) == lines
        sending.result(DEADLINE)


@every
def test_a_half_closed_client_gets_megabytes_that_wait(handler: Any, in_thread: InThread) -> None:
    lines = (b"x" * 4999 + b"\n") * 1600
    with serving(handler) as server, client_of(server, recv_buffer=SMALL) as client:

        def send() -> None:
            client.sendall(lines + b"the end")
            client.shutdown("send")

        sending = in_thread(send)
        end = eventually(lambda: server.clients)[0].conn
        eventually(lambda: end.output_buffer.rust > 0)
        assert client.recv_all() == lines + b"the end"
        sending.result(DEADLINE)


@every
def test_resets_in_the_middle(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as steady:
        for number in range(100):
            with client_of(server) as rude:
                rude.sendall(b"half a line" if number % 3 else b"line\n" * 1000)
                if number % 2:
                    ask(steady)
                rude.abort()
        eventually(lambda: len(server.clients) == 1)
        ask(steady)
        assert server.dropped == []


@by_lines
def test_a_line_without_an_end_is_a_last_line(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as client:
        client.sendall(b"no end")
        client.shutdown("send")
        assert client.recv_all() == b"no end"


@by_lines
@pytest.mark.parametrize("more", [0, 1, 10 * LINE_LIMIT])
def test_who_sends_a_line_too_long_is_dropped(handler: Any, more: int) -> None:
    with sl.Server(handler) as server, client_of(server) as steady:
        ask(steady)
        with client_of(server) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"x" * (LINE_LIMIT + 1 + more))
            with contextlib.suppress(ConnectionError):
                assert client.recv_all() == b""
            (dropped,) = eventually(lambda: server.dropped)
            assert (dropped.peer_addr, dropped.reason) == (client.local_addr, "it sent a line longer than 65536 bytes")
        eventually(lambda: len(server.clients) == 1)
        ask(steady)
        assert server.errors == []


def test_a_frame_too_long_drops_its_sender() -> None:
    with sl.Server(sl.OnMessage(sent_back, framing="frame")) as server, client_of(server) as steady:
        with client_of(server) as client:
            client.sendall((1 << 31).to_bytes(4, "big"))
            with contextlib.suppress(ConnectionError):
                assert client.recv_all() == b""
            (dropped,) = eventually(lambda: server.dropped)
            assert "16777216 bytes" in dropped.reason
        steady.send_frame(b"still here")
        assert steady.recv_frame() == b"still here"


@every
def test_500_at_once(handler: Any) -> None:
    with serving(handler) as server, ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(client_of(server)) for _ in range(500)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        assert [client.recv_line() for client in clients] == [b"%d\n" % number for number in range(500)]
        assert len(server.clients) == server.accepted == 500
        assert server.broadcast(b"to all\n") == 500
        assert {client.recv_line() for client in clients} == {b"to all\n"}


@by_lines
def test_clients_that_vanish_during_stop(handler: Any, in_thread: InThread) -> None:
    for _ in range(20):
        server = sl.Server(handler).start()
        clients = [sl.connect(server.local_addr, timeout=DEADLINE) for _ in range(20)]
        for client in clients:
            ask(client)
        stopping = in_thread(server.stop)
        for client in clients[::2]:
            client.abort()
        for client in clients[1::2]:
            client.close()
        stopping.result(DEADLINE)
        assert (len(server.clients), server.errors) == (0, [])


@every
def test_what_has_come_before_stop_is_answered(handler: Any) -> None:
    for _ in range(20):
        server = sl.Server(handler).start()
        with client_of(server) as client:
            ask(client)
            client.sendall(b"one more\n")
            eventually(lambda: client.info().to_dict()["unacked"] == 0)
            (dropped,) = server.stop()
            assert dropped.peer_addr == client.local_addr
            assert client.recv_all() == b"one more\n", "and then FIN"


@every
def test_stop_gives_time_to_those_who_read(handler: Any, in_thread: InThread) -> None:
    server = sl.Server(handler).start()
    with client_of(server, recv_buffer=SMALL) as client:
        end = eventually(lambda: server.clients)[0].conn
        total = 0
        while not end.output_buffer.rust:
            total += end.send(stream(total, 65536), timeout=DEADLINE)
        stopping = in_thread(server.stop, DEADLINE)
        assert client.recv_all() == stream(0, total)
        assert len(stopping.result(DEADLINE)) == 1


@every
def test_stop_does_not_wait_for_ever_for_who_does_not_read(handler: Any) -> None:
    server = sl.Server(handler).start()
    with client_of(server, recv_buffer=SMALL) as client:
        end = eventually(lambda: server.clients)[0].conn
        total = 0
        while not end.output_buffer.rust:
            total += end.send(stream(total, 65536), timeout=DEADLINE)
        (dropped,) = server.stop(0)
        assert dropped.peer_addr == client.local_addr
        assert dropped.unsent > 0
        assert dropped.reason == "stopped"
        assert end.closed


# Many times


@every
def test_started_and_stopped_1000_times(handler: Any) -> None:
    server = sl.Server(handler)
    for number in range(1000):
        with server:
            if number % 20 == 0:
                whole(server)
    assert server.accepted == 50
    assert server.errors == []


@linux
@every
def test_memory_is_back_after_a_crowd(handler: Any) -> None:
    with serving(handler) as server:

        def crowd() -> None:
            with ExitStack() as stack:
                clients = [stack.enter_context(client_of(server)) for _ in range(300)]
                for client in clients:
                    client.sendall(b"y" * 30_000 + b"\n" + b"half")
                for client in clients:
                    client.recv_exactly(30_001)
            eventually(lambda: not server.clients)

        crowd()
        gc.collect()
        before = resident()
        for _ in range(3):
            crowd()
        gc.collect()
        assert resident() - before < 3 * MIB


@every
def test_plain_sockets_that_are_thrown_away(handler: Any) -> None:
    """Half with bytes unread, so that the kernel says RST, half without."""
    with serving(handler) as server:
        for number in range(200):
            with socket.create_connection(server.local_addr, DEADLINE) as sock:
                if number % 2:
                    sock.sendall(b"line\n" * 10)
        eventually(lambda: server.accepted == 200 and not server.clients)
        whole(server)
