"""The promise: the handlers that run in Rust answer what their protocol asks for, however the bytes are cut, and their connections can
be looked into, written to and changed while they run.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, stream
from helpers import eventually, lacking
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import proc, ss
from refusals import refused
from serving import DEADLINE, ask, client_of, serving

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
MIB = 1 << 20
WAITING_LIMIT = MIB
LINE_LIMIT = 65536


def server_end(server: sl.Server, client: sl.Connection) -> sl.Connection:
    """The server's end of a client's connection."""
    found = eventually(lambda: [one.conn for one in server.clients if one.peer_addr == client.local_addr])
    return found[0]


def fill(conn: sl.Connection) -> int:
    """Sends until nobody takes more for a peer that does not read; tells how much that was."""
    sent = 0
    while True:
        try:
            sent += conn.send(stream(sent, 65536), timeout=0.2)
        except TimeoutError:
            return sent


def settled(conn: sl.Connection) -> sl.OutputBuffer:
    """A view between two equal totals."""
    while True:
        before, view = conn.totals, conn.output_buffer
        if before == conn.totals:
            return view


# The services


@pytest.mark.parametrize("handler", [sl.Echo(), sl.OnMessage(lambda conn, chunk: chunk, framing="chunk")])
def test_every_byte_comes_back_in_order(handler: Any, in_thread: InThread) -> None:
    sent = stream(0, 20 * MIB)
    with serving(handler) as server, client_of(server) as client:
        sending = in_thread(client.sendall, sent)
        assert client.recv_exactly(len(sent)) == sent
        sending.result(DEADLINE)


@settings(max_examples=60)
@given(
    text=st.lists(st.sampled_from([b"", b"\r", b"a", b"word" * 5, b"x" * 5000]), max_size=30), seed=st.integers(0, 999)
)
def test_lines_come_back_whole_however_they_are_cut(text: list[bytes], seed: int) -> None:
    sent = b"\n".join(text)
    cuts = random.Random(seed)
    with sl.Server(sl.LineEcho()) as server, client_of(server) as client:
        rest = sent
        while rest:
            size = cuts.choice([1, 2, 7, 100, 3000, len(rest)])
            client.sendall(rest[:size])
            rest = rest[size:]
        whole = sent[: sent.rfind(b"\n") + 1]
        assert client.recv_exactly(len(whole)) == whole, "without waiting for the end"
        client.shutdown("send")
        assert client.recv_all() == sent[len(whole) :], "the last line has no end"


def test_the_longest_line() -> None:
    longest = b"x" * (LINE_LIMIT - 1) + b"\n"
    with serving(sl.LineEcho()) as server, client_of(server) as client:
        for _ in range(3):
            ask(client, longest)
        client.sendall(longest * 10)
        assert client.recv_exactly(10 * LINE_LIMIT) == longest * 10


def test_discard_takes_everything_and_answers_nothing() -> None:
    with serving(sl.Discard()) as server, client_of(server) as client:
        client.sendall(stream(0, 8 * MIB))
        end = server_end(server, client)
        client.shutdown("send")
        assert client.recv_all() == b""
        eventually(lambda: end.closed)
        assert (end.totals.received, end.totals.sent) == (8 * MIB, 0)


def test_daytime_tells_the_time_and_finishes() -> None:
    with serving(sl.Daytime()) as server:
        for words in (b"", b"what time is it?\n"):
            with client_of(server) as client:
                if words:
                    client.sendall(words)
                answer = client.recv_all()
                told = parsedate_to_datetime(answer.decode())
                assert answer.endswith(b" GMT\r\n")
                assert abs(told.timestamp() - time.time()) < 60


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ipv4_and_ipv6(host: str) -> None:
    try:
        sl.listen(host, 0).close()
    except OSError:
        lacking(f"this machine has no {host}")
    with serving(sl.LineEcho(), host=host) as server, client_of(server) as client:
        ask(client)
        (one,) = server.clients
        assert one.peer_addr == client.local_addr
        assert server.kick(one).peer_addr == client.local_addr


# Looking into it


def test_half_a_line_is_in_the_input_buffer() -> None:
    with serving(sl.LineEcho()) as server, client_of(server) as client:
        end = server_end(server, client)
        client.sendall(b"whole\nhalf")
        assert client.recv_line() == b"whole\n"
        eventually(lambda: end.input_buffer.rust == 4)
        view = end.input_buffer
        assert (bytes(view), view.kernel) == (b"half", 0)
        assert (end.totals.received, end.totals.read) == (10, 6)
        assert "half" in repr(view)
        client.sendall(b" and half\n")
        assert client.recv_line() == b"half and half\n"
        assert end.input_buffer.rust == 0


def test_what_waits_for_a_client_is_in_the_output_buffer() -> None:
    with serving(sl.Echo()) as server, client_of(server, recv_buffer=SMALL) as client:
        end = server_end(server, client)
        total = fill(end)
        while not end.output_buffer.rust:  # the kernel may have taken some more meanwhile
            total += fill(end)
        view = settled(end)
        assert 0 < view.rust <= WAITING_LIMIT
        assert end.totals.sent + view.rust == total
        assert len(view) == (view.unacknowledged or 0) + (view.unsent or 0) + view.rust
        assert client.recv_exactly(total) == stream(0, total)
        eventually(lambda: len(end.output_buffer) == 0)
        assert (end.totals.sent, end.output_buffer.rust) == (total, 0)


def test_the_books_balance_at_every_moment() -> None:
    """Whatever an Echo has read, it has sent, or it waits; the kernel's own tables agree once all is quiet."""
    chance = random.Random(6666)
    with serving(sl.Echo()) as server, client_of(server, recv_buffer=SMALL) as client:
        end = server_end(server, client)
        sent = received = compared = 0
        for _ in range(300):
            with contextlib.suppress(TimeoutError):
                if chance.random() < 0.6:
                    sent += client.send(stream(sent, chance.choice([1, 100, 20_000, 200_000])), timeout=0.005)
                else:
                    piece = client.recv(chance.choice([1, 500, 100_000]), timeout=0.005)
                    assert piece == stream(received, len(piece))
                    received += len(piece)
            before, waiting, after = end.totals, end.output_buffer.rust, end.totals
            assert waiting <= WAITING_LIMIT
            if before == after:
                compared += 1
                assert (after.received, after.sent + waiting) == (after.read, after.read)
        assert compared > 100
        assert client.recv_exactly(sent - received) == stream(received, sent - received)
        eventually(lambda: end.totals.sent == sent and not len(end.output_buffer))
        assert (end.totals.received, end.totals.read, end.input_buffer.rust) == (sent, sent, 0)
        if sys.platform.startswith("linux"):
            for oracle in (ss, proc):
                row = oracle((end.local_addr.host, end.local_addr.port), (end.peer_addr.host, end.peer_addr.port))
                assert row is not None
                assert (row.recv_queue, row.send_queue) == (0, 0)


