"""The promise: a server starts at once, serves each client with the handler, and is over when stop returns; it can be asked about all
of that, and a call that cannot work says what to write instead.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from network import free_port
from refusals import refused
from serving import DEADLINE, ask, client_of, echo, echo_lines, greet, serving, whole
from signals import CameInBetweenError, raising_handler

PYTHON = ["threads", "one"]
InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")


# Life


@pytest.mark.parametrize("mode", PYTHON)
def test_start_returns_itself_listening(mode: Any) -> None:
    server = sl.Server(echo, mode=mode)
    assert not server.running
    assert server.start() is server
    assert (server.running, server.mode, server.listener.state) == (True, mode, sl.TcpState.LISTEN)
    assert server.local_addr == server.listener.local_addr
    whole(server)
    eventually(lambda: not server.clients)
    assert server.stop() == []
    assert not server.running


@pytest.mark.parametrize("mode", PYTHON)
def test_the_port_is_free_when_stop_returns_although_handlers_were_at_work(mode: Any) -> None:
    server = sl.Server(echo_lines, mode=mode).start()
    with client_of(server) as client:
        ask(client)
        (dropped,) = server.stop(0)
        sl.listen(server.local_addr).close()
        assert (dropped.peer_addr, dropped.reason) == (client.local_addr, "stopped")
        assert dropped in server.dropped
        assert client.recv_all() == b""
    assert server.clients == sl.Roster()
    assert server.errors == [], "a wait that the server ended is no error of the handler"


def test_a_server_starts_again_and_counts_on() -> None:
    server = sl.Server(echo_lines, port=free_port())
    for _ in range(3):
        with server:
            whole(server)
    assert server.accepted == 3


def test_a_running_server_is_not_started_again() -> None:
    with serving(echo_lines) as server:
        refused(RuntimeError, [str(server.local_addr), "running", "stop()"], server.start)
        whole(server)
    with server.start() as started:
        assert started is server
        whole(server)
    assert not server.running


def test_a_start_that_fails_leaves_nothing_behind(listener: sl.Listener) -> None:
    server = sl.Server(echo, listener.local_addr)
    refused(OSError, ["Address already in use"], server.start)
    assert not server.running
    assert server.stop() == []
    refused(RuntimeError, ["start()"], lambda: server.local_addr)
    listener.close()
    with server:
        whole(server)


def test_an_address_in_use_names_the_server() -> None:
    with serving() as server:
        words = [
            "a server without a name, started in",
            "serving.py, line",
            "Use sl.servers()[0].stop() first, or choose",
        ]
        refused(OSError, words, sl.listen, server.local_addr)
        with serving() as younger:
            assert sl.servers() == [server, younger]
            refused(OSError, ["sl.servers()[1].stop()"], sl.listen, younger.local_addr)
    assert sl.servers() == []


def test_stop_lets_handlers_finish() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(conn: sl.Connection) -> None:
        conn.recv_line()
        asked.set()
        go_on.wait(DEADLINE)
        conn.sendall(b"done\n")

    server = sl.Server(slow).start()
    with client_of(server) as client:
        client.sendall(b"go\n")
        asked.wait(DEADLINE)
        stopping: list[sl.Dropped] = []
        thread = threading.Thread(target=lambda: stopping.extend(server.stop(DEADLINE)))
        thread.start()
        eventually(lambda: server.listener.closed)
        assert thread.is_alive()
        go_on.set()
        assert client.recv_all() == b"done\n"
        thread.join(DEADLINE)
    assert stopping == []


def test_a_handler_that_goes_on_is_reported() -> None:
    go_on = threading.Event()
    server = sl.Server(lambda conn: go_on.wait(DEADLINE)).start()
    with client_of(server) as client:
        eventually(lambda: server.clients)
        (dropped,) = server.stop(0)
        assert dropped.reason == "its handler goes on"
        assert client.recv() == b""
    go_on.set()


@pytest.mark.parametrize("mode", PYTHON)
def test_a_handler_may_stop_its_server(mode: Any) -> None:
    dropped: list[sl.Dropped] = []

    def quit_at_once(conn: sl.Connection) -> None:
        dropped.extend(server.stop())
        conn.sendall(b"bye\n")

    server = sl.Server(quit_at_once, mode=mode).start()
    with client_of(server) as client:
        assert client.recv_all() == b"bye\n"
    assert server.join(DEADLINE)
    assert (dropped, server.errors) == ([], [])


def test_two_stops_at_a_time(in_thread: InThread) -> None:
    server = sl.Server(echo).start()
    with client_of(server):
        eventually(lambda: server.clients)
        stops = [in_thread(server.stop, 0) for _ in range(4)]
        dropped = [one for stop in stops for one in stop.result(DEADLINE)]
    assert [one.reason for one in dropped] == ["stopped"]
    refused(ValueError, ["-1", "0 seconds"], server.stop, -1)


def test_join_waits_for_the_stop(in_thread: InThread) -> None:
    server = sl.Server(echo)
    assert server.join()
    with server:
        assert not server.join(0)
        joining = in_thread(server.join)
    assert joining.result(DEADLINE) is True


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_signal_ends_join_and_not_the_server() -> None:
    with serving(echo_lines) as server, raising_handler(signal.SIGALRM):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(CameInBetweenError):
            server.join()
        whole(server)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_signal_ends_the_patience_of_stop_and_not_the_stop() -> None:
    server = sl.Server(echo).start()
    with client_of(server) as client, raising_handler(signal.SIGALRM):
        eventually(lambda: server.clients)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(CameInBetweenError):
            server.stop(DEADLINE)
        assert client.recv() == b""
    assert not server.running
    assert [dropped.reason for dropped in server.dropped] == ["stopped"]


# Modes


def test_in_threads_clients_are_served_side_by_side() -> None:
    with serving(echo_lines) as server, client_of(server) as one, client_of(server) as two:
        ask(two)
        ask(one)
        assert len(server.clients) == 2


def test_in_mode_one_the_next_client_waits_in_the_accept_queue() -> None:
    with serving(echo_lines, mode="one") as server, client_of(server) as one:
        ask(one)
        with client_of(server) as two:
            two.sendall(b"mine\n")
            eventually(lambda: server.listener.backlog.waiting == 1)
            assert [client.peer_addr for client in server.clients] == [one.local_addr]
            one.shutdown("send")
            assert two.recv_line() == b"mine\n"


def test_the_connection_is_closed_as_the_handler_returns() -> None:
    with serving(greet) as server, client_of(server) as client:
        assert client.recv_all() == b"hello\n"


def test_a_partial_and_a_method_are_handlers() -> None:
    class Greeter:
        def greet(self, word: bytes, conn: sl.Connection) -> None:
            conn.sendall(word)

        def __call__(self, conn: sl.Connection) -> None:
            self.greet(b"called", conn)

    for handler, word in ((functools.partial(Greeter().greet, b"partly"), b"partly"), (Greeter(), b"called")):
        with serving(handler) as server, client_of(server) as client:
            assert client.recv_all() == word


# Limits


def test_one_client_too_many_is_told_so_and_gets_fin() -> None:
    with serving(echo_lines, max_clients=1) as server, client_of(server) as one:
        ask(one)
        with client_of(server) as two:
            two.sendall(b"something that nobody reads\n")
            line = b"The server is full (1 client). Please try again later.\n"
            assert two.recv_all() == line, "the end is FIN; RST would raise"
        assert (server.accepted, server.refused, len(server.clients)) == (1, 1, 1)
        ask(one)
        one.close()
        eventually(lambda: not server.clients)
        whole(server)


def test_a_refused_client_that_goes_on_talking_is_closed_after_a_while() -> None:
    with serving(echo_lines, max_clients=2) as server, client_of(server) as one, client_of(server) as two:
        ask(one)
        ask(two)
        with client_of(server) as three:
            assert three.recv_line().startswith(b"The server is full (2 clients).")

            def is_over() -> bool:
                try:
                    return not three.send(b"but I")
                except (ConnectionResetError, BrokenPipeError):
                    return True

            eventually(is_over)


def test_the_place_of_a_client_that_sees_its_end_is_free() -> None:
    with serving(greet, max_clients=1) as server:
        for _ in range(100):
            with client_of(server) as client:
                assert client.recv_all() == b"hello\n"


# What it tells


def test_a_client_in_the_roster() -> None:
    before = datetime.now()
    with serving(echo_lines) as server, client_of(server) as conn:
        ask(conn, b"12345\n")
        (client,) = server.clients
        assert (client.number, client.name, client.peer_addr) == (1, None, conn.local_addr)
        assert (client.totals.received, client.totals.sent, client.state) == (6, 6, sl.TcpState.ESTABLISHED)
        assert before <= client.since <= datetime.now()
        assert server.listener.connections == [client.conn], "the handler's own object"
        client.name = "ana"
        assert server.clients["ana"] == client
        refused(TypeError, ["bytes", "decode"], setattr, client, "name", b"ana")


def test_a_roster_is_a_sequence() -> None:
    with serving(echo_lines) as server, client_of(server) as one, client_of(server) as two:
        ask(one)
        ask(two)
        roster = server.clients
        ana, bob = roster
        ana.name, bob.name = "ana", "bob"
        assert (len(roster), roster[0], roster[-1], roster["bob"], roster[bob.conn]) == (2, ana, bob, bob, bob)
        assert list(roster[1:]) == [bob]
        assert ana in roster
        assert bob.conn in roster
        assert "bob" in roster
        assert one in roster, "the other end of a client's connection means that client"
        assert (roster[one], roster[two], roster.find(two)) == (ana, bob, bob)
        assert (roster.find(1), roster.find(2)) == (ana, bob), "by the number that the table shows"
        assert "eve" not in roster
        refused(IndexError, ["roster[2]: the roster has 2 clients", "clients.find(2)"], lambda: roster[2])
        refused(IndexError, ["the roster has 1 client,"], lambda: roster[:1][1])
        refused(ValueError, ["no client has the number 3", "2 clients now: 1, 2"], roster.find, 3)
        refused(KeyError, ["eve", "'ana', 'bob'"], lambda: roster["eve"])
        ana.name = "bob"
        refused(KeyError, ["2 clients have the name 'bob'", str(one.local_addr)], lambda: roster["bob"])
        one.close()
        eventually(lambda: len(server.clients) == 1)
        assert len(roster) == 2, "a snapshot"


def test_kick_by_name_connection_or_client() -> None:
    with serving(echo_lines) as server:
        ways: list[Callable[[sl.Client], Any]] = [
            lambda client: client,
            lambda client: client.conn,
            lambda client: client.name,
            lambda client: client.number,
        ]
        for wanted in ways:
            with client_of(server) as conn:
                ask(conn)
                (client,) = server.clients
                client.name = "ana"
                dropped = server.kick(wanted(client))
                assert (dropped.name, dropped.peer_addr, dropped.reason) == ("ana", conn.local_addr, "kicked")
                assert server.dropped[-1] == dropped
                assert conn.recv() == b""
                eventually(lambda: not server.clients)
        refused(ValueError, ["ana", "0 clients"], server.kick, "ana")
        refused(ValueError, ["no client of this server"], server.kick, client)
        refused(ValueError, ["number 7", "0 clients"], server.kick, 7)
        refused(TypeError, ["float"], server.kick, 1.0)


# What cannot work


async def a_coroutine(conn: sl.Connection) -> None:
    """Never run."""


def of_nothing() -> None:
    """Never run."""


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"handler": a_coroutine, "mode": "threads"}, TypeError, ["a_coroutine", 'mode="async"', "async def"]),
        ({"handler": a_coroutine, "mode": "one"}, TypeError, ['mode="async"']),
        ({"handler": echo, "mode": "async"}, TypeError, ["async def echo(conn)", 'mode="threads"']),
        ({"handler": echo, "mode": "thread"}, ValueError, ["'thread'", '"threads", "one" or "async"']),
        ({"handler": sl.Echo(), "mode": "threads"}, ValueError, ["Echo", "Leave out mode='threads'"]),
        ({"handler": sl.Echo}, TypeError, ["sl.Echo()"]),
        ({"handler": of_nothing}, TypeError, ["of_nothing()", "def handler(conn)"]),
        ({"handler": None}, TypeError, ["NoneType", "without calling it"]),
        ({"handler": "echo"}, TypeError, ["str"]),
        ({"handler": echo, "max_clients": 0}, ValueError, ["max_clients", "0"]),
        ({"handler": echo, "max_clients": 1.5}, TypeError, ["max_clients", "float"]),
        ({"handler": echo, "idle_timeout": 0}, ValueError, ["idle_timeout", "None"]),
        ({"handler": echo, "idle_timeout": "1"}, TypeError, ["idle_timeout", "str"]),
        ({"handler": echo, "port": 65536}, OverflowError, ["65536"]),
        ({"handler": echo, "host": "127.0.0.1:6666", "port": 6666}, ValueError, ["6666"]),
    ],
)
def test_what_cannot_work_is_told_before_there_is_a_client(
    arguments: dict[str, Any], kind: type[Exception], words: list[str]
) -> None:
    refused(kind, words, sl.Server, **arguments)


def test_a_coroutine_that_was_called_is_no_handler() -> None:
    refused(TypeError, ["coroutine", "without calling it"], sl.Server, a_coroutine(None))  # type: ignore[arg-type]


def test_broadcast_takes_bytes() -> None:
    with serving() as server:
        refused(TypeError, ["str", "encode"], server.broadcast, "text")
        refused(TypeError, ["int"], server.broadcast, 5)
        refused(ValueError, ["eve"], server.broadcast, b"", but="eve")
    assert server.broadcast(b"nobody is here") == 0
