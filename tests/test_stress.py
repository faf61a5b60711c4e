"""The promise: under load, with timeouts, interrupts, closes and aborts at any moment, every byte arrives once and in
its place, and nothing is left over: no descriptor, no thread."""

from __future__ import annotations

import contextlib
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
import socklens as sl
from flow import stream
from helpers import eventually, in_thread
from signals import CameInBetweenError
from sleeping import asleep
from test_waiting import linux

CONNECTIONS = 50
# 50 connections, both ways: 200 MB.
EACH_WAY = 2_000_000
WAITED = (BlockingIOError, TimeoutError)
TIMEOUTS = (0.0, 0.0002, 0.001, 0.02, 20.0)


@pytest.fixture(autouse=True)
def _the_main_thread_has_waited() -> None:
    """Every thread keeps one descriptor for its waits: the main thread's is no leak."""
    client, server = sl.pair()
    with client, server, pytest.raises(TimeoutError):
        client.recv(timeout=0.001)


def some_size(chance: random.Random) -> int:
    """Mostly small, sometimes larger than any buffer."""
    return int(2 ** chance.uniform(0, 18))


def write(conn: sl.Connection, chance: random.Random, start: int) -> None:
    """Sends the stream from `start` on, in pieces of any size; `totals` knows how far it came, whatever was raised."""
    while (position := conn.totals.sent) < EACH_WAY:
        data = stream(start + position, min(some_size(chance), EACH_WAY - position))
        with contextlib.suppress(*WAITED):
            chance.choice((conn.send, conn.sendall))(data, timeout=chance.choice(TIMEOUTS))


def read(conn: sl.Connection, chance: random.Random, start: int) -> None:
    """Takes the stream in every way there is, and checks every byte at its place."""
    space = bytearray(1 << 18)
    while (position := at(conn)) < EACH_WAY:
        size = min(some_size(chance), EACH_WAY - position)
        timeout = chance.choice(TIMEOUTS)
        with contextlib.suppress(*WAITED):
            match chance.randrange(6):
                case 0:
                    data = conn.recv(size, timeout=timeout)
                case 1:
                    data = bytes(space[: conn.recv_into(space, size, timeout=timeout)])
                case 2:
                    data = conn.recv_exactly(size, timeout=timeout)
                case 3:
                    data = conn.peek(size, timeout=timeout)
                case 4:
                    end = stream(start + position + size - 1, 1)
                    data = conn.recv_until(end, timeout=timeout)
                case _:
                    data = conn.recv(size, timeout=timeout)
                    back = data[chance.randrange(len(data)) :] if data else b""
                    conn.unrecv(back)
            assert data, "an end of stream before the end"
            assert data == stream(start + position, len(data))


def at(conn: sl.Connection) -> int:
    """Where in the stream the reader stands."""
    totals = conn.totals
    return totals.read - totals.put_back


def or_abort(
    job: Callable[[sl.Connection, random.Random, int], None], conn: sl.Connection, seed: int, start: int
) -> None:
    """A job that fails ends those who wait for it."""
    try:
        job(conn, random.Random(seed + start), start)
    except BaseException:
        conn.abort()
        raise


def read_and_write_under_interrupts(conn: sl.Connection, chance: random.Random, start: int, back: int) -> None:
    """Reads and writes in turn while a signal comes at random moments, in a call or beside it."""
    armed = False

    def handler(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise CameInBetweenError

    space = bytearray(1 << 18)
    before = signal.signal(signal.SIGALRM, handler)
    came = 0
    try:
        while conn.totals.sent < EACH_WAY or at(conn) < EACH_WAY:
            read_so_far, sent_so_far = at(conn), conn.totals.sent
            size = some_size(chance)
            data = stream(start + sent_so_far, min(size, EACH_WAY - sent_so_far))
            kind = chance.randrange(5)
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.002))
            try:
                armed = True
                with contextlib.suppress(*WAITED):
                    if kind == 0 and data:
                        chance.choice((conn.send, conn.sendall))(data, timeout=0.003)
                    elif kind == 1:
                        conn.recv_exactly(min(size, EACH_WAY - read_so_far), timeout=0.003)
                    elif kind == 2:
                        conn.recv_until(b"\0", timeout=0.003)
                    else:
                        conn.recv_into(space, timeout=0.003)
                armed = False
            except CameInBetweenError:
                came += 1
            totals = conn.totals
            assert totals.received + totals.put_back == totals.read + conn.input_buffer.rust
            if kind > 2:
                # Whether or not the call came back: what it says that it has handed out is there.
                count = at(conn) - read_so_far
                assert space[:count] == stream(back + read_so_far, count)
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came > 10


def cut_off(chance: random.Random, over: threading.Event) -> int:
    """Connections that end in the middle, by either side: what came is right as far as it goes, and the end is told
    as what it was."""
    count = 0
    while not over.is_set():
        client, server = sl.pair()
        with client, server:
            who = chance.choice((client, server))
            how = chance.choice(("close", "abort", "shutdown") if who is client else ("close", "abort"))
            limit = chance.randrange(200_000)
            writing = in_thread(write_until_it_ends, client, random.Random(chance.random()))
            position = 0
            try:
                while data := server.recv(some_size(chance), timeout=20):
                    assert data == stream(position, len(data))
                    position += len(data)
                    if position > limit >= 0:
                        getattr(who, how)(*(["send"] if how == "shutdown" else []))
                        limit = -1
                told = "FIN"
            except ConnectionResetError:
                told = "RST"
            except sl.ClosedError:
                told = "closed here"
            ended = writing.result(30)
        sent = client.totals.sent
        if who is server:
            assert (told, isinstance(ended, ConnectionError)) == ("closed here", True), (how, ended)
        elif how == "abort":
            assert (told, type(ended)) == ("RST", sl.ClosedError)
        else:
            assert (told, position) == ("FIN", sent)
            assert type(ended) is (sl.ClosedError if how == "close" else BrokenPipeError)
        count += 1
    return count


