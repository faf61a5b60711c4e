"""The promise: a wait ends by its deadline, by a signal, by `_thread.interrupt_main()` or by `close()` in another thread, and the
object is as good as before."""

from __future__ import annotations

import _thread
import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from sleeping import sleeping_call

Pair = tuple[sl.Connection, sl.Connection]


def stuff(conn: sl.Connection) -> int:
    """Sends until the kernel takes no more; gives the number of bytes."""
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            total += conn.send(b"x" * 65536, timeout=0)
    return total


WAITS: dict[str, Callable[[sl.Connection], object]] = {
    "recv": lambda conn: conn.recv(),
    "recv_into": lambda conn: conn.recv_into(bytearray(8)),
    "recv_exactly": lambda conn: conn.recv_exactly(10),
    "recv_exactly, large": lambda conn: conn.recv_exactly(1 << 20),
    "recv_until": lambda conn: conn.recv_until(b"--"),
    "recv_line": lambda conn: conn.recv_line(),
    "recv_frame": lambda conn: conn.recv_frame(),
    "recv_all": lambda conn: conn.recv_all(),
    "peek": lambda conn: conn.peek(),
    "lines": lambda conn: next(conn.lines()),
    "sendall": lambda conn: conn.sendall(b"x" * (64 << 20)),
}


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@linux
@pytest.mark.parametrize("name", WAITS)
def test_close_wakes_every_waiter(pair: Pair, name: str) -> None:
    client, server = pair
    with sleeping_call(lambda: WAITS[name](client)) as call:
        client.close()
        with pytest.raises(sl.ClosedError, match="closed by this program"):
            call.result(10)
    server.close()


@linux
def test_close_wakes_all_who_wait_on_both_sides_of_one_connection(pair: Pair) -> None:
    client, server = pair
    stuff(client)
    calls: list[Callable[[], object]] = [
        client.recv,
        client.recv_line,
        lambda: client.send(b"x"),
        lambda: client.sendall(b"y"),
    ]
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(sleeping_call(call)) for call in (calls[0], calls[2])]
        # These wait for their turn behind the first two.
        others: list[Future[Any]] = [Future(), Future()]
        threads = [
            threading.Thread(target=settle, args=pair_) for pair_ in zip(others, (calls[1], calls[3]), strict=True)
        ]
        for thread in threads:
            thread.start()
        client.close()
        for call in [*first, *others]:
            with pytest.raises(sl.ClosedError):
                call.result(10)
        for thread in threads:
            thread.join(10)
    server.abort()


def settle(future: Future[Any], call: Callable[[], object]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


@linux
def test_closing_a_listener_wakes_accept_and_frees_the_port_at_once() -> None:
    listener = sl.listen()
    port = listener.local_addr.port
    with sleeping_call(listener.accept) as one, sleeping_call(listener.accept) as two:
        listener.close()
        # No SO_REUSEADDR: a listener that still existed would keep the port.
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))
            again.listen()
        for call in (one, two):
            with pytest.raises(sl.ClosedError, match=f"127.0.0.1:{port} was closed by this program"):
                call.result(10)


@linux
def test_close_wakes_a_connection_attempt() -> None:
    with full_listener() as (listener, _), sl.connect(listener.getsockname(), wait=False) as conn:
        assert conn.state == sl.TcpState.SYN_SENT
        with sleeping_call(conn.wait_connected) as call:
            conn.close()
            with pytest.raises(sl.ClosedError):
                call.result(10)


