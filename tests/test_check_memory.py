"""The promise: a program under check takes only so much memory, and one that the check has ended for it has made no mistake."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import socklens as sl
from checked import DIALOGUE, Program, echo, fails, passes
from socklens.check import Mistake

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

linux = pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")


# Memory


def takes_all(port: int) -> None:
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def takes_all_for_a_client(conn: sl.Connection) -> None:
    conn.recv()
    takes_all(0)


@linux
@pytest.mark.parametrize("target", [takes_all, takes_all_for_a_client])
def test_who_takes_all_memory_is_stopped_and_told_so(monkeypatch: pytest.MonkeyPatch, target: Program) -> None:
    # Less than it is, for the sake of the machine that runs this.
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    result = sl.check.echo_server(target)
    fails(result, Mistake.RAISES, "MemoryError: a check lets a program take 2 GiB of memory")


def takes_all_in_small_pieces(port: int) -> None:
    kept: list[object] = []
    while True:
        kept = [kept, bytes(400)]


@contextlib.contextmanager
def limited(kind: str, room: int) -> Iterator[int]:
    """A soft limit of memory on this process, which has so much less than it."""
    import resource

    number = getattr(resource, kind)
    field = {"RLIMIT_DATA": "VmData:", "RLIMIT_AS": "VmSize:"}[kind]
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    soft = next(int(line.split()[1]) << 10 for line in lines if line.startswith(field)) + room
    before = resource.getrlimit(number)
    resource.setrlimit(number, (soft, before[1]))
    try:
        yield soft
    finally:
        resource.setrlimit(number, before)


@linux
@pytest.mark.parametrize("kind", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_a_lower_limit_that_was_there_stays_and_is_told(kind: str) -> None:
    import resource

    def ask(conn: sl.Connection) -> int:
        conn.sendall(b"time?\n")
        conn.recv_line()
        return resource.getrlimit(getattr(resource, kind))[0]

    with limited(kind, 150 << 20) as soft:
        passes(sl.check.client(ask, DIALOGUE, returns=soft))
        for target in (takes_all, takes_all_in_small_pieces, takes_all_for_a_client):
            result = sl.check.echo_server(target)
            told = f"MemoryError: a limit from before the check lets this process have {soft >> 20:,} MiB ({kind})"
            fails(result, Mistake.RAISES, told)


@linux
def test_a_higher_limit_that_was_there_is_no_reason_to_leave_out_the_checks_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    with limited("RLIMIT_DATA", 1 << 30):
        fails(sl.check.echo_server(takes_all), Mistake.RAISES, "MemoryError: a check lets a program take 2 GiB")


@linux
def test_a_command_that_takes_all_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    code = "kept = []\nwhile True: kept.append(bytes(1_000_000) + b'x')"
    result = sl.check.echo_server([sys.executable, "-c", code, "{port}"])
    fails(result, None, "was ended: a check lets a program take 2 GiB of memory")


GROWS = """
import contextlib, socket, sys, threading
port, kind, last = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
listener = socket.create_server(("127.0.0.1", port), backlog=50)
clients = []
def serve(conn):
    rest = b""
    with conn, contextlib.suppress(OSError):
        while data := conn.recv(65536):
            whole = len(rest + data) if kind == "echo" else (rest + data).rfind(b"\\n") + 1
            said, rest = (rest + data)[:whole], (rest + data)[whole:]
            for one in tuple(clients) if kind == "chat" else (conn,):
                with contextlib.suppress(OSError):
                    one.sendall(said)
    clients.remove(conn)
for _ in range(last):
    clients.append(listener.accept()[0])
    threading.Thread(target=serve, args=clients[-1:], daemon=True).start()
kept = []
while True:
    kept.append(bytes(1_000_000) + b"x")
"""


@linux
@pytest.mark.parametrize("kind", ["echo", "line", "chat"])
@pytest.mark.parametrize("client", [1, 3, 4, 20])
def test_a_program_that_the_check_has_ended_has_made_no_mistake(
    monkeypatch: pytest.MonkeyPatch, kind: str, client: int
) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    check = getattr(sl.check, f"{kind}_server")
    result = check([sys.executable, "-c", GROWS, "{port}", kind, str(client)])
    fails(result, None, "was ended: a check lets a program take 2 GiB of memory")


PREFORK = """
import os, socket, sys, threading
known = bytearray(os.urandom(1 << 20)) * 100
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=50)
def serve(conn):
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.close()
for _ in range(7):
    if os.fork() == 0:
        break
while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""


@linux
def test_what_processes_share_is_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from socklens.check import _memory

    monkeypatch.setattr(_memory, "ROOM", 500 << 20)
    shares: list[int] = []
    share = _memory._share

    def seen(pid: int) -> int:
        shares.append(share(pid))
        return shares[-1]

    monkeypatch.setattr(_memory, "_share", seen)
    result = sl.check.echo_server([sys.executable, "-c", PREFORK, "{port}"])
    assert len(shares) >= 8, "the sum alone was too much"
    assert max(shares) < 500 << 20
    passes(result)


@linux
def test_fifty_clients_with_threads_of_their_own_have_room() -> None:
    def two_threads(conn: sl.Connection) -> None:
        other = threading.Thread(target=echo, args=(conn,))
        other.start()
        other.join()

    passes(sl.check.echo_server(two_threads))
