"""The promise: a callback of OnMessage may do with its server and its connections whatever other code may, in the order in which it
does it, and the server does not hang.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from flow import stream
from helpers import eventually
from network import free_port
from serving import DEADLINE, ask, client_of, serving

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


# Calls from inside


def test_it_sends_to_its_client_and_to_others() -> None:
    friends: list[sl.Connection] = []

    def pass_on(conn: sl.Connection, line: bytes) -> None:
        if line == b"me\n":
            friends.append(conn)
            conn.sendall(b"noted\n")
        for friend in friends:
            friend.send(line)

    with serving(sl.OnMessage(pass_on)) as server, client_of(server) as ana, client_of(server) as bob:
        for client in (ana, bob):
            client.sendall(b"me\n")
            assert client.recv_line() == b"noted\n"
            assert client.recv_line() == b"me\n"
        assert ana.recv_line() == b"me\n"
        bob.sendall(b"1\n2\n")
        assert [ana.recv_line(), ana.recv_line()] == [bob.recv_line(), bob.recv_line()] == [b"1\n", b"2\n"]
    friends.clear()


def test_what_it_sends_and_what_it_returns_keep_their_order() -> None:
    def answer(conn: sl.Connection, line: bytes) -> bytes | None:
        match int(line) % 3:
            case 0:
                return line
            case 1:
                conn.sendall(line)
            case 2:
                server.broadcast(line)
        return None

    lines = b"".join(b"%d\n" % number for number in range(3000))
    with serving(sl.OnMessage(answer)) as server, client_of(server) as client:
        client.sendall(lines)
        assert client.recv_exactly(len(lines)) == lines


@pytest.mark.parametrize("end", [sl.Connection.close, lambda conn: conn.shutdown("send")])
@pytest.mark.parametrize("size", [4, 300_000, 3_000_000])
def test_what_it_sends_before_the_end_arrives(end: Callable[[sl.Connection], None], size: int) -> None:
    def say_bye(conn: sl.Connection, line: bytes) -> None:
        conn.sendall(stream(0, size))
        end(conn)

    with serving(sl.OnMessage(say_bye)) as server, client_of(server) as client:
        client.sendall(b"quit\n")
        assert client.recv_all() == stream(0, size)


def test_it_broadcasts_much_to_who_reads_and_to_who_does_not() -> None:
    def tell_all(conn: sl.Connection, line: bytes) -> None:
        for _ in range(6):
            server.broadcast(bytes(500_000))

    def tell_too_much(conn: sl.Connection, line: bytes) -> None:
        for _ in range(200):
            server.broadcast(bytes(1 << 20))

    with serving(sl.OnMessage(tell_all)) as server, client_of(server) as client:
        client.sendall(b"x\n")
        assert client.recv_exactly(3_000_000) == bytes(3_000_000)
    before = peak()
    with serving(sl.OnMessage(tell_too_much)) as server, client_of(server) as client:
        client.sendall(b"x\n")
        (dropped,) = eventually(lambda: server.dropped)
        assert dropped.reason == "too slow"
    assert peak() - before < 50 << 20


def test_it_kicks_one_who_has_gone_and_not_the_next(in_thread: InThread) -> None:
    """All in one turn: the callback puts out a client that has reset meanwhile, and another one takes its place."""
    began, go_on = threading.Event(), threading.Event()

    def callback(conn: sl.Connection, line: bytes) -> bytes:
        if line == b"wait\n":
            began.set()
            go_on.wait(DEADLINE)
        elif line == b"kick\n":
            server.kick(victim)
        return line

    with serving(sl.OnMessage(callback)) as server, client_of(server) as one, client_of(server) as two:
        for client in (one, two):
            ask(client)
        third = sl.connect(server.local_addr, timeout=DEADLINE)
        ask(third)
        victim = server.clients[2]
        one.sendall(b"wait\n")
        assert began.wait(DEADLINE)
        two.sendall(b"kick\n")
        third.abort()
        with client_of(server) as new:
            go_on.set()
            ask(new)
            ask(new)
            assert new.local_addr not in {dropped.peer_addr for dropped in server.dropped}


def test_it_broadcasts_and_looks_at_the_clients() -> None:
    def tell(conn: sl.Connection, line: bytes) -> bytes:
        count = server.broadcast(b"to all\n", but=conn)
        me = server.clients[conn]
        me.name = name = line.decode().strip()
        return f"{count} of {len(server.clients)}, {server.clients[name].number}\n".encode()

    with serving(sl.OnMessage(tell)) as server, client_of(server) as ana, client_of(server) as bob:
        ana.sendall(b"ana\n")
        assert ana.recv_line() == b"1 of 2, 1\n"
        assert bob.recv_line() == b"to all\n"
        assert [client.name for client in server.clients] == ["ana", None]


def test_the_connection_is_one_object_for_all_messages() -> None:
    seen: list[int] = []

    def look(conn: sl.Connection, line: bytes) -> bytes:
        seen.append(id(conn))
        return line

    with serving(sl.OnMessage(look)) as server, client_of(server) as client:
        for _ in range(5):
            ask(client)
    assert len(set(seen)) == 1


def test_it_kicks_others_and_itself() -> None:
    def kick(conn: sl.Connection, line: bytes) -> bytes:
        if line == b"others\n":
            for client in server.clients:
                if client.peer_addr != conn.peer_addr:
                    server.kick(client)
        if line == b"me\n":
            server.kick(conn)
        return line

    with serving(sl.OnMessage(kick)) as server, client_of(server) as ana, client_of(server) as bob:
        ask(ana)
        ask(bob)
        ask(ana, b"others\n")
        assert bob.recv() == b""
        assert [client.peer_addr for client in server.clients] == [ana.local_addr]
        ana.sendall(b"me\n")
        ana.recv_all()
        assert [dropped.reason for dropped in server.dropped] == ["kicked", "kicked"]


def test_it_stops_its_server() -> None:
    server: sl.Server

    def stop(conn: sl.Connection, line: bytes) -> bytes:
        server.stop()
        return b"bye\n"

    for _ in range(20):
        server = sl.Server(sl.OnMessage(stop)).start()
        with client_of(server) as client, client_of(server) as other:
            client.sendall(b"x\n")
            assert client.recv_all() == b"bye\n"
            assert other.recv() == b""
            assert server.join(DEADLINE)
        assert server.errors == []


def test_when_it_stops_its_server_the_port_is_free_at_once() -> None:
    def stop(conn: sl.Connection, line: bytes) -> bytes:
        server.stop()
        stopped.set()
        go_on.wait(DEADLINE)
        return b"bye\n"

    stopped, go_on = threading.Event(), threading.Event()
    server = sl.Server(sl.OnMessage(stop), port=free_port()).start()
    with client_of(server) as client:
        client.sendall(b"x\n")
        assert stopped.wait(DEADLINE)
        sl.listen(server.local_addr).close()
        go_on.set()
        assert client.recv_all() == b"bye\n"


def test_stop_does_not_wait_for_a_callback_that_goes_on() -> None:
    began, go_on = threading.Event(), threading.Event()

    def never(conn: sl.Connection, line: bytes) -> None:
        began.set()
        go_on.wait(DEADLINE)

    server = sl.Server(sl.OnMessage(never)).start()
    with client_of(server) as client:
        client.sendall(b"x\n")
        assert began.wait(DEADLINE)
        start = time.monotonic()
        (dropped,) = server.stop(0)
        assert time.monotonic() - start < 4
        assert (dropped.peer_addr, dropped.reason) == (client.local_addr, "its handler goes on")
        sl.listen(server.local_addr).close()
        assert client.recv_all() == b""
        assert (server.running, len(server.clients)) == (False, 0)
    go_on.set()


@pytest.mark.parametrize("call", [sl.Connection.close, sl.Connection.abort, lambda conn: conn.shutdown("send")])
def test_it_ends_its_connection(call: Callable[[sl.Connection], None]) -> None:
    def end(conn: sl.Connection, line: bytes) -> bytes | None:
        if line == b"end\n":
            call(conn)
            return None
        return line

    with serving(sl.OnMessage(end)) as server, client_of(server) as other:
        for _ in range(20):
            with client_of(server) as client:
                ask(client)
                client.sendall(b"end\n")
                try:
                    assert client.recv() == b""
                except ConnectionResetError:
                    assert call is sl.Connection.abort
        ask(other)
        eventually(lambda: len(server.clients) == 1)


def test_it_ends_others_connections() -> None:
    def end_others(conn: sl.Connection, line: bytes) -> bytes:
        for client in server.clients:
            if client.peer_addr != conn.peer_addr:
                client.conn.close()
        return line

    with serving(sl.OnMessage(end_others)) as server:
        for _ in range(20):
            with client_of(server) as one, client_of(server) as two:
                two.sendall(b"half")
                ask(one)
                with pytest.raises(ConnectionResetError):  # with bytes unread
                    two.recv()
            eventually(lambda: not server.clients)


def test_it_cannot_read() -> None:
    raised: list[Exception] = []

    def read(conn: sl.Connection, line: bytes) -> bytes:
        for call in (conn.recv, conn.recv_line, conn.peek):
            try:
                call(timeout=0)
            except RuntimeError as error:
                raised.append(error)
        return line

    with serving(sl.OnMessage(read)) as server, client_of(server) as client:
        client.sendall(b"1\n2\n")
        assert client.recv_exactly(4) == b"1\n2\n"
    assert [type(error) for error in raised] == [RuntimeError] * 6
    assert "OnMessage" in str(raised[0])


def test_it_starts_and_stops_another_server() -> None:
    def ask_another(conn: sl.Connection, line: bytes) -> bytes:
        with sl.Server(sl.LineEcho()) as other, client_of(other) as client:
            client.sendall(line)
            return client.recv_line()

    with serving(sl.OnMessage(ask_another)) as server, client_of(server) as client:
        for _ in range(10):
            ask(client)
