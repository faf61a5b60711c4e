"""The promise: calls of several threads that meet at one moment do not spoil each other: what each of them promises
holds."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time

import pytest
import socklens as sl
from helpers import eventually, in_thread
from sleeping import sleeping_call
from test_waiting import full_listener, linux

Pair = tuple[sl.Connection, sl.Connection]


@pytest.fixture(autouse=True)
def _the_main_thread_has_waited() -> None:
    """Every thread keeps one descriptor for its waits: the main thread's is no leak."""
    client, server = sl.pair()
    with client, server, pytest.raises(TimeoutError):
        client.recv(timeout=0.001)


@pytest.mark.usefixtures("no_leaks")
def test_whoever_closes_finds_the_port_free_afterwards() -> None:
    """Several threads close at once; each of them may rely on what close promises."""
    for _ in range(100):
        listener = sl.listen(port=0)
        address = listener.local_addr
        accepting = [in_thread(list, listener) for _ in range(3)]
        together = threading.Barrier(3)

        def close(
            listener: sl.Listener = listener, address: sl.Address = address, together: threading.Barrier = together
        ) -> None:
            together.wait(20)
            listener.close()
            with pytest.raises(ConnectionRefusedError):
                sl.connect(address, timeout=20).close()

        for closing in [in_thread(close) for _ in range(3)]:
            closing.result(20)
        for waiting in accepting:
            assert waiting.result(20) == []


@pytest.mark.usefixtures("no_leaks")
def test_a_hand_over_at_any_moment_loses_nothing() -> None:
    """Bytes come, a reader waits, and the socket is given away, all at once: either it is refused, or the new owner
    sees every byte."""
    for _ in range(1000):
        client, server = sl.pair()
        together = threading.Barrier(2)

        def read(server: sl.Connection = server) -> None:
            with contextlib.suppress(sl.ClosedError):
                server.recv_exactly(3, timeout=20)

        def send(client: sl.Connection = client, together: threading.Barrier = together) -> None:
            together.wait(20)
            client.send(b"ab")

        reading, sending = in_thread(read), in_thread(send)
        together.wait(20)
        try:
            sock = server.to_socket()
        except BufferError:
            client.send(b"c")
        else:
            with sock:
                sock.settimeout(2)
                assert sock.recv(1) == b"a"
        sending.result(20)
        reading.result(20)
        client.close()
        server.close()


@pytest.mark.usefixtures("no_leaks")
def test_a_close_that_meets_a_refused_hand_over_closes() -> None:
    for _ in range(1000):
        client, server = sl.pair()
        together = threading.Barrier(3)

        def read(server: sl.Connection = server) -> None:
            with contextlib.suppress(sl.ClosedError):
                server.recv_exactly(3, timeout=20)

        def hand_over(server: sl.Connection = server, together: threading.Barrier = together) -> None:
            together.wait(20)
            with contextlib.suppress(BufferError, sl.ClosedError):
                socket.close(server.detach())

        def close(server: sl.Connection = server, together: threading.Barrier = together) -> None:
            together.wait(20)
            server.close()
            assert server.closed
            assert server.fileno() == -1

        jobs = [in_thread(read), in_thread(hand_over), in_thread(close)]
        together.wait(20)
        client.send(b"ab")
        try:
            for job in jobs:
                job.result(20)
        finally:
            client.close()
            server.close()


@linux
def test_a_wake_up_for_an_earlier_wait_does_not_end_a_later_one() -> None:
    """The reader's bytes come, and before it goes on it is woken a second time; then it connects to a host that does
    not answer."""
    interval = sys.getswitchinterval()
    with full_listener() as (silent, _):
        client, server = sl.pair()

        def read_and_connect() -> sl.TcpState:
            server.recv(1)
            with sl.connect(silent.getsockname(), timeout=1.5) as conn:
                return conn.state

        with client, server, sleeping_call(read_and_connect) as call:
            # As long as this thread keeps the interpreter, the reader cannot go on.
            sys.setswitchinterval(10)
            try:
                client.send(b"x")
                until = time.perf_counter() + 0.01
                while time.perf_counter() < until:
                    pass
                server.unrecv(b"y")
            finally:
                sys.setswitchinterval(interval)
            with pytest.raises(TimeoutError, match="timed out"):
                call.result(10)


@linux
def test_a_bulk_read_that_a_hand_over_ends_leaves_the_socket_as_it_was(pair: Pair) -> None:
    """While it waits, the kernel may gather more before it calls the socket readable; a new owner knows nothing of
    that."""
    client, server = pair
    with sleeping_call(lambda: server.recv_exactly(1 << 20)) as reading, server.to_socket() as sock:
        with pytest.raises(sl.ClosedError):
            reading.result(10)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
        client.send(b"x")
        assert select.select([sock], [], [], 5)[0] == [sock]
        sock.settimeout(5)
        assert sock.recv(10) == b"x"


@linux
def test_a_bulk_read_that_a_refused_hand_over_ends_leaves_the_socket_as_it_was(pair: Pair) -> None:
    client, server = pair
    client.send(b"some")
    eventually(lambda: len(server.input_buffer) == 4)
    with sleeping_call(lambda: server.recv_exactly(1 << 20)) as reading:
        with pytest.raises(BufferError, match="4 bytes"):
            server.to_socket()
        assert not server.closed
        if not reading.done():
            client.sendall(bytes((1 << 20) - 4))
            assert reading.result(10) == b"some" + bytes((1 << 20) - 4)
            client.send(b"some")
    client.send(b"x")
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    assert server.recv_exactly(5, timeout=5) == b"somex"


@linux
def test_a_bulk_read_that_runs_out_of_time_leaves_the_socket_as_it_was(pair: Pair) -> None:
    client, server = pair
    with pytest.raises(TimeoutError):
        server.recv_exactly(1 << 20, timeout=0.05)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    client.send(b"x")
    assert select.select([server], [], [], 5)[0] == [server]