def write_until_it_ends(conn: sl.Connection, chance: random.Random) -> OSError:
    while True:
        try:
            with contextlib.suppress(*WAITED):
                conn.sendall(stream(conn.totals.sent, some_size(chance)), timeout=chance.choice(TIMEOUTS))
        except OSError as error:
            return error


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts with a signal of Unix")
@pytest.mark.parametrize("seed", range(3))
def test_200_mb_through_50_connections(seed: int) -> None:
    jobs: list[Future[None]] = []
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(sl.listen(port=0))
        pairs = []
        for number in range(CONNECTIONS):
            client = stack.enter_context(sl.connect(listener.local_addr, timeout=20))
            server = stack.enter_context(listener.accept(timeout=20))
            pairs.append((client, server))
            there, back = number * 7919, (number + CONNECTIONS) * 7919
            jobs.append(in_thread(or_abort, write, client, seed, there))
            jobs.append(in_thread(or_abort, read, client, seed, back))
            if number > 0:
                jobs.append(in_thread(or_abort, write, server, seed, back))
                jobs.append(in_thread(or_abort, read, server, seed, there))
        cutting = [in_thread(cut_off, random.Random(seed * 2 + number), over) for number in range(2)]
        try:
            read_and_write_under_interrupts(pairs[0][1], random.Random(seed), CONNECTIONS * 7919, 0)
        finally:
            problems = [problem for job in jobs if (problem := job.exception(90))]
            over.set()
            assert not problems
        assert sum(job.result(60) for job in cutting) > 10
        for pair in pairs:
            for conn in pair:
                conn.shutdown("send")
            for conn in pair:
                assert conn.recv(timeout=20) == b""
                assert (conn.totals.sent, at(conn), len(conn.input_buffer)) == (EACH_WAY, EACH_WAY, 0)


@pytest.mark.usefixtures("no_leaks")
def test_a_thousand_clients_come_and_go(listener: sl.Listener) -> None:
    chance = random.Random(1000)
    for number in range(1000):
        client = sl.connect(listener.local_addr, timeout=20)
        server = listener.accept(timeout=20)
        assert (server.peer_addr, server.local_addr) == (client.local_addr, listener.local_addr)
        if number % 2:
            client.sendall(b"%d\n" % number)
            assert server.recv_line(timeout=20) == b"%d\n" % number
        both = [client, server]
        chance.shuffle(both)
        for conn in both:
            chance.choice((conn.close, conn.abort))()
    assert (listener.accepted, listener.connections, listener.backlog.waiting) == (1000, [], 0)


@pytest.mark.usefixtures("no_leaks")
def test_clients_that_nobody_accepts_leave_nothing() -> None:
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            with sl.listen(port=0) as listener:
                clients = [stack.enter_context(sl.connect(listener.local_addr, timeout=20)) for _ in range(50)]
                clients[0].abort()
            for client in clients[1:]:
                with pytest.raises(ConnectionResetError):
                    client.recv(timeout=20)


@linux
@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("reuse_addr", [True, False])
def test_a_port_is_closed_and_opened_300_times_while_a_thread_waits_in_accept(reuse_addr: bool) -> None:
    handed: queue.Queue[sl.Listener | None] = queue.Queue()
    ids: queue.Queue[int] = queue.Queue()

    def accept_all() -> int:
        ids.put(threading.get_native_id())
        closed = 0
        while (mine := handed.get(timeout=60)) is not None:
            try:
                while True:
                    mine.accept(timeout=60).close()
            except sl.ClosedError:
                closed += 1
        return closed

    accepting = in_thread(accept_all)
    acceptor = ids.get(timeout=20)
    listener = sl.listen(port=0, reuse_addr=reuse_addr)
    address = listener.local_addr
    for number in range(300):
        handed.put(listener)
        # Now and then without care for how far the thread has come.
        if number % 10:
            eventually(lambda: asleep(acceptor), what="a thread asleep in accept")
        if reuse_addr and number % 3 == 0:
            # Its end rests in TIME_WAIT on this very port.
            with sl.connect(address, timeout=20) as client:
                assert client.recv(timeout=20) == b""
        listener.close()
        if number % 10 == 0:
            assert listener.state == sl.TcpState.CLOSED
        listener = sl.listen(address, reuse_addr=reuse_addr)
    handed.put(None)
    listener.close()
    assert accepting.result(60) == 300


def test_a_peer_cannot_fill_this_programs_memory(pair: tuple[sl.Connection, sl.Connection]) -> None:
    """A framing read takes its limit and one read more at the most, however much is offered and however often it is
    called."""
    client, server = pair
    line = b"x" * 999 + b"\n"
    flooding = in_thread(write_until_it_ends, client, random.Random(7))
    limit, one_read = 5000, 256 << 10
    for _ in range(300):
        for read in (server.recv_until, server.recv_line):
            with contextlib.suppress(sl.FrameTooLongError):
                read(*([b"no such bytes"] if read == server.recv_until else []), max_bytes=limit, timeout=20)
        with pytest.raises(sl.FrameTooLongError):
            server.recv_all(max_bytes=limit, timeout=20)
        assert server.input_buffer.rust <= limit + one_read
        server.recv_exactly(20_000, timeout=20)
        with contextlib.suppress(*WAITED):
            server.recv_exactly(100_000, timeout=0)
        server.unrecv(line)
        assert server.input_buffer.rust <= 100_000 + one_read + len(line)
        server.recv_exactly(len(line), timeout=20)
    server.abort()
    assert isinstance(flooding.result(20), ConnectionError)
