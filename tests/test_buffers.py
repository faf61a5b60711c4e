"""The promise: whatever exposes contiguous bytes can be sent and put back, and received into if it is writable. What
cannot is refused in words, and then nothing is sent or taken."""

from __future__ import annotations

import array
import contextlib
import ctypes
import mmap
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import socklens as sl
from flow import stream
from helpers import eventually
from sleeping import sleeping_call
from test_waiting import linux

Pair = tuple[sl.Connection, sl.Connection]


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def frozen(values: Any) -> Any:
    values.flags.writeable = False
    return values


BYTES = stream(0, 240)
WRITABLE: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(BYTES),
    "memoryview": lambda: memoryview(bytearray(BYTES)),
    "memoryview of a part": lambda: memoryview(bytearray(BYTES))[30:77],
    "memoryview of numbers": lambda: memoryview(bytearray(BYTES)).cast("q"),
    "memoryview of two dimensions": lambda: memoryview(bytearray(BYTES)).cast("B", (12, 20)),
    "array of H": lambda: array.array("H", BYTES),
    "array of d": lambda: array.array("d", BYTES),
    "mmap": lambda: mapped(BYTES),
    "ctypes": lambda: (ctypes.c_uint32 * 60).from_buffer_copy(BYTES),
    "numpy of bytes": lambda: np.frombuffer(BYTES, np.uint8).copy(),
    "numpy of floats": lambda: np.arange(30, dtype=np.float64),
    "numpy, big-endian": lambda: np.arange(60, dtype=">i4"),
    "numpy of two dimensions": lambda: np.arange(60, dtype=np.int32).reshape(6, 10),
    "numpy, some rows": lambda: np.arange(60, dtype=np.int32).reshape(6, 10)[2:4],
    "numpy without dimension": lambda: np.array(7.5),
    "numpy of records": lambda: np.zeros(5, np.dtype([("a", "u1"), ("b", ">f8")])),
    "numpy of bools": lambda: np.ones(9, np.bool_),
    "numpy, a column alone": lambda: np.arange(6, dtype=np.int16).reshape(6, 1),
}
READABLE = WRITABLE | {
    "bytes": lambda: BYTES,
    "memoryview of bytes": lambda: memoryview(BYTES)[1:],
    "numpy, read-only": lambda: frozen(np.arange(30)),
}
EMPTY = {
    "bytes": lambda: b"",
    "bytearray": bytearray,
    "array": lambda: array.array("d"),
    "numpy": lambda: np.zeros((0, 3)),
}
WITH_GAPS: dict[str, Callable[[], Any]] = {
    "memoryview in steps": lambda: memoryview(bytearray(BYTES))[::2],
    "memoryview backwards": lambda: memoryview(bytearray(BYTES))[::-1],
    "numpy in steps": lambda: np.arange(60)[::3],
    "numpy backwards": lambda: np.arange(60)[::-1],
    "numpy, a column": lambda: np.arange(60).reshape(6, 10)[:, 1],
    "numpy, columns first": lambda: np.asfortranarray(np.arange(60).reshape(6, 10)),
    "numpy, one value again and again": lambda: np.broadcast_to(np.arange(1), (9,)),
}
NO_BUFFER = [7, 7.5, None, ["a"], object(), range(3), {1: 2}]
SENDS = ["send", "sendall", "send_frame", "unrecv"]


@pytest.mark.parametrize("name", READABLE)
def test_every_contiguous_buffer_is_sent_as_its_bytes(pair: Pair, name: str) -> None:
    client, server = pair
    data = READABLE[name]()
    plain = bytes(memoryview(data))
    assert client.send(data) == len(plain)
    client.sendall(data)
    client.send_frame(data)
    assert server.recv_exactly(2 * len(plain), timeout=10) == 2 * plain
    assert server.recv_frame(timeout=10) == plain
    server.unrecv(data)
    assert server.recv_exactly(len(plain), timeout=0) == plain
    client.sendall(b"before" + plain + b"after")
    assert server.recv_until(data, timeout=10) == b"before" + plain


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_buffer_sends_nothing(pair: Pair, name: str) -> None:
    client, server = pair
    data = EMPTY[name]()  # type: ignore[operator]
    assert client.send(data) == 0
    client.sendall(data)
    client.unrecv(data)
    assert (client.totals.sent, client.totals.put_back) == (0, 0)
    client.send_frame(data)
    assert server.recv_frame(timeout=10) == b""
    with pytest.raises(ValueError, match="separator is empty"):
        server.recv_until(data)
    with pytest.raises(ValueError, match="buffer is empty"):
        server.recv_into(bytearray(data))