@contextlib.contextmanager
def full_listener() -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """A listener whose accept queue is full, so that the next client gets no answer to its SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [stack.enter_context(socket.socket()) for _ in range(1)]
        for client in clients:
            client.connect(listener.getsockname())
        yield listener, clients


def test_a_connection_attempt_that_gets_no_answer_times_out() -> None:
    with full_listener() as (listener, _), pytest.raises(TimeoutError, match="backlog") as caught:
        sl.connect(listener.getsockname(), timeout=0.2)
    assert caught.value.errno is not None


@pytest.mark.parametrize("name", WAITS)
def test_a_deadline_ends_the_wait_and_no_byte_is_lost(pair: Pair, name: str) -> None:
    client, server = pair
    client.timeout = 0.05
    if name in ("recv", "recv_into", "peek"):
        with pytest.raises(TimeoutError, match=r"timed out after 0\.05 s"):
            WAITS[name](client)
    elif name == "sendall":
        with pytest.raises(TimeoutError, match="the send buffer was full") as caught:
            WAITS[name](client)
        sent = caught.value.sent  # type: ignore[attr-defined]
        assert 0 < sent == client.totals.sent
        assert len(server.recv_exactly(sent)) == sent
    else:
        server.send(b"\0\0\0\x09ab")
        with pytest.raises(TimeoutError, match="still in the input buffer"):
            WAITS[name](client)
        assert client.recv() == b"\0\0\0\x09ab"
    server.send(b"on")
    assert client.recv_exactly(2, timeout=5) == b"on"


@pytest.mark.parametrize("name", WAITS)
def test_a_timeout_of_zero_never_waits(pair: Pair, name: str) -> None:
    client, _ = pair
    client.timeout = 0
    with pytest.raises(BlockingIOError) as caught:
        WAITS[name](client)
    assert caught.value.errno is not None


def test_a_timeout_of_zero_takes_what_is_here(pair: Pair) -> None:
    client, server = pair
    server.send(b"one\ntwo")
    eventually(lambda: len(client.input_buffer) == 7)
    assert client.recv_line(timeout=0) == b"one\n"
    with pytest.raises(BlockingIOError):
        client.recv_line(timeout=0)
    assert client.recv(timeout=0) == b"two"


@pytest.fixture
def alarm_in_50_ms() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise ZeroDivisionError("from the handler")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm_in_50_ms")
@pytest.mark.parametrize("name", WAITS)
def test_a_signal_handlers_own_exception_comes_through(pair: Pair, name: str) -> None:
    client, server = pair
    partial = b"" if name in ("recv", "recv_into", "peek") else b"\0\0\0\x09ab"
    if partial:
        server.send(partial)
    with pytest.raises(ZeroDivisionError, match="from the handler"):
        WAITS[name](client)
    server.send(b"cd")
    assert client.recv_exactly(len(partial) + 2, timeout=5) == partial + b"cd"


def test_accept_is_interrupted_and_goes_on(listener: sl.Listener) -> None:
    # As ipykernel interrupts on Windows: no signal, so no EINTR.
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        listener.accept()
    timer.join()
    with sl.connect(listener.local_addr) as client, listener.accept(timeout=5) as server:
        assert server.peer_addr == client.local_addr


def test_a_handler_that_does_not_raise_lets_the_wait_go_on(pair: Pair) -> None:
    client, server = pair
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(server.send(b"woken")))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert client.recv(timeout=10) == b"woken"
        assert rung == [5]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handler_that_calls_what_it_interrupted_is_told_so(pair: Pair) -> None:
    client, server = pair
    told: list[BaseException] = []

    def handler(*_: object) -> None:
        for call in (client.recv, client.recv_line):
            try:
                call()
            except RuntimeError as error:
                told.append(error)
        client.send(b"the other direction is free")
        server.send(b"woken")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert client.recv(timeout=10) == b"woken"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(told) == 2
    assert "signal handler" in str(told[0])


def test_ctrl_c_ends_a_plain_script() -> None:
    script = """
        import socklens as sl
        listener = sl.listen()
        print(listener.local_addr.port, flush=True)
        try:
            listener.accept()
        except KeyboardInterrupt:
            with sl.connect(listener.local_addr) as client, listener.accept(timeout=5) as server:
                client.send(b"still here")
                print(server.recv().decode(), flush=True)
        listener.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        if sys.platform.startswith("linux"):
            eventually(lambda: asleep_in(process.pid), what="the script asleep in accept")
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.stdout.readline() == "still here\n"
        assert time.monotonic() - start < 5
        assert process.wait(10) == 0


def asleep_in(pid: int) -> bool:
    with open(f"/proc/{pid}/syscall") as file:
        return file.read().split()[0] in {"7", "271", "73"}


def test_a_deadline_counts_from_the_call(pair: Pair) -> None:
    """A peer that dribbles does not move the deadline of a framing read."""
    client, server = pair
    stop = threading.Event()

    def dribble() -> None:
        while not stop.wait(0.02):
            server.send(b".")

    thread = threading.Thread(target=dribble)
    thread.start()
    start = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            client.recv_line(timeout=0.3)
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - start < 5
    assert set(client.recv()) == {ord(".")}
