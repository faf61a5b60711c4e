"""The promise: a handler in Rust serves as many clients as it may, refuses the others politely, and drops who is silent for too long, and
nobody else.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, stream
from helpers import eventually
from rust_handlers import every
from serving import DEADLINE, ask, client_of, reason_of, serving, whole

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")
MIB = 1 << 20
pause = threading.Event()


@every
def test_one_client_too_many_is_told_so_and_gets_fin(handler: Any) -> None:
    with serving(handler, max_clients=2) as server, client_of(server) as one, client_of(server) as two:
        ask(one)
        ask(two)
        for number in range(20):
            with client_of(server) as three:
                with contextlib.suppress(ConnectionError):
                    three.sendall(stream(0, number * 10_000))
                line = b"The server is full (2 clients). Please try again later.\n"
                assert three.recv_all() == line, "the end is FIN; RST would raise"
        assert (server.accepted, server.refused, len(server.clients)) == (2, 20, 2)
        ask(one)
        one.close()
        eventually(lambda: len(server.clients) == 1)
        whole(server)


def test_a_refused_client_that_goes_on_talking_is_closed_after_a_while() -> None:
    with serving(sl.LineEcho(), max_clients=1) as server, client_of(server) as one:
        ask(one)
        with client_of(server) as two:
            assert two.recv_line().startswith(b"The server is full (1 client).")

            def is_over() -> bool:
                try:
                    return not two.send(b"but I")
                except (ConnectionResetError, BrokenPipeError):
                    return True

            eventually(is_over)


def test_500_at_once_for_a_full_server() -> None:
    with serving(sl.LineEcho(), max_clients=5) as server, ExitStack() as all_of_them:
        inside = [all_of_them.enter_context(client_of(server)) for _ in range(5)]
        for client in inside:
            ask(client)
        turned_away = [all_of_them.enter_context(client_of(server)) for _ in range(495)]
        for client in turned_away:
            assert client.recv_all() == b"The server is full (5 clients). Please try again later.\n"
        assert (server.accepted, server.refused) == (5, 495)
        for client in inside:
            ask(client)


def test_the_place_of_a_client_that_sees_its_end_is_free() -> None:
    with serving(sl.Daytime(), max_clients=1) as server:
        for _ in range(200):
            with client_of(server) as client:
                assert client.recv_all().endswith(b"GMT\r\n")
        assert server.refused == 0


@every
def test_who_is_silent_for_too_long_is_dropped(handler: Any) -> None:
    with serving(handler, idle_timeout=0.5) as server, client_of(server) as busy, client_of(server) as silent:
        ask(busy)
        reading = 0
        while not server.dropped:
            ask(busy)
            reading += 1
        (dropped,) = server.dropped
        assert dropped.peer_addr == silent.local_addr
        assert silent.recv() == b""
        ask(busy)
        assert reading > 1


def test_who_reads_slowly_is_not_silent(in_thread: InThread) -> None:
    """Its server does not read it, and sends all the time."""
    sent = stream(0, 12 * MIB)
    with serving(sl.Echo(), idle_timeout=0.5) as server, client_of(server, recv_buffer=SMALL) as client:
        sending = in_thread(client.sendall, sent)
        began, received = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            piece = client.recv(20_000)
            assert piece == sent[received : received + len(piece)]
            received += len(piece)
            pause.wait(0.01)
        assert client.recv_exactly(len(sent) - received) == sent[received:]
        sending.result(DEADLINE)


def test_to_whom_others_speak_is_not_silent() -> None:
    with serving(sl.Chat(), idle_timeout=0.5) as server, client_of(server) as ana, client_of(server) as bob:
        for client, name in ((ana, b"ana"), (bob, b"bob")):
            client.sendall(name + b"\n")
            client.recv_until(b"You are " + name)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            ana.sendall(b"still here\n")
            bob.recv_until(b"ana: still here\n")
            pause.wait(0.01)
        assert server.dropped == []


def test_who_finishes_and_never_reads_is_silent() -> None:
    large = sl.OnMessage(lambda conn, line: bytes(16 * MIB))
    with serving(large, idle_timeout=0.5) as server, client_of(server, recv_buffer=SMALL) as client:
        client.sendall(b"give me all")
        client.shutdown("send")
        eventually(lambda: server.dropped)
        assert reason_of(server, "idle").unsent > MIB
