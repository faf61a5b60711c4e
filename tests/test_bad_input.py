"""Bad input is refused by the right kind of exception, in a sentence that names the value, the limit and what to do instead; it
changes nothing, and the connection goes on working. What is not bad is not refused.
"""

from __future__ import annotations

import array
import ctypes
import re
import socket
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import socklens as sl
from helpers import eventually

HOST = "127.0.0.1"
BEFORE = b"came before\n"
RECEIVING = ["recv", "recv_exactly", "peek"]
LIMITED = ["recv_line", "recv_all", "recv_frame", "lines"]


@pytest.fixture
def conn(pair: tuple[sl.Connection, sl.Connection]) -> Iterator[sl.Connection]:
    """One end of a connection with a line in its input buffer, which must still be there afterwards, in working order."""
    conn, peer = pair
    conn.timeout = peer.timeout = 10
    peer.sendall(BEFORE)
    eventually(lambda: len(conn.input_buffer) == len(BEFORE))
    yield conn
    assert conn.recv_exactly(len(BEFORE)) == BEFORE
    conn.sendall(b"after\n")
    assert peer.recv_line() == b"after\n"
    assert conn.totals.sent == len(b"after\n"), "a refused call sent something"


def refused(kind: type[Exception] | tuple[type[Exception], ...], call: Callable[[], object], *words: str) -> str:
    """What the exception says, its notes included; it must be of that very kind and contain the words."""
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(kind, tuple) or type(caught.value) is kind
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for word in words:
        assert word in said
    return said


# Ports and hosts


@pytest.mark.parametrize("opening", [sl.connect, sl.listen])
@pytest.mark.parametrize(
    ("port", "kind", "words"),
    [
        (-1, OverflowError, ["port -1 ", "0 to 65535"]),
        (65536, OverflowError, ["port 65536 ", "0 to 65535"]),
        (2**70, OverflowError, [f"port {2**70} ", "0 to 65535"]),
        ("http", TypeError, ["'http'", "whole number from 0 to 65535"]),
        ("6666", TypeError, ["'6666'", "whole number from 0 to 65535"]),
        (True, TypeError, ["True (bool)", "whole number from 0 to 65535"]),
        (80.0, TypeError, ["80.0 (float)", "whole number from 0 to 65535"]),
    ],
)
def test_no_such_port(opening: Callable[..., object], port: Any, kind: type[Exception], words: list[str]) -> None:
    refused(kind, lambda: opening(HOST, port), *words)


def test_connect_needs_a_port() -> None:
    refused(ValueError, lambda: sl.connect(HOST), "needs a port", 'connect("127.0.0.1", 6666)')
    refused(ValueError, lambda: sl.connect(HOST, None), "needs a port")
    refused(ValueError, lambda: sl.connect(HOST, 0), "port 0", "any free port")
    number: Any = 6666
    refused(TypeError, lambda: sl.connect(number), "host comes first", "port=6666")


@pytest.mark.parametrize("opening", [sl.connect, sl.listen])
def test_a_name_that_no_resolver_knows(opening: Callable[..., object]) -> None:
    with pytest.raises(socket.gaierror) as caught:
        opening("nonexistent.invalid", 80)
    assert caught.value.errno in {socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_NODATA, socket.EAI_FAIL}
    assert '"nonexistent.invalid"' in str(caught.value)
    assert "check its spelling" in str(caught.value)


def test_no_such_host(listener: sl.Listener) -> None:
    port = listener.local_addr.port
    wrong: list[tuple[Any, type[Exception], str]] = [
        ("", ValueError, "the host is empty"),
        ("a\0b", ValueError, "NUL"),
        (b"127.0.0.1", TypeError, "b'127.0.0.1' (bytes)"),
        (None, TypeError, "not None"),
        (["127.0.0.1", port], TypeError, "(host, port)"),
        (listener, TypeError, ".local_addr"),
    ]
    for host, kind, word in wrong:
        refused(kind, lambda host=host: sl.connect(host, port), word)
    assert listener.accepted == 0
    with sl.connect(listener.local_addr), listener.accept(timeout=10):
        pass


