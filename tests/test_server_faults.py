"""The promise: whatever a client does, or a handler, the others are served correctly, and nothing is left over: no client in the roster,
no thread, no descriptor.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import socklens as sl
from flow import SMALL
from helpers import descriptors, eventually
from serving import DEADLINE, ask, client_of, echo, echo_lines, greet, reason_of, serving, whole

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
MIB = 1 << 20


# Clients


def test_who_says_nothing_keeps_nobody_waiting() -> None:
    with serving(echo_lines) as server, ExitStack() as silent:
        for _ in range(20):
            silent.enter_context(client_of(server))
        whole(server)
        eventually(lambda: len(server.clients) == 20)


def test_a_line_byte_by_byte() -> None:
    with serving(echo_lines) as server, client_of(server) as slow:
        for byte in b"slow":
            slow.sendall(bytes([byte]))
            whole(server)
        slow.sendall(b"\n")
        assert slow.recv_line() == b"slow\n"


def test_who_never_reads_holds_up_its_own_thread_only() -> None:
    server = sl.Server(echo)
    with server, client_of(server, recv_buffer=SMALL) as stubborn:
        with pytest.raises(TimeoutError):
            stubborn.sendall(bytes(64 * MIB), timeout=0.5)
        with client_of(server) as other:
            other.sendall(b"hello")
            assert other.recv() == b"hello"
        stubborn.abort()
        eventually(lambda: not server.clients)
        (error,) = server.errors
        assert isinstance(error.exception, ConnectionResetError | BrokenPipeError)


def test_a_reset_is_the_error_of_its_own_client() -> None:
    server = sl.Server(echo_lines).start()
    with server, client_of(server) as other:
        with client_of(server) as rude:
            ask(rude)
            address = rude.local_addr
            rude.abort()
        (error,) = eventually(lambda: server.errors)
        assert isinstance(error.exception, ConnectionResetError)
        assert error.client == (None, address)
        ask(other)


def test_a_half_closed_client_gets_its_bytes(in_thread: InThread) -> None:
    sent = bytes(range(256)) * (MIB // 256)
    with serving(echo) as server, client_of(server) as client:
        reading = in_thread(client.recv_all)
        client.sendall(sent)
        client.shutdown("send")
        assert reading.result(DEADLINE) == sent


def test_a_line_without_an_end() -> None:
    server = sl.Server(echo_lines).start()
    with server, client_of(server) as client:
        client.sendall(b"no end")
        client.shutdown("send")
        with pytest.raises(ConnectionResetError):  # the handler raised, and nobody has read those bytes
            client.recv()
        (error,) = eventually(lambda: server.errors)
        assert isinstance(error.exception, sl.IncompleteReadError)
        assert error.exception.partial == b"no end"
        whole(server)


def test_500_at_once() -> None:
    with serving(echo_lines) as server, ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(client_of(server)) for _ in range(500)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        assert [client.recv_line() for client in clients] == [b"%d\n" % number for number in range(500)]
        assert len(server.clients) == server.accepted == 500
        assert server.broadcast(b"to all\n") == 500
        assert {client.recv_line() for client in clients} == {b"to all\n"}


def test_500_at_once_for_a_full_server() -> None:
    with serving(echo_lines, max_clients=5) as server, ExitStack() as all_of_them:
        inside = [all_of_them.enter_context(client_of(server)) for _ in range(5)]
        for client in inside:
            ask(client)
        turned_away = [all_of_them.enter_context(client_of(server)) for _ in range(495)]
        for client in turned_away:
            assert client.recv_line() == b"The server is full (5 clients). Please try again later.\n"
        assert (server.accepted, server.refused) == (5, 495)
        for client in inside:
            ask(client)


def test_clients_that_vanish_during_stop() -> None:
    go_on = threading.Event()

    def wait(conn: sl.Connection) -> None:
        go_on.wait(DEADLINE)
        conn.sendall(b"bye\n")

    server = sl.Server(wait).start()
    clients = [sl.connect(server.local_addr, timeout=DEADLINE) for _ in range(20)]
    eventually(lambda: len(server.clients) == 20)
    stopping = threading.Thread(target=server.stop, args=(DEADLINE,))
    stopping.start()
    eventually(lambda: server.listener.closed)
    for client in clients[::2]:
        client.abort()
    go_on.set()
    for client in clients[1::2]:
        assert client.recv_all(timeout=DEADLINE) == b"bye\n"
        client.close()
    stopping.join(DEADLINE)
    assert not stopping.is_alive()
    assert (len(server.clients), len(server.dropped)) == (0, 0)
    assert {type(error.exception) for error in server.errors} <= {ConnectionResetError, BrokenPipeError}


# Handlers


def test_what_a_handler_raises_is_kept_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(conn: sl.Connection) -> None:
        raise KeyError(conn.recv_line())

    server = sl.Server(fail).start()
    with server, client_of(server) as client:
        eventually(lambda: server.clients)[0].name = "ana"
        client.sendall(b"what\n")
        assert client.recv_all() == b""
        (error,) = eventually(lambda: server.errors)
        assert error.client == ("ana", client.local_addr)
        assert error.count == 1
        assert error.exception.args == (b"what\n",)
        assert error.traceback.splitlines()[1].endswith(", in fail"), "from the handler's own line on"
        assert "KeyError: b'what\\n'" in error.traceback
        assert str(client.local_addr) in str(error)
    assert capfd.readouterr() == ("", ""), "nothing is printed from a thread"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError, sl.ClosedError])
@pytest.mark.parametrize("mode", ["threads", "one"])
def test_no_exception_ends_the_server(error: type[BaseException], mode: Any) -> None:
    def fail_once(conn: sl.Connection) -> None:
        if server.accepted == 1:
            raise error
        echo_lines(conn)

    server = sl.Server(fail_once, mode=mode)
    with server:
        with client_of(server) as client:
            assert client.recv() == b""
        whole(server)
        assert [type(kept.exception) for kept in server.errors] == [error]


def test_the_newest_thousand_errors_are_kept() -> None:
    def fail(conn: sl.Connection) -> None:
        raise ValueError(server.accepted)

    server = sl.Server(fail, mode="one")
    with server:
        for _ in range(1003):
            with client_of(server) as client:
                assert client.recv() == b""
        eventually(lambda: len(server.errors) == 1000 and server.errors.lost == 3)
        assert server.errors[-1].exception.args == (1003,)


def test_an_error_keeps_nothing_alive() -> None:
    class Large:
        pass

    alive: list[weakref.ref[Large]] = []

    def fail(conn: sl.Connection) -> None:
        large = Large()
        alive.append(weakref.ref(large))
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None

    server = sl.Server(fail)
    with server, client_of(server) as client:
        assert client.recv() == b""
        eventually(lambda: server.errors)
        gc.collect()
        assert alive[0]() is None


def test_a_coroutine_that_a_plain_handler_returns() -> None:
    async def late(conn: sl.Connection) -> None:
        """Never run."""

    server = sl.Server(lambda conn: late(conn))
    with server, client_of(server) as client:
        assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert isinstance(error.exception, TypeError)
        assert "late(), a coroutine" in str(error.exception)


def test_a_handler_that_closes_or_gives_away_its_connection() -> None:
    given: list[sl.Connection] = []

    def close(conn: sl.Connection) -> None:
        conn.close()

    def abort(conn: sl.Connection) -> None:
        conn.abort()

    def give_away(conn: sl.Connection) -> None:
        given.append(sl.Connection.from_socket(conn.to_socket()))

    for handler in (close, give_away):
        with serving(handler) as server, client_of(server) as client:
            if handler is give_away:
                eventually(lambda: given)[0].close()
            assert client.recv() == b""
    # RST may come before connect has returned, which raises the same then.
    with serving(abort) as server, pytest.raises(ConnectionResetError), client_of(server) as client:
        client.recv()


def test_a_handler_that_leaks(recwarn: pytest.WarningsRecorder) -> None:
    """Connections of its own that nobody closed are closed as Python lets go of them, with a warning, and ours stay well."""
    with sl.listen() as elsewhere:

        def leak(conn: sl.Connection) -> None:
            sl.connect(elsewhere.local_addr)
            echo_lines(conn)

        with serving(leak) as server:
            whole(server)
            eventually(lambda: not server.clients)
        gc.collect()
    assert {warning.category for warning in recwarn} == {ResourceWarning}


# Many times


def test_started_and_stopped_1000_times() -> None:
    server = sl.Server(greet)
    for _ in range(1000):
        with server:
            pass
    for _ in range(100):
        with server, client_of(server) as client:
            assert client.recv_all() == b"hello\n"
    assert server.accepted == 100
    assert server.errors == []


# Silence


@pytest.mark.parametrize("mode", ["threads", "one"])
def test_who_is_silent_for_too_long_is_dropped(mode: Any) -> None:
    with serving(echo_lines, mode=mode, idle_timeout=0.3) as server, client_of(server) as client:
        ask(client)
        assert client.recv() == b""
        assert reason_of(server, "idle").peer_addr == client.local_addr


def test_half_a_line_is_not_enough_to_stay() -> None:
    with serving(echo_lines, idle_timeout=0.3) as server, client_of(server) as client:
        client.sendall(b"half a line")
        with pytest.raises(ConnectionResetError):  # as a close with bytes unread is told
            client.recv()
        reason_of(server, "idle")


def test_whose_handler_sends_is_not_silent() -> None:
    done = threading.Event()

    def tick(conn: sl.Connection) -> None:
        while not done.wait(0.05):
            conn.sendall(b".")

    with serving(tick, idle_timeout=0.4) as server, client_of(server) as listening:
        with client_of(server) as other:
            assert listening.recv_exactly(20) == other.recv_exactly(20)
        assert server.dropped == []
        done.set()
        listening.recv_all()


def test_what_others_broadcast_does_not_count() -> None:
    with serving(echo_lines, idle_timeout=0.3) as server, client_of(server) as silent:
        eventually(lambda: not server.broadcast(b".") and server.dropped)
        assert reason_of(server, "idle").peer_addr == silent.local_addr
        assert set(silent.recv_all()) == set(b".")


# Who does not read what is broadcast


def test_who_does_not_read_is_dropped_and_the_others_get_all(in_thread: InThread) -> None:
    message = bytes(range(256)) * (16 * MIB // 256)
    with serving(echo_lines) as server, client_of(server, recv_buffer=SMALL) as stubborn:
        ask(stubborn)
        with client_of(server) as one, client_of(server) as two, client_of(server) as spared:
            for client in (one, two, spared):
                ask(client)
            reading = [in_thread(client.recv_exactly, len(message)) for client in (one, two)]
            assert server.broadcast(message, but=server.clients[3]) == 2
            assert all(got.result(DEADLINE) == message for got in reading)
            assert reason_of(server, "too slow").peer_addr == stubborn.local_addr
            assert reason_of(server, "too slow").unsent > 0
            for client in (one, two, spared):
                ask(client)


def test_broadcasts_come_whole_between_the_handlers_own_messages(in_thread: InThread) -> None:
    def shout(conn: sl.Connection) -> None:
        conn.recv_line()
        for _ in range(2000):
            conn.sendall(b"h" * 99 + b"\n")

    with serving(shout) as server, client_of(server) as client:
        eventually(lambda: server.clients)
        client.sendall(b"go\n")
        told = in_thread(lambda: sum(server.broadcast(b"b" * 49 + b"\n") for _ in range(200)))
        lines = client.recv_all().splitlines()
        assert set(lines) <= {b"h" * 99, b"b" * 49}
        assert lines.count(b"h" * 99) == 2000
        assert lines.count(b"b" * 49) == told.result(DEADLINE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")
@pytest.mark.parametrize("handler", [greet, sl.Daytime(), sl.OnMessage(lambda conn, line: line)])
def test_a_server_that_has_stopped_holds_no_descriptor(handler: Any) -> None:
    """However long it is kept, for its records."""
    held = {name for name in descriptors() if "anon_inode" in name}
    servers = [sl.Server(handler) for _ in range(20)]
    for server in servers:
        with server, client_of(server) as client:
            client.sendall(b"\n")
            assert client.recv()
    eventually(lambda: {name for name in descriptors() if "anon_inode" in name} <= held)
    assert sum(server.accepted for server in servers) == 20
    assert not any(server.running or server.clients for server in servers)
