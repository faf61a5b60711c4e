"""The promise: the ledger of a story says what became of every byte: who sent it, who took it, and what nobody will take."""

from __future__ import annotations

import asyncio
import socket

import pytest
import socklens as sl
from helpers import eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from socklens import Connection, Piece

Pair = tuple[Connection, Connection]


def row(piece: Piece) -> tuple[str | None, str | None, int, int, str]:
    send, recv = piece.send, piece.recv
    return (send.call if send else None, recv.call if recv else None, piece.start, piece.end, piece.fate)


def test_one_send_in_three_recvs(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        client.sendall(b"abcdef")
        assert [server.recv_exactly(1), server.recv_exactly(2), server.recv(10)] == [b"a", b"bc", b"def"]
    assert [row(piece) for piece in story.ledger()] == [
        ("sendall", "recv_exactly", 0, 1, "taken"),
        ("sendall", "recv_exactly", 1, 3, "taken"),
        ("sendall", "recv", 3, 6, "taken"),
    ]
    assert [piece.head for piece in story.ledger()] == [b"a", b"bc", b"def"]


def test_three_sends_in_one_recv(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        for data in (b"a", b"bc", b"def"):
            client.send(data)
        assert server.recv_exactly(6) == b"abcdef"
    pieces = story.ledger()
    assert [(p.send and p.send.number, p.start, p.end) for p in pieces] == [(1, 0, 1), (2, 1, 3), (3, 3, 6)]
    assert {p.recv and p.recv.number for p in pieces} == {4}


def test_both_ways_are_told_apart(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        client.sendall(b"there")
        assert server.recv_exactly(5) == b"there"
        server.sendall(b"back")
        assert client.recv_exactly(4) == b"back"
    first, second = story.ledger()
    assert (first.sender, first.receiver) == (second.receiver, second.sender)
    assert (first.count, second.count) == (5, 4)


def test_what_nobody_has_taken_and_what_nobody_will_read(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        client.sendall(b"read, unread")
        assert server.recv_exactly(4) == b"read"
        assert [row(p)[1:] for p in story.ledger()] == [
            ("recv_exactly", 0, 4, "taken"),
            (None, 4, 12, "not taken"),
        ]
        assert story.ledger().not_taken == len(server.input_buffer)
        server.close()
    assert [p.fate for p in story.ledger()] == ["taken", "never read"]


def test_bytes_put_back_are_no_new_bytes(pair: Pair) -> None:
    client, server = pair
    with sl.record() as story:
        client.sendall(b"abcdef")
        data = server.recv_exactly(4)
        server.unrecv(data[2:])
        assert server.recv_exactly(4) == b"cdef"
    assert [row(p)[1:] for p in story.ledger()] == [
        ("recv_exactly", 0, 4, "taken"),
        ("recv_exactly", 2, 4, "put back"),
        ("recv_exactly", 4, 6, "taken"),
    ]
    assert (story.ledger().sent, story.ledger().taken) == (6, 6)


def test_what_was_sent_before_is_said_to_be_so(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"old")
    with sl.record() as story:
        client.sendall(b"new")
        assert server.recv_exactly(6) == b"oldnew"
    assert [row(p) for p in story.ledger()] == [
        (None, "recv_exactly", 0, 3, "not seen sent"),
        ("sendall", "recv_exactly", 3, 6, "taken"),
    ]


def test_awaited_calls() -> None:
    async def main() -> None:
        with sl.listen() as listener:
            accepting = asyncio.create_task(listener.aio.accept())
            client = await sl.aio.connect(listener.local_addr)
            server = await accepting
            reading = asyncio.create_task(server.aio.recv_exactly(2_000_000))
            await client.aio.sendall(bytes(2_000_000))
            await reading
            client.close()
            server.close()

    with sl.record() as story:
        asyncio.run(main())
    ledger = story.ledger()
    assert (ledger.sent, ledger.taken, ledger.not_taken) == (2_000_000, 2_000_000, 0)
    assert not [event for event in story.events if event.error], "a try that comes to nothing is no event"


def test_a_socket_adopted_in_the_middle_of_its_life(listener: sl.Listener) -> None:
    with socket.create_connection(listener.local_addr) as sock, listener.accept(timeout=5) as server:
        sock.sendall(b"before")
        with sl.record() as story, sl.Connection.from_socket(sock) as client:
            client.sendall(b"after")
            assert server.recv_exactly(11) == b"beforeafter"
    assert ("sendall", "recv_exactly", 6, 11, "taken") in [row(p) for p in story.ledger()]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["send", "recv", "exactly", "unrecv"]), st.integers(1, 5000)),
        max_size=40,
    )
)
def test_bytes_sent_are_bytes_read_and_bytes_in_buffers(steps: list[tuple[bool, str, int]]) -> None:
    # Both ends are known to a story that saw them being made.
    with sl.record() as story:
        client, server = sl.pair()
        for first, what, n in steps:
            here, _there = (client, server) if first else (server, client)
            if what == "send":
                here.sendall(bytes(n))
                eventually(lambda end=here: not len(end.output_buffer))  # type: ignore[misc]
            elif here.input_buffer.rust + (here.input_buffer.kernel or 0) >= n:
                data = here.recv_exactly(n) if what != "recv" else here.recv(n)
                if what == "unrecv":
                    here.unrecv(data[n // 2 :])
        ledger = story.ledger()
        left = len(client.input_buffer) + len(server.input_buffer)
        totals = (client.totals, server.totals)
        again = sum(p.count for p in ledger if p.fate == "put back")
        back = sum(t.put_back for t in totals)
        assert ledger.sent == sum(t.sent for t in totals) == ledger.taken + ledger.not_taken
        assert ledger.taken + again == sum(t.read for t in totals)
        assert ledger.not_taken + (back - again) == left
        client.close()
        server.close()


def test_an_end_that_is_not_in_the_story(listener: sl.Listener) -> None:
    with socket.create_connection(listener.local_addr) as sock, listener.accept(timeout=5) as server:
        with sl.record() as story:
            server.sendall(b"to nobody")
            sock.sendall(b"from nobody")
            assert server.recv_exactly(11) == b"from nobody"
        ledger = story.ledger()
    assert sorted(p.fate for p in ledger) == ["not seen sent", "not seen taken"]
    assert (ledger.sent, ledger.taken, ledger.not_taken) == (9, 0, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_one_that_was_accepted_and_not_used_yet(host: str) -> None:
    with sl.record() as story, sl.listen(host) as listener:
        client = sl.connect("127.0.0.1" if host == "0.0.0.0" else host, listener.local_addr.port)
        server = listener.accept(timeout=5)
        client.send(b"hello")
        ledger, drawn = story.ledger(), story._layout()
        assert [row(p) for p in ledger] == [("send", None, 0, 5, "not taken")]
        assert [column.role for column in drawn.columns] == ["client", "listener", "accepted"]
        client.close()
        server.close()


def test_what_the_kernel_took_of_a_sendall_that_failed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    with listener, client, listener.accept()[0] as server, sl.record() as story:
        story.include(client, server)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(30_000_000))
        client.close()
        count = sum(map(len, iter(lambda: server.recv(1 << 20), b"")))
    assert (story.ledger().sent, story.ledger().taken) == (count, count)