def test_an_empty_host_is_answered_with_what_a_client_can_use() -> None:
    assert "0.0.0.0" not in refused(ValueError, lambda: sl.connect("", 80), "127.0.0.1")
    refused(ValueError, lambda: sl.listen("", 80), "127.0.0.1", "0.0.0.0")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("127.0.0.1:http", ValueError, ['"http"', "not a number", "host:port"]),
        ("127.0.0.1:", ValueError, ["not a number", "host:port"]),
        ("127.0.0.1: 80", ValueError, ["not a number", "host:port"]),
        ("127.0.0.1:+80", ValueError, ["+80"]),
        ("127.0.0.1:65536", OverflowError, ["65536", "0 to 65535"]),
        ("127.0.0.1:-1", OverflowError, ["-1", "0 to 65535"]),
        (f"127.0.0.1:{10**25}", OverflowError, [str(10**25), "0 to 65535"]),
        ("127.0.0.1:0", ValueError, ["port 0"]),
        (":80", ValueError, ["host", "empty"]),
        ("[::1", ValueError, ["bracket", "[::1]:6666"]),
        ("[::1]80", ValueError, ["after the bracket", "[::1]:6666"]),
        ("::1]:80", ValueError, ["bracket", "[::1]:6666"]),
        ("[]:80", ValueError, ["empty"]),
        ("a:b:c", ValueError, ["host:port"]),
        ("http://127.0.0.1:80", ValueError, ["host:port"]),
    ],
)
def test_endpoints_in_one_text(text: str, kind: type[Exception], words: list[str]) -> None:
    refused(kind, lambda: sl.connect(text), *words)


def test_two_ports() -> None:
    refused(ValueError, lambda: sl.connect("127.0.0.1:80", 81), "two ports", "80", "81")
    refused(ValueError, lambda: sl.connect((HOST, 80), 81), "two ports", "give one")
    refused(ValueError, lambda: sl.listen("127.0.0.1:80", 81), "two ports")


@pytest.mark.parametrize(
    "address",
    [
        (),
        (HOST,),
        (HOST, 80, 0),
        (80, HOST),
        (b"127.0.0.1", 80),
        ("::1", 80, 0, -1),
        ("::1", 80, 0, "lo"),
        ("::1", 80, "x", 0),
    ],
)
def test_tuples_that_are_no_address(address: Any) -> None:
    assert str(address) in refused(TypeError, lambda: sl.connect(address), "(host, port)")


@pytest.mark.parametrize("backlog", [-1, 2**31, "many", None, 1.5])
def test_no_such_backlog(backlog: Any) -> None:
    assert "conversion attempted" not in refused(
        (ValueError, TypeError, OverflowError), lambda: sl.listen(backlog=backlog), "backlog"
    )


@pytest.mark.parametrize("size", [-1, 0, 2**31])
@pytest.mark.parametrize("name", ["recv_buffer", "send_buffer"])
def test_no_such_kernel_buffer(name: str, size: int) -> None:
    for opening in (lambda **asked: sl.connect(HOST, 9, **asked), sl.listen, sl.pair):
        refused(
            ValueError, lambda opening=opening: opening(**{name: size}), name, "from 1 to 2147483647", f"not {size}"
        )


# Timeouts


@pytest.mark.parametrize(
    ("timeout", "kind", "words"),
    [
        (-1, ValueError, ["-1 ", "0 or more", "None to wait for ever"]),
        (-0.5, ValueError, ["-0.5 ", "0 or more", "None to wait for ever"]),
        (float("nan"), ValueError, ["NaN", "0 or more", "None to wait for ever"]),
        (float("-inf"), ValueError, ["-inf ", "0 or more"]),
        ("5", TypeError, ["'5' (str)", "seconds", "None to wait for ever"]),
        (True, TypeError, ["True (bool)", "seconds"]),
        (b"5", TypeError, ["b'5' (bytes)", "seconds"]),
    ],
)
def test_no_such_timeout(
    conn: sl.Connection, listener: sl.Listener, timeout: Any, kind: type[Exception], words: list[str]
) -> None:
    for call in (
        lambda: conn.recv(timeout=timeout),
        lambda: conn.send(b"x", timeout=timeout),
        lambda: conn.lines(timeout=timeout),
        lambda: listener.accept(timeout=timeout),
        lambda: sl.connect(listener.local_addr, timeout=timeout),
        lambda: sl.set_default_timeout(timeout),
        lambda: setattr(conn, "timeout", timeout),
        lambda: setattr(listener, "timeout", timeout),
    ):
        refused(kind, call, *words)
    assert (conn.timeout, listener.timeout, sl.get_default_timeout()) == (10, None, None)


def test_any_number_is_a_timeout(conn: sl.Connection) -> None:
    numbers: list[Any] = [2, 2.5, Fraction(1, 2), np.float64(0.5), np.int64(3), 0, 2**62]
    for number in numbers:
        conn.timeout = number
        assert conn.timeout == float(number)
    for_ever: list[Any] = [None, float("inf"), 1e300, 10**400]
    for number in for_ever:
        conn.timeout = number
        assert conn.timeout is None
    conn.timeout = 10


