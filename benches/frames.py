"""Length-prefixed frames and fixed-size records that are already there: what framing by length costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import clients
from content import MESSAGES, RECORD, RECORDS
from harness import Case, Comparison, Round, Where
from messages import calls, rounds, turns

PREFIX = 4


@contextmanager
def _lens_frames(port: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        yield rounds(conn.sendall, calls(conn.recv_frame), MESSAGES)


@contextmanager
def _file_frames(port: int) -> Iterator[Round]:
    with clients.plain(port) as sock, sock.makefile("rb") as file:
        read = file.read

        def frame() -> bytes:
            return read(int.from_bytes(read(PREFIX), "big"))

        yield rounds(sock.sendall, calls(frame), MESSAGES)


@contextmanager
def _hand_frames(port: int) -> Iterator[Round]:
    with clients.plain(port) as sock:

        def frame() -> bytes:
            return clients.hand_exactly(sock, int.from_bytes(clients.hand_exactly(sock, PREFIX), "big"))

        yield rounds(sock.sendall, calls(frame), MESSAGES)


@contextmanager
def _lens_records(port: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        recv_exactly = conn.recv_exactly
        yield rounds(conn.sendall, lambda: [recv_exactly(RECORD) for _ in turns()], RECORDS)


@contextmanager
def _file_records(port: int) -> Iterator[Round]:
    with clients.plain(port) as sock, sock.makefile("rb") as file:
        read = file.read
        yield rounds(sock.sendall, lambda: [read(RECORD) for _ in turns()], RECORDS)


CASES = [
    Case(
        "frames of 32 B",
        "frames",
        Where.TWO_CORES,
        {"recv_frame()": _lens_frames, "makefile read(4), read(n)": _file_frames, "hand-written loop": _hand_frames},
        [
            Comparison("recv_frame()", "makefile read(4), read(n)", faster_by=3.0),
            Comparison("recv_frame()", "hand-written loop", faster_by=22.0),
        ],
        operations=len(MESSAGES),
    ),
    Case(
        "records of 16 B",
        "records",
        Where.TWO_CORES,
        {"recv_exactly(16)": _lens_records, "makefile read(16)": _file_records},
        [Comparison("recv_exactly(16)", "makefile read(16)", faster_by=1.25)],
        operations=len(RECORDS),
    ),
]
