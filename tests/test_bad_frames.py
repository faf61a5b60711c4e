"""A frame that is malformed, too long or never ends is refused with the limit in the message, and all its bytes stay in the input
buffer, in order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from refusals import refused

LINE = b"a line that does not end"


@pytest.fixture
def conn(pair: tuple[sl.Connection, sl.Connection]) -> Iterator[Any]:
    """One end of a connection with an unfinished line in its input buffer, which must still be there afterwards."""
    conn, peer = pair
    conn.timeout = peer.timeout = 10
    peer.sendall(LINE)
    eventually(lambda: len(conn.input_buffer) == len(LINE))
    yield conn
    peer.sendall(b"\n")
    assert conn.recv_line() == LINE + b"\n"


def too_long(conn: Any, limit: int, call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """What the exception says. It must know the limit, the connection and the next step."""
    with pytest.raises(sl.FrameTooLongError) as caught:
        call(*args, **kwargs)
    assert caught.value.limit == limit
    assert bytes(conn.input_buffer) == LINE
    said = str(caught.value)
    for word in (f"max_bytes={limit}", f"{conn.local_addr} -> {conn.peer_addr}", "still in the input buffer", "recv()"):
        assert word in said
    return said


def test_a_line_that_does_not_end_within_its_limit(conn: Any) -> None:
    assert "recv_line: a line" in too_long(conn, 5, conn.recv_line, max_bytes=5)
    assert "lines: a line" in too_long(conn, 5, next, conn.lines(max_bytes=5))


def test_a_stream_that_goes_on_beyond_its_limit(conn: Any) -> None:
    assert "recv_all" in too_long(conn, 5, conn.recv_all, max_bytes=5)


def test_the_limit_is_the_largest_that_is_allowed(conn: Any) -> None:
    too_long(conn, 23, conn.recv_until, b"end", max_bytes=len(LINE) - 1)
    assert conn.recv_until(b"end", max_bytes=len(LINE)) == LINE
    conn.unrecv(LINE)
    conn.unrecv(struct.pack("!I", len(LINE)))
    with pytest.raises(sl.FrameTooLongError):
        conn.recv_frame(max_bytes=len(LINE) - 1)
    assert conn.recv_frame(max_bytes=len(LINE)) == LINE
    conn.unrecv(LINE)


def test_a_separator_that_does_not_come_within_the_limit(conn: Any) -> None:
    said = too_long(conn, 5, conn.recv_until, b"\r\n", max_bytes=5)
    assert r"\r\n" in said
    assert r"\\r\\n" not in said, "escaped twice"
    assert not re.search(r"separator \S+ is longer", said), "the frame is too long, not its separator"


def test_a_prefix_that_announces_too_much(conn: Any) -> None:
    announced = struct.unpack("!I", LINE[:4])[0]
    said = too_long(conn, 16 << 20, conn.recv_frame)
    assert str(announced) in said
    assert "or more" not in said, "the prefix tells exactly how long the frame is"
    too_long(conn, 1 << 20, conn.recv_frame, 8, byteorder="little", max_bytes=1 << 20)


def test_a_prefix_that_announces_more_than_a_number_holds() -> None:
    client, server = sl.pair()
    with client, server:
        server.sendall(b"\xff" * 8)
        said = refused(sl.FrameTooLongError, [str(2**64 - 1)], client.recv_frame, 8, max_bytes=2**63 - 1, timeout=10)
        assert f"max_bytes={2**63 - 1}" in said
        assert client.recv_exactly(8) == b"\xff" * 8


@pytest.mark.parametrize(
    "name_and_arguments",
    [
        ("recv_exactly", [1000]),
        ("recv_exactly", [100_000]),
        ("recv_until", [b";"]),
        ("recv_line", []),
        ("recv_frame", [1]),
        ("recv_all", []),
    ],
    ids=str,
)
def test_a_timeout_inside_a_frame_tells_that_a_part_has_come(
    conn: Any, name_and_arguments: tuple[str, list[Any]]
) -> None:
    name, arguments = name_and_arguments
    words = [name, "timed out after 0.01 s", "still in the input buffer", str(len(LINE))]
    assert "nothing came" not in refused(TimeoutError, words, getattr(conn, name), *arguments, timeout=0.01)


def test_an_end_inside_a_frame_gives_what_had_come() -> None:
    client, server = sl.pair()
    with client:
        server.sendall(b"hal")
        server.close()
        for name, arguments, expected in (
            ("recv_exactly", [5], 5),
            ("recv_until", [b"\r\n"], None),
            ("recv_line", [], None),
            ("recv_frame", [4], None),
            ("recv_frame", [1], ord("h") + 1),
        ):
            with pytest.raises(sl.IncompleteReadError) as caught:
                getattr(client, name)(*arguments, timeout=10)
            assert (caught.value.partial, caught.value.expected) == (b"hal", expected)
            for word in (name, "FIN", "3 bytes", ".partial", f"{client.local_addr} -> {client.peer_addr}"):
                assert word in str(caught.value)
            assert r"\\r" not in str(caught.value), "escaped twice"
        assert client.recv_all() == b"hal"


def test_one_byte_that_had_come_is_one() -> None:
    client, server = sl.pair()
    with client:
        server.sendall(b"h")
        server.close()
        with pytest.raises(sl.IncompleteReadError, match=r"after 1 byte, before .* it is in \.partial"):
            client.recv_line(timeout=10)


def test_separators(conn: Any) -> None:
    refused(ValueError, ["separator is empty", "1 byte or more"], conn.recv_until, b"")
    refused(ValueError, ["max_bytes=2", "separator of 3 bytes"], conn.recv_until, b"abc", max_bytes=2)


@pytest.mark.parametrize("prefix", [3, 0, -1, 16])
def test_no_such_prefix(conn: Any, prefix: int) -> None:
    words = ["1, 2, 4 or 8 bytes", f"not {prefix}"]
    refused(ValueError, ["recv_frame", *words], conn.recv_frame, prefix)
    refused(ValueError, ["send_frame", *words], conn.send_frame, b"x", prefix)


@pytest.mark.parametrize("order", ["network", "BIG", "", 5, None])
def test_no_such_byte_order(conn: Any, order: Any) -> None:
    refused((ValueError, TypeError), ["byteorder"], conn.recv_frame, byteorder=order)
    refused((ValueError, TypeError), ["byteorder"], conn.send_frame, b"x", byteorder=order)


@pytest.mark.parametrize(("prefix", "largest"), [(1, 255), (2, 65535)])
def test_a_payload_too_long_for_its_prefix(conn: Any, prefix: int, largest: int) -> None:
    words = ["send_frame", str(largest), str(largest + 1), "wider prefix", "Nothing was sent"]
    refused(sl.FrameTooLongError, words, conn.send_frame, bytes(largest + 1), prefix)
    assert conn.totals.sent == 0
    conn.send_frame(bytes(largest), prefix)
    assert conn.totals.sent == prefix + largest