def test_a_tiny_timeout_is_not_zero(listener: sl.Listener) -> None:
    with pytest.raises(TimeoutError):
        listener.accept(timeout=1e-12)
    with pytest.raises(BlockingIOError):
        listener.accept(timeout=0)


# Sizes


@pytest.mark.parametrize("name", [*RECEIVING, *LIMITED, "recv_until", "recv_into", "input_buffer.peek"])
@pytest.mark.parametrize("size", [-1, -(2**100), 2**100, "5", 5.0, True])
def test_no_such_size(conn: sl.Connection, name: str, size: Any) -> None:
    kind = TypeError if not isinstance(size, int) or size is True else ValueError if size < 0 else OverflowError
    said = refused(kind, lambda: sized(conn, name)(size), str(size), "bytes")
    assert size == 2**100 or "more than" not in said


def sized(conn: sl.Connection, name: str) -> Callable[[Any], object]:
    """The call as a function of its size or limit."""
    if name in LIMITED:
        return lambda size: getattr(conn, name)(max_bytes=size)
    others: dict[str, Callable[[Any], object]] = {
        "recv_until": lambda size: conn.recv_until(b";", max_bytes=size),
        "recv_into": lambda size: conn.recv_into(bytearray(4), size),
        "input_buffer.peek": lambda size: conn.input_buffer.peek(size),
    }
    return others.get(name) or getattr(conn, name)


@pytest.mark.parametrize("name", ["recv", "peek", "recv_into", "recv_line", "recv_until", "recv_all", "lines"])
def test_zero_bytes_are_not_asked_for(conn: sl.Connection, name: str) -> None:
    refused(ValueError, lambda: sized(conn, name)(0), "1 or more", "not 0")


def test_zero_where_it_makes_sense(conn: sl.Connection) -> None:
    assert conn.recv_exactly(0) == b""
    assert conn.input_buffer.peek(0) == b""
    assert conn.send(b"") == 0


def test_huge_sizes(conn: sl.Connection, pair: tuple[sl.Connection, sl.Connection]) -> None:
    for size in (2**62, 2**63 - 1):
        assert conn.peek(size) == BEFORE
        refused(MemoryError, lambda size=size: conn.recv_exactly(size), str(size), "smaller pieces")
        assert conn.recv_line(max_bytes=size) == BEFORE
        conn.unrecv(BEFORE)
        assert conn.recv(size) == BEFORE
        pair[1].sendall(BEFORE)


def test_a_buffer_to_receive_into(conn: sl.Connection) -> None:
    refused(ValueError, lambda: conn.recv_into(bytearray()), "the buffer is empty")
    refused(ValueError, lambda: conn.recv_into(bytearray(3), 4), "max_bytes=4", "3 bytes")
    for read_only in (b"bytes", memoryview(b"bytes")):
        refused(TypeError, lambda read_only=read_only: conn.recv_into(read_only), "read-only", "bytearray")
    text: Any = "text"
    assert "encode" not in refused(TypeError, lambda: conn.recv_into(text), "recv_into", "bytearray")
    assert "send" not in refused(BufferError, lambda: conn.recv_into(memoryview(bytearray(4))[::2]), "contiguous")


# Frames


def test_separators(conn: sl.Connection) -> None:
    refused(ValueError, lambda: conn.recv_until(b""), "separator is empty", "1 byte or more")
    refused(ValueError, lambda: conn.recv_until(b"abc", max_bytes=2), "max_bytes=2", "separator of 3 bytes")


@pytest.mark.parametrize("prefix", [3, 0, -1, 16])
def test_no_such_prefix(conn: sl.Connection, prefix: int) -> None:
    for call in (lambda: conn.recv_frame(prefix), lambda: conn.send_frame(b"x", prefix)):
        refused(ValueError, call, "1, 2, 4 or 8 bytes", f"not {prefix}")


def test_no_such_byte_order(conn: sl.Connection) -> None:
    for order in ("network", "BIG", 5):
        wrong: Any = order
        for call in (lambda: conn.recv_frame(byteorder=wrong), lambda: conn.send_frame(b"x", byteorder=wrong)):
            refused((ValueError, TypeError), call, "byteorder")


@pytest.mark.parametrize(("prefix", "largest"), [(1, 255), (2, 65535)])
def test_a_payload_too_long_for_its_prefix(conn: sl.Connection, prefix: int, largest: int) -> None:
    call = lambda: conn.send_frame(bytes(largest + 1), prefix)  # noqa: E731
    refused(sl.FrameTooLongError, call, str(largest), str(largest + 1), "wider prefix", "Nothing was sent")


