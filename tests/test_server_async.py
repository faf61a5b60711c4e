"""The promise: an `async def` handler is served as a plain one is, all clients on one thread; what one client or one handler does harms
no other, and a handler that does not end, or holds up the loop, does not hold up the stop.
"""

# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import socklens as sl
from flow import SMALL
from helpers import eventually
from refusals import refused
from serving import DEADLINE, ask, client_of, reason_of, serving, whole

InThread = Callable[..., "Future[Any]"]
pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(sl.Connection, "aio"), reason="Connection has no aio yet"),
]


async def echo_lines(conn: sl.Connection) -> None:
    async for line in conn.aio.lines():
        await conn.aio.sendall(line)


async def wait(conn: sl.Connection) -> None:
    await asyncio.Event().wait()


def test_all_clients_on_one_thread() -> None:
    threads = set()

    async def echo(conn: sl.Connection) -> None:
        threads.add(threading.current_thread())
        await echo_lines(conn)

    with serving(echo) as server, ExitStack() as all_of_them:
        assert server.mode == "async"
        clients = [all_of_them.enter_context(client_of(server)) for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        assert [client.recv_line() for client in clients] == [b"%d\n" % number for number in range(100)]
        assert len(server.clients) == server.accepted == 100
        assert len(threads) == 1
        assert server.broadcast(b"to all\n", but=clients[0]) == 99
        assert {client.recv_line() for client in clients[1:]} == {b"to all\n"}


def test_a_callable_object_and_a_client_of_its_own() -> None:
    class Handler:
        async def __call__(self, conn: sl.Connection) -> None:
            (client,) = server.clients
            assert client.conn is conn
            client.name = "ana"
            await conn.aio.sendall(b"hello\n")

    with serving(Handler()) as server, client_of(server) as client:
        assert client.recv_all() == b"hello\n"


def test_the_port_is_free_when_stop_returns_and_waits_end_with_closed_error() -> None:
    ended: list[BaseException] = []

    async def handler(conn: sl.Connection) -> None:
        try:
            await echo_lines(conn)
        except sl.ClosedError as error:
            ended.append(error)
            raise

    server = sl.Server(handler).start()
    with client_of(server) as client:
        ask(client)
        (dropped,) = server.stop(0)
        sl.listen(server.local_addr).close()
        assert (dropped.peer_addr, dropped.reason) == (client.local_addr, "stopped")
        assert client.recv_all() == b""
    assert (len(ended), server.errors, len(server.clients)) == (1, [], 0)


def test_a_handler_that_waits_for_something_else_is_cancelled() -> None:
    server = sl.Server(wait).start()
    with client_of(server) as client, client_of(server):
        eventually(lambda: len(server.clients) == 2)
        assert server.kick(server.clients[0]).reason == "kicked"
        assert client.recv() == b""
        eventually(lambda: len(server.clients) == 1)
        assert [dropped.reason for dropped in server.stop(0)] == ["stopped"]
    assert server.errors == []


def test_a_handler_that_holds_up_the_loop_does_not_hold_up_stop() -> None:
    began, go_on = threading.Event(), threading.Event()

    async def block(conn: sl.Connection) -> None:
        began.set()
        go_on.wait(DEADLINE)

    server = sl.Server(block).start()
    with client_of(server) as client:
        began.wait(DEADLINE)
        (dropped,) = server.stop(0)
        assert dropped.reason == "its handler goes on"
        assert client.recv() == b""
        sl.listen(server.local_addr).close()
    go_on.set()


def test_a_handler_that_does_not_let_itself_be_cancelled() -> None:
    go_on = threading.Event()

    async def stubborn(conn: sl.Connection) -> None:
        while not go_on.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    server = sl.Server(stubborn).start()
    with client_of(server):
        eventually(lambda: server.clients)
        assert [dropped.reason for dropped in server.stop(0)] == ["its handler goes on"]
    go_on.set()


def test_stop_lets_handlers_finish(in_thread: InThread) -> None:
    asked = threading.Event()

    async def slow(conn: sl.Connection) -> None:
        asked.set()
        await conn.aio.sendall(await conn.aio.recv_line())

    server = sl.Server(slow).start()
    with client_of(server) as client:
        asked.wait(DEADLINE)
        stopping = in_thread(server.stop, DEADLINE)
        eventually(lambda: server.listener.closed)
        ask(client)
        assert stopping.result(DEADLINE) == []


def test_a_handler_stops_its_server_in_a_thread() -> None:
    async def stop_here(conn: sl.Connection) -> None:
        server.stop()

    async def stop(conn: sl.Connection) -> None:
        await asyncio.to_thread(server.stop, 0)

    server = sl.Server(stop_here).start()
    with server, client_of(server) as client:
        assert client.recv() == b""
        assert "asyncio.to_thread(server.stop)" in str(eventually(lambda: server.errors)[0].exception)
    server = sl.Server(stop).start()
    with client_of(server) as client:
        assert client.recv() == b""
        assert server.join(DEADLINE)


def test_what_handlers_raise_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(conn: sl.Connection) -> None:
        raise KeyError(await conn.aio.recv_line())

    server = sl.Server(fail).start()
    with server:
        with client_of(server) as client:
            client.sendall(b"what\n")
            assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert error.client == (None, client.local_addr)
        assert error.traceback.splitlines()[1].endswith(", in fail"), "from the handler's own line on"
    assert capfd.readouterr() == ("", "")


def test_what_a_task_of_a_handler_raises_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise LookupError("in the background")

    async def handler(conn: sl.Connection) -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task

    with sl.Server(handler) as server, client_of(server) as client:
        assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert (error.client, str(error.exception)) == (None, "in the background")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rude", ["abort", "close"])
def test_who_leaves_in_the_middle_harms_nobody(rude: str) -> None:
    with sl.Server(echo_lines) as server, client_of(server) as other:
        for _ in range(20):
            with client_of(server) as client:
                ask(client)
                client.sendall(b"half a line")
                getattr(client, rude)()
            ask(other)
        eventually(lambda: len(server.clients) == 1)
        expected = ConnectionResetError if rude == "abort" else sl.IncompleteReadError
        assert {type(error.exception) for error in server.errors} <= {expected, ConnectionResetError}


def test_one_client_too_many_is_told_so() -> None:
    with serving(echo_lines, max_clients=1) as server, client_of(server) as one:
        ask(one)
        with client_of(server) as two:
            two.sendall(b"something that nobody reads\n")
            assert two.recv_all() == b"The server is full (1 client). Please try again later.\n"
        ask(one)


def test_who_is_silent_or_does_not_read_is_dropped() -> None:
    with serving(echo_lines, idle_timeout=0.3) as server, client_of(server) as silent:
        assert silent.recv() == b""
        reason_of(server, "idle")
    with serving(echo_lines) as server, client_of(server, recv_buffer=SMALL) as stubborn, client_of(server) as other:
        ask(stubborn)
        ask(other)
        server.broadcast(bytes(16 << 20), but=server.clients[1])
        assert reason_of(server, "too slow").peer_addr == stubborn.local_addr
        ask(other)


def test_started_and_stopped_many_times() -> None:
    server = sl.Server(echo_lines)
    for _ in range(200):
        with server:
            pass
    with server:
        refused(RuntimeError, ["running"], server.start)
        whole(server)
    assert (server.accepted, server.errors) == (1, [])


def test_a_handler_that_forgets_to_await_is_told_so() -> None:
    async def forgetful(conn: sl.Connection) -> None:
        conn.sendall(conn.recv_line())

    with sl.Server(forgetful) as server, client_of(server) as silent, client_of(server) as other:
        assert silent.recv() == other.recv() == b""
        messages = {str(error.exception) for error in server.errors}
        assert all("await conn.aio.recv()" in message for message in messages)
        assert [type(error.exception) for error in server.errors] == [RuntimeError, RuntimeError]
