"""The promise: it is TCP. Any other program is a peer in either role, and a socket changes hands both ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import selectors
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
import socklens as sl
from flow import HOSTS, ends, stream
from helpers import eventually, in_thread, lacking, need
from program import Program
from sleeping import sleeping_call
from test_waiting import linux

Pair = tuple[sl.Connection, sl.Connection]
MUCH = stream(0, 3_000_000)


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """Loopback of both families."""
    host = str(request.param)
    try:
        sl.listen(host, 0).close()
    except OSError:
        lacking(f"this machine has no {host}")
    return host


@pytest.fixture
def sock_pair(host: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Client and server of the standard library."""
    with (
        socket.create_server((host, 0), family=family(host)) as server,
        socket.create_connection(at(server), 10) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            yield client, accepted


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def at(sock: socket.socket) -> tuple[str, int]:
    host, port, *_ = sock.getsockname()
    return host, port


def both_directions(conn: sl.Connection, sock: socket.socket) -> None:
    """Much at once in both directions, FIN from each, and the addresses that each side sees."""
    conn.timeout = 10
    sock.settimeout(10)
    assert conn.local_addr == sock.getpeername()[:2]
    assert conn.peer_addr == at(sock)
    sending = in_thread(conn.sendall, MUCH)
    with sock.makefile("rb") as file:
        assert file.read(len(MUCH)) == MUCH
        sending.result(10)
        sending = in_thread(sock.sendall, MUCH[::-1])
        assert conn.recv_exactly(len(MUCH)) == MUCH[::-1]
        sending.result(10)
        sock.shutdown(socket.SHUT_WR)
        assert conn.recv() == b""
        conn.sendall(b"last words")
        conn.shutdown("send")
        assert file.read() == b"last words"


def test_a_client_of_the_standard_library(host: str) -> None:
    with (
        sl.listen(host, 0) as listener,
        socket.create_connection(listener.local_addr, 10) as client,
        listener.accept(timeout=10) as conn,
    ):
        both_directions(conn, client)


def test_a_server_of_the_standard_library(host: str) -> None:
    with socket.create_server((host, 0), family=family(host)) as server, sl.connect(at(server), timeout=10) as conn:
        accepted, _ = server.accept()
        with accepted:
            both_directions(conn, accepted)


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


LINES = [b"line %d of asyncio\n" % number for number in range(500)]


def test_a_server_of_asyncio(host: str) -> None:
    started: Future[tuple[str, int]] = Future()
    asked: Future[Callable[[], object]] = Future()

    async def serve() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo_lines, host, 0) as server:
            asked.set_result(lambda: loop.call_soon_threadsafe(done.set))
            started.set_result(at(server.sockets[0]))
            await done.wait()

    serving = in_thread(asyncio.run, serve())
    with sl.connect(started.result(10), timeout=10) as conn:
        conn.timeout = 10
        conn.sendall(b"".join(LINES))
        conn.shutdown("send")
        assert list(conn.lines()) == [line.upper() for line in LINES]
    asked.result()()
    serving.result(10)


