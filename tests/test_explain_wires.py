"""The promise: where a wire of this program stands in a connection, the explanation says so, and what it did there; it takes a wire for no
server, and nobody is said to have listened at a client's port.
"""

from __future__ import annotations

import re
import socket

import socklens as sl
from explaining import explained, patiently, seen
from helpers import eventually
from network import free_port
from socklens import Cause
from wiring import through, told

TAKEN_FOR_A_SERVER = re.compile(r"the server `wire`|server without a name|nobody listens|it aborted")


def reads(conn: sl.Connection) -> None:
    for line in conn.lines(timeout=20):
        conn.sendall(line)


def test_the_wire_reset_it() -> None:
    with sl.Server(reads, port=0) as server, sl.Wire(server, reset_at=3) as wire, sl.connect(wire.local_addr) as client:
        client.sendall(b"hello")
        found = explained(ConnectionResetError, client.recv, 10, timeout=10)
        assert found.cause is Cause.RESET
        assert f"`wire` is a wire (a relay) of this program, made in {__file__}" in seen(found)
        assert f"stands between this connection and the target {server.local_addr}" in seen(found)
        assert "RST after byte 3 to both ends, from the wire (reset)" in seen(found)
        assert found.next_step == "Look at print(wire.story): it shows what `wire` did to this connection"
        # The server's own side of it, whose peer is the wire.
        eventually(lambda: server.errors)
        other = patiently(server.errors[0].exception)
        assert f"is the peer of this connection, for the client {client.local_addr}" in seen(other)
        assert "print(wire.story)" in other.next_step
        for one in (found, other):
            assert not TAKEN_FOR_A_SERVER.search(seen(one) + one.next_step)


def test_the_wire_could_not_reach_its_target() -> None:
    port = free_port()
    with sl.Wire(("127.0.0.1", port)) as wire, sl.connect(wire.local_addr) as client:
        found = explained(ConnectionResetError, client.recv, timeout=10)
        assert "no connection to the target, so the client was reset: Connection refused" in seen(found)
        assert found.next_step.startswith(f"Let a server listen on 127.0.0.1:{port}, where `wire` leads to")


def test_the_wire_passed_on_what_the_target_did() -> None:
    with through() as (wire, client, server):
        told(wire, "connected")
        server.abort()
        found = explained(ConnectionResetError, client.recv, timeout=10)
        assert found.next_step.startswith(f"Look at the target {wire.target}: `wire` has only passed its RST on")


def test_the_wire_reset_after_it_had_ended_a_direction() -> None:
    with through(finish_at=3) as (wire, client, server):
        client.sendall(b"hello")
        told(wire, "finished")
        told(wire, "connected")
        server.abort()
        found = explained(ConnectionResetError, client.recv, timeout=10)
        assert "FIN after byte 3, from the wire (finish)" in seen(found)
        assert "only passed" not in found.next_step


def test_the_wire_ended_a_line() -> None:
    with through() as (wire, client, server):
        wire.to_server.finish_at = 3
        client.sendall(b"hello\n")
        found = explained(sl.IncompleteReadError, server.recv_line, timeout=10)
        assert "FIN after byte 3, from the wire (finish)" in seen(found)
        assert "print(wire.story)" in found.next_step


def test_the_wire_holds_back_what_is_waited_for() -> None:
    with through(stalled=True) as (wire, client, server):
        server.sendall(b"hello")
        eventually(lambda: wire.connections[0].waiting.to_client == 5)
        found = explained(TimeoutError, client.recv, timeout=0.01)
        assert "is set to stalled=True in the direction to_client" in seen(found)
        assert "has passed on 0 bytes to the target and 0 to the client, and holds 5" in seen(found)
        assert "print(wire.story)" in found.next_step
        assert "no variable of it" not in seen(found)


def test_a_wire_that_refuses() -> None:
    with sl.listen() as listener, sl.Wire(listener, refuse=True) as wire:
        found = explained(ConnectionRefusedError, sl.connect, wire.local_addr)
        assert found.next_step.startswith("Set wire.refuse = False")


def test_a_wire_without_a_name() -> None:
    with sl.listen() as listener:
        held = [sl.Wire(listener, drop=True)]
        with held[0], sl.connect(held[0].local_addr) as client:
            found = explained(ConnectionResetError, client.recv, timeout=10)
            assert "accepted and reset at once (drop)" in seen(found)
            assert found.next_step.startswith("Keep the wire in a variable")


def test_an_address_that_a_wire_has() -> None:
    with sl.listen() as listener, sl.Wire(listener) as wire:
        found = explained(OSError, sl.listen, wire.local_addr)
        assert f"this program (the wire `wire`, made in {__file__}" in seen(found)
        assert "Use wire.close() first" in found.next_step


def test_nobody_ever_listened_at_a_clients_port() -> None:
    with sl.listen() as listener:
        client = socket.create_connection(listener.local_addr)
        where = "{}:{}".format(*client.getsockname())
        with listener.accept(timeout=10) as accepted:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            del client
            clients_own(explained(ConnectionResetError, accepted.recv, timeout=10), where)


def test_nor_is_the_listener_missed_where_the_server_has_stopped() -> None:
    with sl.Server(reads, port=0) as server:
        client = socket.create_connection(server.local_addr)
        where = "{}:{}".format(*client.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        eventually(lambda: server.clients)
        client.close()
        eventually(lambda: server.errors)
    clients_own(patiently(server.errors[0].exception), where)


def clients_own(found: sl.Diagnosis, where: str) -> None:
    """The explanation speaks of a client, and of no listener."""
    assert "listens" not in seen(found)
    assert f"the client's socket {where} is gone" in seen(found)
    assert found.next_step.startswith("Look at the client's program")
