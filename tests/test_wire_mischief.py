"""The promise: each mischief does what it says, to the bytes and at the position that it says; the same seed does the same again; all of it
can be changed while the wire runs.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import Any

import helpers
import pytest
import socklens as sl
from network import free_port
from wiring import pieces, through, told, until_end

pytestmark = pytest.mark.usefixtures("no_leaks")
TEXT = b"the quick brown fox jumps over the lazy dog"


# Pieces


def test_byte_by_byte_one_recv_sees_one_byte() -> None:
    with through(split=1, seed=7) as (wire, client, server):
        for sender, receiver, way in ((client, server, "to_server"), (server, client, "to_client")):
            sender.sendall(TEXT)
            assert pieces(receiver, len(TEXT)) == [bytes([byte]) for byte in TEXT]
            seen = [event for event in wire.story if event.what == "piece" and event.direction == way]
            assert [(event.start, event.end) for event in seen] == [(i, i + 1) for i in range(len(TEXT))]


def test_one_recv_sees_one_piece_even_if_it_comes_late() -> None:
    with through(split=5, hold=None) as (_, client, server):
        client.sendall(b"hello world")
        for piece in (b"hello", b" worl", b"d"):
            # Nothing but this piece is there, however long the reader waits.
            helpers.eventually(lambda: server.input_buffer.peek(), what="the piece")
            with pytest.raises(AssertionError):
                helpers.eventually(lambda: len(server.input_buffer) > 5, timeout=0.1)
            assert server.recv(100) == piece


def test_who_does_not_read_is_not_waited_for_for_ever() -> None:
    with through(split=1, hold=0.05) as (wire, client, server):
        client.sendall(TEXT)
        helpers.eventually(lambda: len(server.input_buffer) == len(TEXT))
        assert server.recv(100) == TEXT
        assert told(wire, "unread")[0].start == 1


def test_a_reader_that_waits_for_more_than_a_piece_comes_to_its_end() -> None:
    # A read of so much sets SO_RCVLOWAT: it is not woken by a piece.
    data = bytes(range(256)) * 1024
    with through(split=20_000, hold=0.2) as (_, client, server):
        sending = helpers.in_thread(client.sendall, data, timeout=30)
        assert server.recv_exactly(len(data), timeout=30) == data
        sending.result(timeout=10)


def test_given_sizes_come_in_turn() -> None:
    with through(split=(1, 4, 2)) as (_, client, server):
        client.sendall(b"abbbbccabbbbcca")
        assert pieces(server, 7) == [b"a", b"bbbb", b"cc", b"a", b"bbbb", b"cc", b"a"]


@pytest.mark.parametrize("mischief", [{"split": "random"}, {"split": "random", "jitter": 0.002}], ids=str)
def test_the_same_seed_does_the_same_and_another_one_something_else(mischief: dict[str, Any]) -> None:
    def run(seed: int) -> list[bytes]:
        with through(seed=seed, **mischief) as (_, client, server):
            client.sendall(TEXT * 20)
            client.shutdown("send")
            return until_end(server)

    first, again, other = run(7), run(7), run(8)
    assert first == again != other
    assert b"".join(first) == b"".join(other) == TEXT * 20


def test_glued_bytes_come_in_one_piece() -> None:
    with through(glue=12) as (wire, client, server):
        for word in (b"hello", b" ", b"world", b"!"):
            client.sendall(word)
        assert server.recv(100) == b"hello world!"
        client.sendall(b"the rest")
        with pytest.raises(TimeoutError):
            server.recv(timeout=0.1)
        (conn,) = wire.connections
        assert conn.waiting.to_server == 8
        client.shutdown("send")
        assert until_end(server) == [b"the rest"]
        assert [(event.start, event.end) for event in told(wire, "glued", 2)] == [(0, 12), (12, 20)]


# Time


def test_delay_makes_every_byte_and_the_end_late() -> None:
    with through(delay=1.1) as (_, client, server):
        began = time.monotonic()
        client.sendall(b"late")
        client.shutdown("send")
        assert server.recv(100) == b"late"
        assert time.monotonic() - began >= 1.1
        assert server.recv() == b""


def test_a_delay_that_is_taken_back_lets_go_at_once() -> None:
    with through(delay=3600) as (wire, client, server):
        client.sendall(b"early after all")
        helpers.eventually(lambda: wire.connections[0].waiting.to_server == 15)
        wire.to_server.delay = 0
        assert server.recv(100, timeout=5) == b"early after all"


def test_jitter_keeps_the_order() -> None:
    with through(jitter=0.01, seed=3) as (_, client, server):
        lines = [b"%d\n" % number for number in range(100)]
        for line in lines:
            client.sendall(line)
        assert [server.recv_line() for _ in lines] == lines


def test_a_rate_is_kept() -> None:
    with through(rate=20_000) as (wire, client, server):
        began = time.monotonic()
        client.sendall(bytes(22_000))
        assert len(server.recv_exactly(22_000)) == 22_000
        assert time.monotonic() - began >= 1.0
        told(wire, "passed")


def test_a_stall_holds_everything_back_until_it_is_over() -> None:
    with through() as (wire, client, server):
        wire.stall()
        client.sendall(b"waits")
        client.shutdown("send")
        with pytest.raises(TimeoutError):
            server.recv(timeout=0.1)
        server.sendall(b"this way too")
        helpers.eventually(lambda: wire.connections[0].waiting == (5, 12))
        wire.resume()
        assert until_end(server) == [b"waits"]
        assert client.recv(100) == b"this way too"


def test_one_direction_stalls_and_the_other_goes_on() -> None:
    with through() as (wire, client, server):
        wire.to_client.stall()
        client.sendall(b"there")
        assert server.recv(100) == b"there"
        server.sendall(b"not back")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
        wire.to_client.resume()
        assert client.recv(100) == b"not back"


def test_a_relay_that_does_not_read_leaves_bytes_in_the_kernel() -> None:
    with through(reading=False) as (wire, client, server):
        client.sendall(b"unread")
        with pytest.raises(TimeoutError):
            server.recv(timeout=0.1)
        assert wire.connections[0].waiting == (0, 0)
        row = next(row for row in sl.ports() if row.local == wire.local_addr and row.peer == client.local_addr)
        assert row.recv_queue == 6
        wire.to_server.reading = True
        assert server.recv(100) == b"unread"


def test_a_reset_is_noticed_although_nothing_is_read() -> None:
    with through(reading=False) as (_, client, server):
        client.abort()
        with pytest.raises(ConnectionResetError):
            server.recv()


# Ends at a position


def test_finish_at_sends_fin_after_byte_k_and_throws_the_rest_away() -> None:
    with through() as (wire, client, server):
        wire.to_server.finish_at = 9
        client.sendall(TEXT)
        assert server.recv_all() == TEXT[:9]
        client.sendall(b"more")
        (first, *_) = told(wire, "discarded")
        assert (first.start, told(wire, "finished")[0].start) == (9, 9)
        server.sendall(b"the other way is open")
        assert client.recv_exactly(21) == b"the other way is open"
        client.shutdown("send")
        server.close()
        assert client.recv() == b""
        told(wire, "over")
        thrown = sum((event.end or 0) - (event.start or 0) for event in wire.story if event.what == "discarded")
        assert thrown == len(TEXT) - 9 + 4


def test_close_at_ends_both_ends_with_fin() -> None:
    with through() as (wire, client, server):
        wire.to_client.close_at = 4
        client.sendall(b"question")
        assert server.recv(100) == b"question"
        server.sendall(b"an answer")
        assert client.recv_all() == b"an a"
        assert server.recv() == b""
        assert told(wire, "closed")[0].start == 4


@pytest.mark.parametrize("position", [0, 1, 9, len(TEXT)])
@pytest.mark.parametrize("split", [None, 4])
def test_reset_at_resets_both_ends_after_byte_k(position: int, split: int | None) -> None:
    with through(split=split) as (wire, client, server):
        wire.to_server.reset_at = position
        if position:
            client.sendall(TEXT)
            assert server.recv_exactly(position) == TEXT[:position]
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv()
        assert told(wire, "reset")[0].start == position


@pytest.mark.parametrize("position", [0, 17, len(TEXT) - 1])
def test_flip_at_changes_one_bit_of_one_byte(position: int) -> None:
    with through(flip_at=position, split=10, seed=5) as (wire, client, server):
        client.sendall(TEXT)
        got = server.recv_exactly(len(TEXT))
        assert [i for i in range(len(TEXT)) if got[i] != TEXT[i]] == [position]
        assert (got[position] ^ TEXT[position]).bit_count() == 1
        (event,) = told(wire, "flipped")
        assert (event.start, f"from {TEXT[position]:#04x} to {got[position]:#04x}" in event.text) == (position, True)


def test_a_position_that_has_been_passed_changes_nothing() -> None:
    with through() as (wire, client, server):
        client.sendall(TEXT)
        assert server.recv_exactly(len(TEXT)) == TEXT
        wire.to_server.reset_at = wire.to_server.flip_at = 3
        client.sendall(TEXT)
        assert server.recv_exactly(len(TEXT)) == TEXT


# All connections, now


def test_reset_and_finish_of_all_connections() -> None:
    with through() as (wire, client, server):
        wire.reset()
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv()
        with sl.connect(wire.local_addr) as again:
            wire.to_client.finish()
            assert again.recv(timeout=5) == b""
            wire.finish()
        assert wire.accepted == 2


def test_finish_lets_pass_what_was_sent_before_it_and_nothing_later() -> None:
    for mischief in ({}, {"reading": False}, {"stalled": True}):
        with through(**mischief) as (wire, client, server):
            client.sendall(b"sent before")
            wire.to_server.finish()
            client.sendall(b"sent later")
            wire.to_server.clear()
            assert server.recv_all() == b"sent before"
            (thrown,) = told(wire, "discarded")
            assert (thrown.start, thrown.end) == (11, 21)


# New connections


@pytest.mark.skipif("not __import__('sys').platform.startswith('linux')")
def test_refuse_is_a_refusal_of_the_kernels() -> None:
    with sl.Server(sl.Echo(), port=0) as target, sl.Wire(target) as wire, sl.connect(wire.local_addr) as before:
        address = wire.local_addr
        for _ in range(2):
            wire.refuse = True
            with pytest.raises(ConnectionRefusedError):
                sl.connect(address)
            before.sendall(b"open ones go on")
            assert before.recv_exactly(15, timeout=5) == b"open ones go on"
            wire.refuse = False
            assert wire.local_addr == address
            with sl.connect(address) as after:
                after.sendall(b"x")
                assert after.recv(timeout=5) == b"x"
        assert [event.what for event in wire.story if event.what in ("refuses", "listens")] == [
            "refuses",
            "listens",
        ] * 2
    with sl.Wire("127.0.0.1:9", refuse=True) as wire, pytest.raises(ConnectionRefusedError):
        sl.connect(wire.local_addr)


@pytest.mark.parametrize("how", [True, "reset", "finish"])
def test_drop_ends_new_connections_at_once(how: Any) -> None:
    with sl.listen(port=0) as listener, sl.Wire(listener, drop=how) as wire:
        with sl.connect(wire.local_addr) as client:
            if how == "finish":
                assert client.recv(timeout=5) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    client.recv(timeout=5)
        assert told(wire, "dropped")
        wire.drop = False
        with sl.connect(wire.local_addr), listener.accept(timeout=5):
            assert listener.accepted == 1, "the target heard nothing of the first"


def test_silent_accepts_and_says_nothing() -> None:
    with sl.listen(port=0) as listener, sl.Wire(listener, silent=True) as wire, sl.connect(wire.local_addr) as client:
        client.sendall(b"is anybody there?")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)
        helpers.eventually(lambda: wire.connections[0].waiting.to_server == 17)
        with pytest.raises(TimeoutError):
            listener.accept(timeout=0.05)
        client.abort()
        helpers.eventually(lambda: not wire.connections)


@pytest.mark.parametrize(
    ("mischief", "what"),
    [({"drop": True}, "dropped"), ({}, "unreachable"), ({"reset_at": 0}, "reset"), ({"close_at": 0}, "closed")],
    ids=["dropped", "unreachable", "reset", "closed"],
)
def test_what_is_told_has_happened(mischief: dict[str, Any], what: str) -> None:
    with sl.listen(port=0) as listener:
        target = ("127.0.0.1", free_port()) if what == "unreachable" else listener.local_addr
        with sl.Wire(target, **mischief) as wire, socket.socket() as client:
            # Not a connect that waits: on a slow machine that might return after the reset, and fail by it.
            client.setblocking(False)
            assert client.connect_ex(wire.local_addr) == errno.EINPROGRESS
            assert told(wire, what)
            # At once: on loopback a segment that was sent has come.
            if what == "closed":
                assert client.recv(1) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    client.recv(1)


def test_a_reset_at_byte_0_leaves_the_client_time_to_return_from_connect() -> None:
    with sl.listen(port=0) as listener, sl.Wire(listener, reset_at=0) as wire, socket.socket() as client:
        client.setblocking(False)
        began = time.monotonic()
        assert client.connect_ex(wire.local_addr) == errno.EINPROGRESS
        told(wire, "reset")
        assert time.monotonic() - began >= 0.02


# Changed while it runs


def test_everything_changes_while_it_runs() -> None:
    with through() as (wire, client, server):
        for mischief, expected in (
            ({"split": 2}, [b"ab", b"cd", b"ef"]),
            ({"split": (1, 5)}, [b"a", b"bcdef"]),
            ({"split": None}, [b"abcdef"]),
            ({"split": 3, "delay": 0.05}, [b"abc", b"def"]),
            ({"split": None, "delay": 0, "glue": 6}, [b"abcdef"]),
        ):
            for name, value in mischief.items():
                setattr(wire.to_server, name, value)
                assert getattr(wire.to_server, name) == value
            client.sendall(b"abcdef")
            assert pieces(server, len(expected)) == expected
        sets = [event.text for event in wire.story if event.what == "set"]
        assert sets[:2] == ["to_server: split=2", "to_server: split=(1, 5)"]


def test_threads_that_set_different_things_undo_none_of_each_other() -> None:
    with through() as (wire, _, _):
        way = wire.to_server
        for _ in range(30):
            way.clear()
            together = threading.Barrier(2)

            def put(name: str, value: float, together: threading.Barrier = together) -> None:
                together.wait(20)
                setattr(way, name, value)

            threads = [threading.Thread(target=put, args=what) for what in (("split", 3), ("delay", 0.25))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert (way.split, way.delay) == (3, 0.25)
        way.clear()