@pytest.mark.parametrize("call", SENDS)
@pytest.mark.parametrize("name", WITH_GAPS)
def test_gaps_are_refused_and_nothing_is_sent(pair: Pair, name: str, call: str) -> None:
    client, _ = pair
    with pytest.raises(BufferError, match=rf"{call} takes a contiguous buffer.*bytes\(it\)"):
        getattr(client, call)(WITH_GAPS[name]())
    assert (client.totals.sent, len(client.input_buffer)) == (0, 0)


@pytest.mark.parametrize("call", [*SENDS, "recv_until"])
@pytest.mark.parametrize("wrong", NO_BUFFER, ids=lambda wrong: type(wrong).__name__)
def test_what_has_no_bytes_is_refused(pair: Pair, wrong: object, call: str) -> None:
    client, _ = pair
    with pytest.raises(
        TypeError, match=f"{call} takes bytes or another object with a buffer.*not {type(wrong).__name__}"
    ):
        getattr(client, call)(wrong)


@pytest.mark.parametrize("call", [*SENDS, "recv_until"])
def test_text_is_refused_and_the_next_step_is_named(pair: Pair, call: str) -> None:
    client, _ = pair
    with pytest.raises(TypeError, match=rf"{call} takes bytes, not str.*'grüße'\.encode\(\)"):
        getattr(client, call)("grüße")
    assert client.totals.sent == 0


@pytest.mark.parametrize("name", WRITABLE)
def test_every_writable_buffer_is_received_into(pair: Pair, name: str) -> None:
    client, server = pair
    target = WRITABLE[name]()
    size = memoryview(target).nbytes
    sent = b"\1" * size if "bools" in name else stream(1000, size)
    client.sendall(sent + b"more")
    eventually(lambda: len(server.input_buffer) == size + 4)
    assert server.recv_into(target) == size
    assert bytes(memoryview(target)) == sent
    assert server.recv() == b"more"


def test_only_so_many_bytes_are_received_into_a_buffer(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"abcdef")
    eventually(lambda: len(server.input_buffer) == 6)
    target = bytearray(b"........")
    assert server.recv_into(target, 2) == 2
    assert server.recv_into(memoryview(target)[4:]) == 4
    assert target == b"ab..cdef"
    with pytest.raises(ValueError, match="more than the 8 bytes"):
        server.recv_into(target, 9)
    with pytest.raises(ValueError, match="max_bytes"):
        server.recv_into(target, 0)


@pytest.mark.parametrize("name", [*WITH_GAPS, "bytes", "numpy, read-only"])
def test_what_cannot_be_written_is_refused_and_nothing_is_taken(pair: Pair, name: str) -> None:
    client, server = pair
    client.send(b"stays")
    with pytest.raises((BufferError, TypeError), match=r"recv_into .*(contiguous|read-only)"):
        server.recv_into((READABLE | WITH_GAPS)[name]())
    assert server.recv_exactly(5, timeout=10) == b"stays"


@linux
def test_a_buffer_is_held_while_it_is_waited_for_and_let_go_after(pair: Pair) -> None:
    client, server = pair
    target = bytearray(10)
    with sleeping_call(lambda: server.recv_into(target)) as receiving:
        # Else the kernel would write where nothing is any more.
        with pytest.raises(BufferError):
            target.extend(b"more")
        client.send(b"x")
        assert receiving.result(10) == 1
    target.extend(b"more")
    assert target[0] == ord("x")


@pytest.mark.parametrize(
    "call",
    [
        lambda conn, data: conn.sendall(data),
        lambda conn, data: conn.unrecv(data),
        lambda conn, data: conn.recv_into(data, timeout=0),
        lambda conn, data: conn.recv_into(data, 99, timeout=0),
        lambda conn, data: conn.recv_until(data, timeout=0),
        lambda conn, data: conn.setsockopt(1, -1, data),
    ],
    ids=["sendall", "unrecv", "recv_into", "recv_into, wrong size", "recv_until", "setsockopt"],
)
def test_a_buffer_is_let_go_after_a_failure(pair: Pair, call: Callable[[sl.Connection, bytearray], object]) -> None:
    client, server = pair
    data = bytearray(b"0123456789")
    server.abort()
    eventually(lambda: client.state == sl.TcpState.CLOSED)
    for _ in range(2):
        with contextlib.suppress(OSError, ValueError):
            call(client, data)
        # Not possible while somebody holds the buffer.
        data.append(0)


def test_a_buffer_that_changes_while_it_is_sent_does_no_harm(pair: Pair, in_thread: Callable[..., Future[Any]]) -> None:
    """What arrives is a mixture then, as with Python's own socket; the number of bytes is right."""
    client, server = pair
    data = np.zeros(8 << 20, np.uint8)
    sending = in_thread(client.sendall, data)
    received = 0
    while received < len(data):
        data[:] = received % 251
        received += len(server.recv(1 << 20, timeout=10))
    sending.result(10)
    assert client.totals.sent == server.totals.read == len(data)
