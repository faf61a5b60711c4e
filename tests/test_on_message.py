"""The promise: the callback of OnMessage gets every message once, whole and in order, however it was cut on the way; what it returns goes
back to that client, and what it raises is kept, and harms nobody else.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal

import pytest
import socklens as sl
from flow import stream
from helpers import eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from serving import DEADLINE, ask, client_of, serving, whole

InThread = Callable[..., "Future[Any]"]
Framing = Literal["line", "frame", "chunk"]
pytestmark = pytest.mark.usefixtures("no_leaks")


def same(conn: sl.Connection, message: bytes) -> bytes:
    return message


def trickle(client: sl.Connection, data: bytes, chance: random.Random) -> None:
    """Sends in pieces cut anywhere."""
    while data:
        size = chance.choice([1, 2, 5, 100, 3000, 100_000])
        client.sendall(data[:size])
        data = data[size:]


# Framings


@settings(max_examples=60)
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_lines_however_they_are_cut(lines: list[bytes], last: bool, seed: int) -> None:
    got: list[bytes] = []
    with sl.Server(sl.OnMessage(lambda conn, line: got.append(line))) as server, client_of(server) as client:
        wanted = [line + b"\n" for line in lines]
        trickle(client, b"".join(wanted) + b"no end" * last, random.Random(seed))
        client.shutdown("send")
        assert client.recv_all() == b""
    assert got == wanted + [b"no end"] * last


@settings(max_examples=60)
@given(frames=st.lists(st.binary(max_size=40) | st.just(bytes(70_000)), max_size=10), seed=st.integers(0, 99))
def test_frames_however_they_are_cut(frames: list[bytes], seed: int) -> None:
    with sl.Server(sl.OnMessage(same, framing="frame")) as server, client_of(server) as client:
        trickle(client, b"".join(struct.pack(">I", len(frame)) + frame for frame in frames), random.Random(seed))
        assert [client.recv_frame() for _ in frames] == frames
        client.sendall(b"\0\0")
        client.shutdown("send")
        assert client.recv_all() == b"", "a frame that did not come whole is none"


def test_chunks_are_all_the_bytes_in_order(in_thread: InThread) -> None:
    got: list[bytes] = []
    sent = stream(0, 10_000_000)
    with (
        serving(sl.OnMessage(lambda conn, chunk: got.append(chunk), framing="chunk")) as server,
        client_of(server) as client,
    ):
        client.sendall(sent)
        client.shutdown("send")
        assert client.recv_all() == b""
    assert b"".join(got) == sent
    assert b"" not in got


def test_the_longest_line_and_a_large_frame() -> None:
    with serving(sl.OnMessage(same)) as server, client_of(server) as client:
        ask(client, b"x" * 65535 + b"\n")
    with serving(sl.OnMessage(same, framing="frame")) as server, client_of(server) as client:
        large = stream(1, 16 << 20)
        client.send_frame(large)
        assert client.recv_frame(max_bytes=len(large)) == large


@pytest.mark.parametrize("framing", ["line", "frame", "chunk"])
def test_many_clients_get_their_own_answers(framing: Framing, in_thread: InThread) -> None:
    def tell_who(conn: sl.Connection, message: bytes) -> bytes:
        return b"%d:" % conn.peer_addr.port + message

    def client(number: int) -> None:
        with client_of(server) as conn:
            me = b"%d:" % conn.local_addr.port
            for turn in range(50):
                message = b"%d of %d\n" % (turn, number)
                if framing == "frame":
                    conn.send_frame(message)
                    assert conn.recv_frame() == me + message
                else:
                    conn.sendall(message)
                    assert conn.recv_line() == me + message

    with serving(sl.OnMessage(tell_who, framing=framing)) as server:
        for each in [in_thread(client, number) for number in range(20)]:
            each.result(DEADLINE)


# Answers


@pytest.mark.parametrize("answer", [b"yes\n", bytearray(b"yes\n"), memoryview(b"yes\n")])
def test_an_answer_is_anything_with_a_buffer(answer: Any) -> None:
    with serving(sl.OnMessage(lambda conn, line: answer)) as server, client_of(server) as client:
        for _ in range(3):
            client.sendall(b"well?\n")
            assert client.recv_line() == b"yes\n"


def test_none_and_nothing_are_no_answer() -> None:
    answers = iter([None, b"", b"here\n"])
    with serving(sl.OnMessage(lambda conn, line: next(answers))) as server, client_of(server) as client:
        client.sendall(b"1\n2\n3\n")
        assert client.recv_line() == b"here\n"
    with (
        serving(sl.OnMessage(lambda conn, frame: frame or None, framing="frame")) as server,
        client_of(server) as client,
    ):
        client.send_frame(b"")
        client.send_frame(b"x")
        assert client.recv_frame() == b"x"
    with serving(sl.OnMessage(lambda conn, frame: b"", framing="frame")) as server, client_of(server) as client:
        client.send_frame(b"x")
        assert client.recv_frame() == b"", "an empty frame is a frame"


@pytest.mark.parametrize("answer", ["text", 5, ["a"], memoryview(b"abcd")[::2], object()])
def test_an_answer_of_a_wrong_kind_is_an_error_of_the_callback(answer: Any) -> None:
    def first_wrong(conn: sl.Connection, line: bytes) -> Any:
        return line if line == b"a line\n" else answer

    with sl.Server(sl.OnMessage(first_wrong)) as server, client_of(server) as other:
        with client_of(server) as client:
            ask(client)
            client.sendall(b"well?\n")
            assert client.recv() == b""
            (error,) = eventually(lambda: server.errors)
            assert isinstance(error.exception, TypeError | BufferError)
            assert "answer" in str(error.exception)
            assert type(answer).__name__ in str(error.exception) or isinstance(answer, memoryview)
            assert error.client is not None
            assert error.client.peer_addr == client.local_addr
        ask(other)


def test_a_large_answer_waits_for_who_reads_slowly() -> None:
    large = stream(0, 20_000_000)
    with (
        serving(sl.OnMessage(lambda conn, line: large if line == b"large\n" else line)) as server,
        client_of(server) as client,
    ):
        client.sendall(b"large\nsmall\n")
        client.shutdown("send")
        whole(server)
        assert client.recv_all() == large + b"small\n"


# Errors


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, MemoryError, sl.ClosedError, GeneratorExit, StopIteration]
)
def test_what_a_callback_raises_is_kept_and_ends_its_client_alone(
    error: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(conn: sl.Connection, line: bytes) -> bytes:
        if line == b"fail\n":
            raise error("mine")
        return line

    with sl.Server(sl.OnMessage(fail)) as server, client_of(server) as other:
        ask(other)
        with client_of(server) as client:
            client.sendall(b"before\nfail\nafter\n")
            assert client.recv_all() == b"before\n"
            (kept,) = eventually(lambda: server.errors)
            assert (type(kept.exception), kept.count) == (error, 1)
            assert kept.client is not None
            assert kept.client.peer_addr == client.local_addr
            assert kept.traceback.splitlines()[1].endswith(", in fail")
            assert str(client.local_addr) in str(kept)
        ask(other)
        assert server.dropped == []
    assert capfd.readouterr() == ("", ""), "nothing is printed from a thread"


def test_an_exception_that_cannot_be_shown() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    def fail(conn: sl.Connection, line: bytes) -> None:
        raise Unspeakable

    with sl.Server(sl.OnMessage(fail)) as server:
        with client_of(server) as client:
            client.sendall(b"x\n")
            assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert isinstance(error.exception, Unspeakable)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("text",), TypeError, ["callback(conn, message)", "str"]),
        ((None,), TypeError, ["NoneType"]),
        ((same, "lines"), ValueError, ['"line"', '"frame"', '"chunk"', '"lines"']),
        ((same, 5), TypeError, []),
        ((), TypeError, ["callback"]),
    ],
)
def test_what_cannot_be_is_told_at_once(arguments: tuple[Any, ...], kind: type[Exception], words: list[str]) -> None:
    refused(kind, words, sl.OnMessage, *arguments)


def test_one_callback_for_two_servers() -> None:
    handler = sl.OnMessage(same)
    with serving(handler) as one, serving(handler) as two:
        whole(one)
        whole(two)
    assert "same" in repr(handler)
    assert "line" in repr(handler)