def test_a_client_that_does_not_read_is_not_read() -> None:
    with serving(sl.Echo()) as server, client_of(server, recv_buffer=SMALL) as client:
        end = server_end(server, client)
        sent = fill(client)
        assert 0 < end.output_buffer.rust <= WAITING_LIMIT
        assert end.input_buffer.kernel > 0, "what is not read yet fills the kernel's buffer, and then the sender waits"
        assert client.recv_exactly(sent) == stream(0, sent)


# Calls that others make


READS: list[tuple[str, tuple[Any, ...]]] = [
    ("recv", ()),
    ("recv_line", ()),
    ("recv_all", ()),
    ("recv_frame", ()),
    ("recv_exactly", (3,)),
    ("recv_until", (b"r",)),
    ("recv_into", (bytearray(3),)),
    ("peek", ()),
    ("unrecv", (b"x",)),
    ("lines", ()),
    ("detach", ()),
    ("to_socket", ()),
]


@pytest.mark.parametrize("handler", [sl.LineEcho(), sl.OnMessage(lambda conn, line: line)], ids=["rust", "on message"])
def test_the_server_alone_reads(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as client:
        client.sendall(b"par")
        end = server_end(server, client)
        eventually(lambda: end.input_buffer.rust == 3)
        for name, arguments in READS:

            def call(name: str = name, arguments: tuple[Any, ...] = arguments) -> None:
                result = getattr(end, name)(*arguments)
                if name == "lines":
                    next(result)

            refused(RuntimeError, [name, "input_buffer", "handler of your own", str(client.local_addr)], call)
        client.sendall(b"tial\n")
        assert client.recv_line() == b"partial\n", "nothing was lost"


def test_others_send_between_the_servers_own_lines(in_thread: InThread) -> None:
    def tell(end: sl.Connection, word: bytes) -> None:
        for _ in range(300):
            end.sendall(word * 49 + b"\n")

    with serving(sl.LineEcho()) as server, client_of(server) as client:
        end = server_end(server, client)
        words = [b"a", b"b", b"c"]
        telling = [in_thread(tell, end, word) for word in words]
        told = in_thread(lambda: sum(server.broadcast(b"d" * 99 + b"\n") for _ in range(100)))
        asking = in_thread(client.sendall, (b"e" * 999 + b"\n") * 300)
        lines = [client.recv_line() for _ in range(3 * 300 + 100 + 300)]
        for each in [*telling, asking]:
            each.result(DEADLINE)
        assert told.result(DEADLINE) == 100
        for word, count, length in [(word, 300, 49) for word in words] + [(b"d", 100, 99), (b"e", 300, 999)]:
            assert lines.count(word * length + b"\n") == count


def test_a_frame_that_is_sent_to_a_client_comes_whole(in_thread: InThread) -> None:
    with serving(sl.Discard()) as server, client_of(server) as client:
        end = server_end(server, client)
        sizes = [0, 1, 70_000, 3 * MIB]
        sending = [in_thread(end.send_frame, stream(size, size)) for size in sizes * 3]
        frames = [client.recv_frame(max_bytes=4 * MIB) for _ in sending]
        for each in sending:
            each.result(DEADLINE)
        assert sorted(frames, key=len) == sorted((stream(size, size) for size in sizes * 3), key=len)


def test_a_send_waits_for_a_client_that_does_not_read_and_can_be_ended(in_thread: InThread) -> None:
    with serving(sl.Echo()) as server, client_of(server, recv_buffer=SMALL) as client:
        end = server_end(server, client)
        total = fill(end)
        with contextlib.suppress(BlockingIOError):  # the kernel may have taken some more meanwhile
            while total < 64 * MIB:
                total += end.send(stream(total, 65536), timeout=0)
        assert total < 64 * MIB
        sending = in_thread(end.sendall, stream(total, 4 * MIB))
        with client_of(server) as other:
            other.sendall(b"hello")
            assert other.recv() == b"hello", "nobody else waits for it"
        assert not sending.done()
        assert client.recv_exactly(total + 4 * MIB) == stream(0, total + 4 * MIB)
        sending.result(DEADLINE)


def test_a_send_that_waits_ends_with_its_client(in_thread: InThread) -> None:
    def send(end: sl.Connection) -> str:
        with pytest.raises(sl.ClosedError) as caught:
            end.sendall(bytes(16 * MIB))
        return str(caught.value)

    with serving(sl.Echo()) as server, client_of(server, recv_buffer=SMALL) as client:
        end = server_end(server, client)
        fill(end)
        sending = in_thread(send, end)
        dropped = server.kick(end)
        assert "of 16777216 bytes" in sending.result(DEADLINE)
        assert dropped.unsent > 0


@pytest.mark.parametrize("call", [sl.Connection.close, sl.Connection.abort])
def test_others_close_a_client(call: Callable[[sl.Connection], None]) -> None:
    with serving(sl.LineEcho()) as server, client_of(server) as other:
        ask(other)
        for _ in range(50):
            with client_of(server) as client:
                ask(client)
                call(server_end(server, client))
                try:
                    assert client.recv() == b""
                except ConnectionResetError:
                    assert call is sl.Connection.abort
        eventually(lambda: len(server.clients) == 1)
        ask(other)
        assert server.dropped == []


def test_options_of_a_client() -> None:
    with serving(sl.LineEcho()) as server, client_of(server) as client:
        end = server_end(server, client)
        assert end.nodelay
        end.nodelay = False
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        ask(client)
        assert end.state == sl.TcpState.ESTABLISHED
        assert end.info().to_dict()["rtt"] is not None


def test_many_threads_broadcast_kick_and_name(in_thread: InThread) -> None:
    with serving(sl.Discard()) as server:
        clients = [sl.connect(server.local_addr, timeout=DEADLINE) for _ in range(40)]
        eventually(lambda: len(server.clients) == 40)
        go = threading.Barrier(5)

        def say(word: bytes) -> None:
            go.wait(DEADLINE)
            for _ in range(50):
                server.broadcast(word * 9 + b"\n")

        def put_out() -> list[sl.Dropped]:
            go.wait(DEADLINE)
            return [server.kick(client) for client in server.clients[::2]]

        def name_all() -> None:
            go.wait(DEADLINE)
            for client in server.clients:
                client.name = f"number {client.number}"

        saying = [in_thread(say, word) for word in (b"a", b"b", b"c")]
        kicking, naming = in_thread(put_out), in_thread(name_all)
        assert len(kicking.result(DEADLINE)) == 20
        for each in [*saying, naming]:
            each.result(DEADLINE)
        staying = server.clients
        assert len(staying) == 20
        assert len(server.dropped) == 20
        assert {client.name for client in staying} == {f"number {client.number}" for client in staying}
        addresses = {client.peer_addr for client in staying}
        for client in clients:
            if client.local_addr in addresses:
                lines = [client.recv_line(timeout=DEADLINE) for _ in range(150)]
                assert [lines.count(word * 9 + b"\n") for word in (b"a", b"b", b"c")] == [50, 50, 50]
            client.close()


def test_a_broadcast_spares_one() -> None:
    with serving(sl.LineEcho()) as server, client_of(server) as one, client_of(server) as two:
        ask(one)
        ask(two)
        server.clients[0].name = "ana"
        for spared in ("ana", server.clients[0], server.clients[0].conn):
            assert server.broadcast(b"psst\n", but=spared) == 1
            assert two.recv_line() == b"psst\n"
        ask(one)