def test_a_client_of_asyncio(host: str) -> None:
    async def ask(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.writelines(LINES)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    with sl.listen(host, 0) as listener:
        asking = in_thread(asyncio.run, ask(*listener.local_addr))
        with listener.accept(timeout=10) as conn:
            for line in conn.lines(timeout=10):
                conn.sendall(line.upper())
        assert asking.result(10) == b"".join(LINES).upper()


def test_nc_as_client() -> None:
    with sl.listen(port=0) as listener:
        host, port = listener.local_addr
        with Program(need("nc"), host, str(port)) as nc, listener.accept(timeout=10) as conn:
            nc.feed(b"hello from nc\n")
            assert conn.recv_line(timeout=10) == b"hello from nc\n"
            conn.sendall(MUCH)
            eventually(lambda: len(nc.out) == len(MUCH))
            assert bytes(nc.out) == MUCH
            conn.close()
            nc.end_input()
            nc.ended()


def test_nc_as_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host, port = at(free)
    with Program(need("nc"), "-v", "-l", host, str(port)) as nc:
        nc.wait_for("istening")
        with sl.connect(host, port, timeout=10) as conn:
            conn.sendall(b"to nc\n")
            nc.wait_for("to nc\n", stdout=True)
            feeding = in_thread(nc.feed, MUCH)
            assert conn.recv_exactly(len(MUCH), timeout=10) == MUCH
            feeding.result(10)
            conn.close()
            nc.end_input()
            nc.ended()


def test_curl_gets_a_page(host: str) -> None:
    with sl.listen(host, 0) as listener:
        command = [need("curl"), "-gsS", "--max-time", "10", "--noproxy", "*", f"http://{listener.local_addr}/page"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl, listener.accept(timeout=10) as conn:
            request = conn.recv_until(b"\r\n\r\n", timeout=10)
            assert request.startswith(b"GET /page HTTP/1.1\r\n")
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(MUCH))
            sending = in_thread(conn.sendall, MUCH)
            body, _ = curl.communicate(timeout=10)
            sending.result(10)
    assert (body, curl.returncode) == (MUCH, 0)


@pytest.mark.parametrize("timeout", [None, 0.0, 2.5])
def test_from_socket(sock_pair: tuple[socket.socket, socket.socket], timeout: float | None) -> None:
    sock, peer = sock_pair
    name = at(sock)
    sock.settimeout(timeout)
    peer.sendall(b"before")
    with sl.Connection.from_socket(sock) as conn:
        assert (sock.fileno(), conn.timeout, conn.local_addr, conn.peer_addr) == (-1, timeout, name, at(peer))
        assert conn.state == sl.TcpState.ESTABLISHED
        assert (conn.totals.received, conn.output_buffer.asked) == (0, None)
        assert conn.recv_exactly(6, timeout=10) == b"before"
        both_directions(conn, peer)


def test_to_socket(pair: Pair) -> None:
    client, server = pair
    name, number = client.local_addr, client.fileno()
    server.send(b"in the kernel")
    client.timeout = 2.5
    with client.to_socket() as sock:
        assert (sock.fileno(), at(sock), sock.gettimeout(), sock.family) == (number, name, 2.5, socket.AF_INET)
        assert client.closed
        with pytest.raises(sl.ClosedError, match="detached by this program"):
            client.recv()
        client.close()
        assert sock.recv(100) == b"in the kernel"
        both_directions(server, sock)


def test_to_socket_knows_its_family(host: str) -> None:
    with ends(host) as (client, server), client.to_socket() as sock:
        assert (sock.family, sock.gettimeout(), sock.getblocking()) == (family(host), None, True)
        both_directions(server, sock)


def test_detach_gives_an_open_descriptor(pair: Pair) -> None:
    client, server = pair
    number = client.detach()
    assert client.fileno() == -1
    os.write(number, b"by its number")
    assert server.recv_exactly(13, timeout=10) == b"by its number"
    os.close(number)
    assert server.recv(timeout=10) == b""
    with pytest.raises(sl.ClosedError, match="detached"):
        client.detach()


def test_a_socket_round_trip_keeps_what_waits(pair: Pair) -> None:
    client, server = pair
    server.sendall(b"one\ntwo\nthree\n")
    assert client.recv_line(timeout=10) == b"one\n"
    eventually(lambda: client.input_buffer.rust == 10)
    # A new owner could not see these bytes; the connection stays as it was.
    for hand_over in (client.detach, client.to_socket):
        with pytest.raises(BufferError, match="10 bytes in Rust memory"):
            hand_over()
    assert not client.closed
    assert client.recv() == b"two\nthree\n"
    server.send(b"four\n")
    with sl.Connection.from_socket(client.to_socket()) as again:
        assert again.recv_line(timeout=10) == b"four\n"


@linux
@pytest.mark.parametrize("size", [100, 100_000])
def test_a_hand_over_loses_nothing_that_a_waiting_read_has_gathered(pair: Pair, size: int) -> None:
    client, server = pair
    with sleeping_call(lambda: server.recv_exactly(size)) as reading:
        client.send(b"gathered")
        eventually(lambda: server.input_buffer.rust == 8)
        with contextlib.ExitStack() as stack:
            try:
                sock = stack.enter_context(server.to_socket())
            except BufferError:
                # Refused: then the reader goes on.
                client.sendall(bytes(size - 8))
                assert reading.result(10) == b"gathered" + bytes(size - 8)
            else:
                sock.settimeout(2)
                assert sock.recv(100) == b"gathered"


NOT_CONNECTED = [
    lambda: socket.socket(),
    lambda: socket.socket(type=socket.SOCK_DGRAM),
    lambda: socket.create_server(("127.0.0.1", 0)),
    lambda: socket.socketpair()[0],
]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("make", NOT_CONNECTED, ids=["unconnected", "udp", "listening", "unix"])
def test_from_socket_refuses_and_leaves_the_socket_alone(make: Callable[[], socket.socket]) -> None:
    with make() as sock:
        with pytest.raises(ValueError, match="a Connection is made from a connected TCP socket"):
            sl.Connection.from_socket(sock)
        assert sock.fileno() >= 0
        sock.getsockname()
    with pytest.raises(ValueError, match="closed"):
        sl.Connection.from_socket(sock)
    for wrong in (7, "sock", None, object()):
        with pytest.raises(TypeError, match="from_socket takes a socket"):
            sl.Connection.from_socket(wrong)  # type: ignore[arg-type]


def test_a_listener_changes_hands(host: str) -> None:
    sock = socket.create_server((host, 0), family=family(host))
    sock.settimeout(2.5)
    address = at(sock)
    with sl.connect(address, timeout=10) as first, sl.Listener.from_socket(sock) as listener:
        assert (listener.local_addr, listener.timeout, sock.fileno()) == (address, 2.5, -1)
        assert listener.backlog.waiting == 1
        with listener.accept() as conn:
            assert (conn.peer_addr, conn.timeout) == (first.local_addr, 2.5)
        with listener.to_socket() as sock, sl.connect(address, timeout=10) as second:
            assert (at(sock), sock.gettimeout(), listener.closed) == (address, 2.5, True)
            with pytest.raises(sl.ClosedError, match="detached"):
                listener.accept()
            accepted, peer = sock.accept()
            assert peer[:2] == second.local_addr
            accepted.close()
    with sl.listen(host, 0) as listener:
        number = listener.detach()
        with socket.socket(fileno=number) as sock:
            assert at(sock) == listener.local_addr


def test_from_socket_refuses_what_does_not_listen(sock_pair: tuple[socket.socket, socket.socket]) -> None:
    for sock in (sock_pair[0], socket.socket()):
        with sock, pytest.raises(ValueError, match="listen"):
            sl.Listener.from_socket(sock)


def test_select(pair: Pair, listener: sl.Listener) -> None:
    client, server = pair
    reading: list[sl.Connection | sl.Listener] = [server, listener]
    assert select.select(reading, [server], [], 0) == ([], [server], [])
    client.send(b"x")
    assert select.select(reading, [], [], 10) == ([server], [], [])
    server.recv()
    with sl.connect(listener.local_addr):
        assert select.select(reading, [], [], 10) == ([listener], [], [])
    server.close()
    with pytest.raises(ValueError, match="file descriptor"):
        select.select([server], [], [], 0)


def test_a_server_made_with_selectors(listener: sl.Listener) -> None:
    def serve(clients: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while clients or len(selector.get_map()) > 1:
                for key, _ in selector.select(10):
                    if key.fileobj is listener:
                        selector.register(listener.accept(timeout=0), selectors.EVENT_READ)
                        clients -= 1
                        continue
                    conn = key.fileobj
                    assert isinstance(conn, sl.Connection)
                    if data := conn.recv(timeout=0):
                        conn.sendall(data)
                    else:
                        selector.unregister(conn)
                        conn.close()

    serving = in_thread(serve, 5)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(listener.local_addr, 10)) for _ in range(5)]
        for _ in range(20):
            for number, client in enumerate(clients):
                client.sendall(b"%d" % number)
                assert client.recv(10) == b"%d" % number
    serving.result(10)


def test_asyncio_watches_a_connections_descriptor(pair: Pair) -> None:
    client, server = pair

    async def wait_for_bytes() -> bytes:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(server.fileno(), ready.set)
        client.send(b"ready")
        async with asyncio.timeout(10):
            await ready.wait()
        loop.remove_reader(server.fileno())
        return server.recv(timeout=0)

    assert asyncio.run(wait_for_bytes()) == b"ready"