def too_long(conn: sl.Connection, call: Callable[[], object], limit: int) -> str:
    """What the exception says; all bytes must still be in the input buffer."""
    before = bytes(conn.input_buffer)
    with pytest.raises(sl.FrameTooLongError) as caught:
        call()
    assert caught.value.limit == limit
    assert bytes(conn.input_buffer) == before
    said = str(caught.value)
    for word in (f"max_bytes={limit}", f"{conn.local_addr} -> {conn.peer_addr}", "still in the input buffer", "recv()"):
        assert word in said
    return said


def test_a_line_that_does_not_end_within_its_limit(conn: sl.Connection) -> None:
    assert "a line" in too_long(conn, lambda: conn.recv_line(max_bytes=5), 5)
    assert "a line" in too_long(conn, lambda: next(conn.lines(max_bytes=5)), 5)
    too_long(conn, lambda: conn.recv_all(max_bytes=5), 5)


def test_a_separator_that_does_not_come_within_the_limit(conn: sl.Connection) -> None:
    said = too_long(conn, lambda: conn.recv_until(b"\r\n", max_bytes=5), 5)
    assert r"\r\n" in said
    assert r"\\r\\n" not in said, "escaped twice"
    assert not re.search(r"separator \S+ is longer", said), "it is the frame that is too long, not its separator"


def test_a_prefix_that_announces_too_much(conn: sl.Connection) -> None:
    announced = struct.unpack("!I", BEFORE[:4])[0]
    said = too_long(conn, conn.recv_frame, 16 << 20)
    assert str(announced) in said
    assert "or more" not in said, "the prefix tells exactly how long it is"
    too_long(conn, lambda: conn.recv_frame(8, max_bytes=2**63 - 1), 2**63 - 1)


def test_a_timeout_inside_a_frame_tells_that_a_part_has_come(conn: sl.Connection) -> None:
    for call in (
        lambda: conn.recv_exactly(100, timeout=0.01),
        lambda: conn.recv_exactly(100_000, timeout=0.01),
        lambda: conn.recv_until(b";", timeout=0.01),
        lambda: conn.recv_frame(1, timeout=0.01),
        lambda: conn.recv_all(timeout=0.01),
    ):
        said = refused(TimeoutError, call, "0.01 s", "still in the input buffer")
        assert "nothing came" not in said
        assert str(len(BEFORE)) in said


# Data


@pytest.mark.parametrize("name", ["send", "sendall", "send_frame", "unrecv", "recv_until"])
def test_only_bytes_can_be_carried(conn: sl.Connection, name: str) -> None:
    call = getattr(conn, name)
    refused(TypeError, lambda: call("text"), name, "not str", "'text'.encode()")
    refused(TypeError, lambda: call("t" * 1000), name, "text.encode()")
    for other in (5, None, [1, 2]):
        refused(TypeError, lambda other=other: call(other), name, "bytes", "bytearray")
    refused(BufferError, lambda: call(memoryview(b"abcdef")[::2]), name, "contiguous", "bytes(")


class Header(ctypes.BigEndianStructure):
    _fields_ = [("kind", ctypes.c_uint8), ("length", ctypes.c_uint16)]
    _pack_ = 1


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcd").cast("H"), b"abcd"),
        (array.array("B", b"abc"), b"abc"),
        (np.frombuffer(b"abcd", np.uint8).reshape(2, 2), b"abcd"),
        (np.array(7, np.uint8), b"\x07"),
        (ctypes.create_string_buffer(b"abc", 3), b"abc"),
        (Header(1, 2), b"\x01\x00\x02"),
        (memoryview(b""), b""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_with_a_contiguous_buffer_can_be_carried(data: Any, content: bytes) -> None:
    client, server = sl.pair()
    with client, server:
        assert client.send(data, timeout=10) == len(content)
        assert server.recv_exactly(len(content), timeout=10) == content
        server.unrecv(data)
        assert server.recv_exactly(len(content), timeout=10) == content


def test_whatever_counts_as_a_whole_number_is_one(listener: sl.Listener, conn: sl.Connection) -> None:
    port: Any = np.int64(listener.local_addr.port)
    assert conn.peek(np.int64(4)) == BEFORE[:4]
    with sl.connect(HOST, port, timeout=10) as client:
        assert client.peer_addr == listener.local_addr


@pytest.mark.parametrize("how", ["write", "SEND", 3, -1, "", b"send", 1.5])
def test_no_such_direction(conn: sl.Connection, how: Any) -> None:
    refused(ValueError, lambda: conn.shutdown(how), '"send", "recv" or "both"', repr(how))


def test_too_much_to_put_back(conn: sl.Connection) -> None:
    refused(
        BufferError,
        lambda: conn.unrecv(bytes((64 << 20) + 1)),
        str((64 << 20) + 1),
        str(64 << 20),
        "nothing was put back",
    )
