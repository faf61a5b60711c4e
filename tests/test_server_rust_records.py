"""The promise: what a server in Rust has done is on record, in the same words as with Python handlers; nothing is lost unseen."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from refusals import refused
from serving import ask, client_of, reason_of, serving, whole

pytestmark = pytest.mark.usefixtures("no_leaks")
HANDLERS: dict[str, Any] = {"rust": sl.LineEcho(), "on message": sl.OnMessage(lambda conn, line: line)}
every = pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)


@every
def test_kicked(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as conn:
        ask(conn)
        (client,) = server.clients
        client.name = "ana"
        dropped = server.kick("ana")
        assert (dropped.name, dropped.peer_addr, dropped.reason) == ("ana", conn.local_addr, "kicked")
        assert server.dropped == [dropped]
        assert conn.recv() == b""
        refused(ValueError, ["no client of this server"], server.kick, client)
        refused(ValueError, ["ana", "0 clients"], server.kick, "ana")
        refused(TypeError, ["float"], server.kick, 1.0)


@every
def test_stopped(handler: Any) -> None:
    server = sl.Server(handler).start()
    with client_of(server) as conn:
        ask(conn)
        server.clients[0].name = "ana"
        (dropped,) = server.stop()
        assert (dropped.name, dropped.peer_addr, dropped.reason) == ("ana", conn.local_addr, "stopped")
        assert server.dropped == [dropped]
        assert conn.recv() == b""


@every
def test_idle(handler: Any) -> None:
    with serving(handler, idle_timeout=0.2) as server, client_of(server) as conn:
        assert conn.recv() == b""
        assert reason_of(server, "idle").peer_addr == conn.local_addr


@every
def test_too_slow(handler: Any) -> None:
    with serving(handler) as server, client_of(server, recv_buffer=16384) as conn:
        ask(conn)
        while not server.dropped:
            server.broadcast(bytes(100_000))
        assert reason_of(server, "too slow").peer_addr == conn.local_addr
        assert reason_of(server, "too slow").unsent > 0


@every
def test_the_newest_thousand_dropped_are_kept(handler: Any) -> None:
    with serving(handler) as server:
        for _ in range(1003):
            with client_of(server) as client:
                ask(client)
                server.kick(server.clients[0])
        assert (len(server.dropped), server.dropped.lost) == (1000, 3)


def test_the_newest_thousand_errors_are_kept_although_nobody_looks() -> None:
    def fail(conn: sl.Connection, line: bytes) -> None:
        raise ValueError(line)

    with sl.Server(sl.OnMessage(fail)) as server:
        for number in range(1003):
            with client_of(server) as client:
                client.sendall(b"%d\n" % number)
                assert client.recv() == b""
        errors = server.errors
        assert (len(errors), errors.lost) == (1000, 3)
        assert errors[-1].exception.args == (b"1002\n",)


def test_an_error_knows_its_clients_name() -> None:
    def fail(conn: sl.Connection, line: bytes) -> None:
        raise ValueError(line)

    with sl.Server(sl.OnMessage(fail)) as server, client_of(server) as client:
        eventually(lambda: server.clients)[0].name = "ana"
        client.sendall(b"x\n")
        assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert error.client == ("ana", client.local_addr)


@every
def test_a_server_starts_again_and_counts_on(handler: Any) -> None:
    server = sl.Server(handler, max_clients=1)
    for number in range(1, 4):
        with server:
            whole(server)
            eventually(lambda: not server.clients)
            with client_of(server) as one, client_of(server) as two:
                ask(one)
                with contextlib.suppress(ConnectionError):
                    two.recv_all()
            eventually(lambda: not server.clients)
        assert (server.accepted, server.refused) == (2 * number, number)
    assert (server.errors, server.dropped) == ([], [])


@every
def test_a_listener_that_somebody_closes_is_told(handler: Any) -> None:
    with sl.Server(handler) as server, client_of(server) as client:
        ask(client)
        server.listener.close()
        ask(client)
        (error,) = eventually(lambda: server.errors)
        assert error.client is None
        assert isinstance(error.exception, sl.ClosedError)
        refused(ConnectionRefusedError, [], sl.connect, server.local_addr)
        ask(client)


def test_a_listener_is_not_given_away_while_its_server_runs() -> None:
    with serving(sl.LineEcho()) as server:
        for call in (server.listener.to_socket, server.listener.detach):
            refused(RuntimeError, ["stop", "server"], call)
        whole(server)
