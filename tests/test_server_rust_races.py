"""The promise: whatever threads do to one server in Rust at the same moment, each call comes to an end, and so does the server."""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from flow import SMALL
from helpers import descriptors, eventually
from serving import DEADLINE, ask, client_of, serving

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
HANDLERS: dict[str, Any] = {
    "Echo": sl.Echo(),
    "Chat": sl.Chat(),
    "OnMessage": sl.OnMessage(lambda conn, line: line),
}
every = pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
GONE = (OSError, ValueError, IndexError)
"""What a call on a client raises that has just gone; IndexError: there was none."""


def first_client(server: sl.Server) -> sl.Client:
    return eventually(lambda: server.clients)[0]


def crowded(server: sl.Server) -> None:
    eventually(lambda: server.accepted > 20)


def talk(server: sl.Server, seed: int) -> None:
    """Clients that do anything, one after the other, as long as the server is there."""
    chance = random.Random(seed)
    while server.running:
        with contextlib.suppress(*GONE), sl.connect(server.local_addr, timeout=DEADLINE) as client:
            for _ in range(chance.randrange(20)):
                client.send(b"x" * chance.randrange(2000) + b"\n" * chance.randrange(2), timeout=0.1)
                if chance.random() < 0.5:
                    client.recv(timeout=0.002)
            if chance.random() < 0.5:
                client.abort()


def meddle(server: sl.Server, seed: int) -> None:
    """Somebody who looks, sends and puts clients out, as long as the server is there."""
    chance = random.Random(seed)
    while server.running:
        with contextlib.suppress(*GONE):
            match chance.randrange(7):
                case 0:
                    server.broadcast(b"y" * chance.randrange(3000))
                case 1:
                    server.kick(chance.choice(server.clients))
                case 2:
                    chance.choice(server.clients).conn.close()
                case 3:
                    chance.choice(server.clients).conn.abort()
                case 4:
                    chance.choice(server.clients).conn.send(bytes(1000), timeout=0.01)
                case 5:
                    chance.choice(server.clients).conn.shutdown("send")
                case 6:
                    assert repr(server)
                    for one in server.clients:
                        assert one.totals.read + one.conn.input_buffer.rust >= 0
                        assert one.conn.output_buffer.rust <= 2 << 20


@every
def test_everything_at_once_and_then_stop(handler: Any, in_thread: InThread) -> None:
    for round_ in range(5):
        server = sl.Server(handler).start()
        busy = [in_thread(talk, server, 10 * round_ + number) for number in range(3)]
        busy += [in_thread(meddle, server, 10 * round_ + number) for number in range(3)]
        crowded(server)
        stops = [in_thread(server.stop) for _ in range(3)]
        for each in stops + busy:
            each.result(DEADLINE)
        assert (server.running, len(server.clients)) == (False, 0)
        assert server.errors == []


@every
def test_closed_while_it_is_read_and_sent_to(handler: Any, in_thread: InThread) -> None:
    with serving(handler) as server:
        for number in range(50):
            with client_of(server) as client:
                client.sendall(b"name\n" * 1000)
                end = eventually(lambda: server.clients)[0].conn
                calls: list[Callable[[], Any]] = [
                    end.close if number % 2 else end.abort,
                    functools.partial(client.sendall, b"more\n" * 1000),
                    functools.partial(end.sendall, bytes(300_000), timeout=DEADLINE),
                    functools.partial(server.broadcast, b"to all\n"),
                ]
                for each in [in_thread(call) for call in calls]:
                    with contextlib.suppress(*GONE):
                        each.result(DEADLINE)
            eventually(lambda: not server.clients)


def act(server: sl.Server, word: str) -> None:
    with contextlib.suppress(ValueError, sl.ClosedError):  # the other one was first
        match word:
            case "stop":
                server.stop()
            case "kick":
                for client in server.clients:
                    server.kick(client)
            case "close":
                for client in server.clients:
                    client.conn.close()
            case "broadcast":
                server.broadcast(bytes(100_000))


@pytest.mark.parametrize("outside", ["stop", "kick", "close", "broadcast"])
@pytest.mark.parametrize("inside", ["stop", "kick", "close", "broadcast"])
def test_a_callback_and_a_thread_at_the_same_moment(inside: str, outside: str, in_thread: InThread) -> None:
    def callback(conn: sl.Connection, line: bytes) -> bytes:
        go.wait(DEADLINE)
        act(server, inside)
        return line

    for _ in range(5):
        go = threading.Barrier(2)
        server = sl.Server(sl.OnMessage(callback)).start()
        with client_of(server) as client, client_of(server):
            client.sendall(b"go\n")
            go.wait(DEADLINE)
            in_thread(act, server, outside).result(DEADLINE)
            server.stop()
            assert server.join(DEADLINE)
            assert server.errors == []


@every
def test_stop_while_clients_come(handler: Any, in_thread: InThread) -> None:
    def come(server: sl.Server) -> None:
        with contextlib.suppress(*GONE), contextlib.ExitStack() as stack:
            while True:
                stack.enter_context(sl.connect(server.local_addr, timeout=DEADLINE))

    for _ in range(10):
        server = sl.Server(handler).start()
        coming = [in_thread(come, server) for _ in range(2)]
        crowded(server)
        server.stop()
        for each in coming:
            each.result(DEADLINE)
        assert len(server.clients) == 0
        sl.listen(server.local_addr).close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")
@every
def test_a_connection_that_is_kept_does_not_keep_its_server(handler: Any) -> None:
    before = len(list(descriptors()))
    kept = []
    for _ in range(20):
        with sl.Server(handler) as server, client_of(server):
            kept.append(first_client(server))
    eventually(lambda: len(list(descriptors())) <= before + 3, what="the descriptors back")
    assert all(client.conn.closed for client in kept)


def used_while(wait: Callable[[], object]) -> float:
    """The part of a core that this process uses during a second."""
    used, began = time.process_time(), time.monotonic()
    while time.monotonic() - began < 1:
        wait()
    return (time.process_time() - used) / (time.monotonic() - began)


def test_who_waits_for_room_does_not_use_the_processor(in_thread: InThread) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(conn: sl.Connection, line: bytes) -> None:
        began.set()
        go_on.wait(DEADLINE)

    with serving(sl.OnMessage(slow)) as server, client_of(server) as client:
        client.sendall(b"x\n")
        assert began.wait(DEADLINE)
        sending = in_thread(server.clients[0].conn.sendall, bytes(16 << 20))
        assert used_while(lambda: go_on.wait(0.1)) < 0.4
        assert not sending.done()
        go_on.set()
        assert client.recv_exactly(16 << 20) == bytes(16 << 20)
        sending.result(DEADLINE)


def test_a_stop_that_waits_does_not_use_the_processor(in_thread: InThread) -> None:
    server = sl.Server(sl.Echo()).start()
    with client_of(server, recv_buffer=SMALL) as stubborn, client_of(server) as other:
        ask(other)
        with contextlib.suppress(TimeoutError):
            while True:
                stubborn.sendall(bytes(100_000), timeout=0.2)
        stopping = in_thread(server.stop, 1.5)
        eventually(lambda: server.listener.closed)
        other.sendall(b"nobody reads this any more\n")
        assert used_while(lambda: threading.Event().wait(0.1)) < 0.4
        assert len(stopping.result(DEADLINE)) == 2
