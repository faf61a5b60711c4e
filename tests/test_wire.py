"""The promise: a wire with nothing set is faithful. Bytes, FIN, half-close and RST pass as they came; it says that it is a relay, and it
ends cleanly.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import re
import socket
import warnings

import helpers
import pytest
import socklens as sl
from network import free_port
from wiring import through, told

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_bytes_pass_both_ways_as_they_are() -> None:
    data = random.Random(1).randbytes(3_000_000)
    with through() as (wire, client, server):
        for sender, receiver in ((client, server), (server, client)):
            sending = helpers.in_thread(sender.sendall, data, timeout=30)
            assert (
                hashlib.sha256(receiver.recv_exactly(len(data), timeout=30)).digest() == hashlib.sha256(data).digest()
            )
            sending.result(timeout=10)
        (conn,) = wire.connections
        assert conn.passed == (len(data), len(data))
        assert conn.waiting == (0, 0)
        assert (conn.number, conn.client_addr, conn.onward_addr) == (1, client.local_addr, server.peer_addr)
        assert client.peer_addr == wire.local_addr != wire.target == server.local_addr, "two TCP connections"


def test_a_half_close_is_kept() -> None:
    with through() as (wire, client, server):
        client.sendall(b"all that I have")
        client.shutdown("send")
        assert server.recv_all() == b"all that I have"
        server.sendall(b"the answer")
        assert client.recv_exactly(10) == b"the answer"
        server.close()
        assert client.recv() == b""
        assert [event.direction for event in told(wire, "finished", 2)] == ["to_server", "to_client"]
        told(wire, "over")
        assert wire.connections == []


@pytest.mark.parametrize("aborts", ["client", "server"])
def test_a_reset_is_passed_on_as_a_reset(aborts: str) -> None:
    with through() as (wire, client, server):
        breaks, other = (client, server) if aborts == "client" else (server, client)
        breaks.sendall(b"last words")
        assert other.recv_exactly(10) == b"last words"
        breaks.abort()
        with pytest.raises(ConnectionResetError):
            other.recv()
        (event,) = told(wire, "reset")
        assert event.direction == ("to_server" if aborts == "client" else "to_client")
        assert ("the client" if aborts == "client" else "the target") in event.text
        assert wire.connections == []


def test_what_was_sent_before_a_reset_can_be_read() -> None:
    with through() as (wire, client, server):
        client.sendall(b"last words")
        helpers.eventually(lambda: wire.connections[0].passed.to_server == 10)
        # Closed with bytes unread: the kernel sends RST (RFC 2525 section 2.17).
        server.sendall(b"nobody reads this")
        helpers.eventually(lambda: len(client.input_buffer) == 17)
        client.close()
        told(wire, "reset")
        assert server.recv_exactly(10) == b"last words"
        with pytest.raises(ConnectionResetError):
            server.recv()


def test_a_reset_after_a_half_close_is_passed_on() -> None:
    with through() as (_, client, server):
        client.shutdown("send")
        assert server.recv() == b""
        client.abort()

        def fails() -> bool:
            try:
                server.sendall(b"x")
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        helpers.eventually(fails, what="the reset")


def test_a_target_that_is_absent_is_told() -> None:
    with sl.Wire(("127.0.0.1", free_port())) as wire:
        with sl.connect(wire.local_addr) as client, pytest.raises(ConnectionResetError):
            client.recv(timeout=10)
        (event,) = told(wire, "unreachable")
        assert "nothing listens there" in event.text
        assert str(wire.target) in event.text
        assert wire.connections == []


def test_a_target_that_vanishes_and_comes_back() -> None:
    port = free_port()
    with sl.Wire(("127.0.0.1", port)) as wire:
        for greeting in (b"one", b"two"):
            with sl.listen(port=port) as listener, sl.connect(wire.local_addr, timeout=5) as client:
                server = listener.accept(timeout=5)
                server.sendall(greeting)
                assert client.recv_exactly(3, timeout=5) == greeting
                server.abort()
                with pytest.raises(ConnectionResetError):
                    client.recv(timeout=5)
            with sl.connect(wire.local_addr, timeout=5) as client, pytest.raises(ConnectionResetError):
                client.recv(timeout=5)


def test_every_address_of_a_name_is_tried() -> None:
    with sl.Server(sl.Echo(), "127.0.0.1") as server, sl.Wire(("localhost", server.local_addr.port)) as wire:
        client = sl.connect(wire.local_addr)
        with client:
            client.sendall(b"x")
            assert client.recv(timeout=5) == b"x"


# Targets, and peers of other kinds


def test_targets_of_every_kind() -> None:
    with sl.Server(sl.Echo(), port=0) as server, sl.Wire(server) as inner:
        host, port = server.local_addr
        for target in (server, server.listener, server.local_addr, (host, port), f"{host}:{port}", inner):
            with sl.Wire(target) as wire, sl.connect(wire.local_addr) as client:
                assert wire.target == (inner.local_addr if target is inner else server.local_addr)
                client.sendall(b"there and back")
                assert client.recv_exactly(14, timeout=10) == b"there and back"


def test_the_wires_own_address_as_for_listen() -> None:
    port = free_port()
    for place in (("127.0.0.1", port), (f"127.0.0.1:{port}",), (("127.0.0.1", port),)):
        with sl.Wire("127.0.0.1:9", *place) as wire:
            assert wire.local_addr == ("127.0.0.1", port)
            with pytest.raises(OSError, match="wire"):
                sl.listen(port=port)
    with sl.listen(port=0) as taken, pytest.raises(OSError, match="This program has it"):
        sl.Wire("127.0.0.1:9", port=taken.local_addr.port)
    with pytest.raises(ValueError, match="a wire to itself"):
        sl.Wire(("127.0.0.1", port), port=port)


def test_the_standard_library_and_asyncio_as_peers() -> None:
    async def talk(address: sl.Address) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"question\n")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    with socket.create_server(("127.0.0.1", 0)) as plain, sl.Wire(plain.getsockname(), split=3) as wire:

        def serve() -> bytes:
            conn, _ = plain.accept()
            with conn:
                got = b"".join(iter(lambda: conn.recv(100), b""))
                conn.sendall(b"answer to " + got)
            return got

        serving = helpers.in_thread(serve)
        assert asyncio.run(asyncio.wait_for(talk(wire.local_addr), 20)) == b"answer to question\n"
        assert serving.result(timeout=5) == b"question\n"


# What it says of itself


def test_it_says_that_it_is_a_relay() -> None:
    with through(split=2) as (wire, client, _):
        line, picture, drawn = repr(wire), str(wire), wire._repr_html_()
        for shown in (line, picture, drawn):
            assert "a relay" in shown
            assert "two TCP connections" in shown
            assert str(wire.local_addr) in shown
            assert str(wire.target) in shown
            assert "split=2" in shown
        assert "\n" not in line
        for shown in (picture, drawn):
            assert str(client.local_addr) in shown
            assert "waiting" in shown
        assert repr(wire.to_server) == "<to_server: split=2>"
        wire.to_server.clear()
        assert repr(wire.to_server) == "<to_server: as it comes>"
    assert "closed after 1 client" in repr(wire)
    assert wire.closed


def test_the_story_prints_a_line_for_each_event_and_draws_a_table() -> None:
    with through() as (wire, client, server):
        client.close()
        assert server.recv() == b""
        server.close()
        told(wire, "over")
    lines = repr(wire.story).splitlines()
    assert [event.what for event in wire.story] == ["accepted", "connected", "finished", "finished", "over", "closed"]
    assert len(lines) == 6
    assert all(re.match(r" +\d+\.\d{6} s  ", line) for line in lines)
    assert wire.story._repr_html_().count("<tr>") == 7
    seconds = [event.seconds for event in wire.story]
    assert seconds == sorted(seconds)
    assert sl.WireStory()._repr_html_().count("<tr>") == 0


def test_ports_name_the_wire() -> None:
    with through() as (wire, client, _):
        rows = {row.local: row for row in sl.ports(port=wire.local_addr.port) if row.peer is None}
        assert str(rows[wire.local_addr].owner).startswith("`wire`, ")
        mine = next(row for row in sl.ports() if row.local == wire.local_addr and row.peer == client.local_addr)
        assert str(mine.owner).startswith("`wire.connections[0]`")


# Its end


def test_close_ends_both_ends_and_frees_the_port() -> None:
    with through() as (wire, client, server):
        wire.close()
        assert client.recv() == b""
        assert server.recv() == b""
        with sl.listen(*wire.local_addr) as again:
            assert again.local_addr == wire.local_addr
        wire.close()
        assert wire.connections == []
        assert wire.story[-1].text == "the wire was closed, and 1 connection with it"


def test_close_in_the_middle_of_a_transfer_from_another_thread() -> None:
    with through() as (wire, client, server):
        sending = helpers.in_thread(client.sendall, bytes(50_000_000), timeout=30)
        assert server.recv_exactly(100_000)
        helpers.in_thread(wire.close).result(timeout=10)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            sending.result(timeout=10)
        with pytest.raises((sl.IncompleteReadError, ConnectionResetError)):
            server.recv_exactly(50_000_000)


def test_dropped_open_it_warns_and_closes() -> None:
    with sl.listen(port=0) as listener:
        wire = sl.Wire(listener)
        address = wire.local_addr
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del wire
            gc.collect()
        assert [str(warning.message).split(",")[0] for warning in caught] == [f"unclosed Wire {address}"]
        with pytest.raises(ConnectionRefusedError):
            sl.connect(address)
