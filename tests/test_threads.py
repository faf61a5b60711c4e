"""The promise: everything may be used from many threads at once. A reader and a writer never wait for each other; framing reads each
get whole frames; messages sent by several threads do not mix."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from helpers import eventually

Pair = tuple[sl.Connection, sl.Connection]
InThread = Callable[..., Future[Any]]


def test_a_waiting_reader_does_not_hold_up_a_writer(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    reader = in_thread(client.recv)
    for number in range(100):
        client.sendall(b"%d\n" % number, timeout=10)
    assert server.recv_until(b"99\n").count(b"\n") == 100
    server.send(b"done")
    assert reader.result(10) == b"done"


def test_a_waiting_writer_does_not_hold_up_a_reader(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    much = b"x" * (32 << 20)
    writer = in_thread(client.sendall, much)
    server.send(b"read me")
    assert client.recv_exactly(7, timeout=10) == b"read me"
    assert server.recv_exactly(len(much), timeout=30) == much
    writer.result(10)


@pytest.mark.parametrize("size", [16, 100_000])
def test_concurrent_framing_reads_each_get_whole_frames(pair: Pair, in_thread: InThread, size: int) -> None:
    client, server = pair
    frames = [bytes([number]) * size for number in range(100)]
    got: collections.Counter[bytes] = collections.Counter()
    lock = threading.Lock()

    def read(count: int) -> None:
        for _ in range(count):
            frame = server.recv_exactly(size, timeout=30)
            with lock:
                got[frame] += 1

    readers = [in_thread(read, 25) for _ in range(4)]
    for frame in frames:
        # In pieces, so that readers wait in the middle of a frame.
        client.sendall(frame[: size // 3])
        client.sendall(frame[size // 3 :])
    for reader in readers:
        reader.result(60)
    assert got == collections.Counter(frames)


def test_concurrent_line_readers_each_get_whole_lines(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    lines = [b"line %d of many\n" % number for number in range(2000)]

    def read() -> list[bytes]:
        return list(server.lines())

    readers = [in_thread(read) for _ in range(4)]
    stream = b"".join(lines)
    for start in range(0, len(stream), 37):
        client.sendall(stream[start : start + 37])
    client.shutdown("send")
    assert sorted(line for reader in readers for line in reader.result(30)) == sorted(lines)


def test_messages_of_several_senders_do_not_mix(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    size = 300_000
    senders = [in_thread(client.sendall, bytes([number]) * size) for number in range(1, 9)]
    seen = [server.recv_exactly(size, timeout=30) for _ in senders]
    assert sorted(seen) == [bytes([number]) * size for number in range(1, 9)]
    for sender in senders:
        sender.result(10)


def test_a_reader_in_line_has_a_deadline_of_its_own(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    first = in_thread(client.recv_line)
    eventually(lambda: not first.done())
    with pytest.raises(TimeoutError):
        client.recv(timeout=0.05)
    with pytest.raises(BlockingIOError):
        client.recv(timeout=0)
    server.send(b"a line\n")
    assert first.result(10) == b"a line\n"


def test_views_do_not_wait_for_a_waiting_call(pair: Pair, in_thread: InThread) -> None:
    client, server = pair
    waiting = in_thread(server.recv_exactly, 200_000)
    client.sendall(b"y" * 100_000)
    # What a read in progress has gathered is still in the input buffer.
    eventually(lambda: len(server.input_buffer) == 100_000)
    view = server.input_buffer
    assert set(view.peek()) == {ord("y")}
    assert server.totals.read == 0
    assert server.state == sl.TcpState.ESTABLISHED
    assert "in" in repr(server)
    client.sendall(b"y" * 100_000)
    assert waiting.result(10) == b"y" * 200_000
    assert (server.totals.read, len(server.input_buffer)) == (200_000, 0)


def test_many_threads_accept_from_one_listener(listener: sl.Listener, in_thread: InThread) -> None:
    accepting = [in_thread(listener.accept) for _ in range(8)]
    clients = [sl.connect(listener.local_addr) for _ in range(8)]
    servers = [future.result(10) for future in accepting]
    assert {conn.peer_addr for conn in servers} == {conn.local_addr for conn in clients}
    for conn in clients + servers:
        conn.close()


def test_close_from_many_threads_at_once(pair: Pair, in_thread: InThread) -> None:
    client, _ = pair
    reader = in_thread(client.recv)
    closers = [in_thread(client.close) for _ in range(8)]
    for closer in closers:
        closer.result(10)
    with pytest.raises(sl.ClosedError):
        reader.result(10)


def test_a_busy_interpreter_and_a_stream_of_lines(pair: Pair, in_thread: InThread) -> None:
    """Threads that hold the interpreter and threads that wait for it do not lock each other out."""
    client, server = pair
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    computing = in_thread(compute)

    def send() -> None:
        for _ in range(50):
            client.sendall(b"z" * 99_999 + b"\n")

    sending = in_thread(send)
    try:
        for _ in range(50):
            assert len(server.recv_line(timeout=30)) == 100_000
    finally:
        stop.set()
    sending.result(30)
    computing.result(30)
