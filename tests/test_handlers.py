"""The promise: a signal handler may raise, and may close what it interrupts. No byte is lost, and what waited says
why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import socklens as sl
from flow import ends, stream
from helpers import in_thread
from signals import CameInBetweenError, pending_signal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses signals of Unix")


@pytest.mark.parametrize("one_core", [True, False])
@pytest.mark.parametrize("size", [5, 200_000])
@pytest.mark.parametrize("name", ["recv", "recv_into", "recv_exactly", "peek"])
def test_a_signal_that_comes_with_the_bytes_loses_none(name: str, size: int, one_core: bool) -> None:
    """The answer comes while the call tries again and again before it sleeps, and so does the signal."""
    reads: dict[str, Callable[[sl.Connection, float], object]] = {
        "recv": lambda conn, timeout: conn.recv(size, timeout=timeout),
        "recv_into": lambda conn, timeout: conn.recv_into(bytearray(size), timeout=timeout),
        "recv_exactly": lambda conn, timeout: conn.recv_exactly(size, timeout=timeout),
        "peek": lambda conn, timeout: conn.peek(size, timeout=timeout),
    }
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    with ends() as (client, server), client.to_socket() as peer:
        echo = in_thread(echo_all, peer)
        if one_core and cores:
            # There the other end runs as soon as this one gives way.
            os.sched_setaffinity(0, {min(cores)})
        try:
            for _ in range(200):
                server.sendall(stream(server.totals.sent, 5))
                with pending_signal() as timeout, contextlib.suppress(CameInBetweenError):
                    reads[name](server, timeout)
                totals = server.totals
                assert totals.received == totals.read + server.input_buffer.rust
                # What the interrupted call did hand out is lost to this test, not to the account.
                rest = totals.sent - totals.read
                assert server.recv_exactly(rest, timeout=10) == stream(totals.read, rest)
        finally:
            if cores:
                os.sched_setaffinity(0, cores)
        server.shutdown("send")
        echo.result(10)


def echo_all(peer: socket.socket) -> None:
    while data := peer.recv(1 << 16):
        peer.sendall(data)


SCRIPT = """
    import signal, socket, socklens as sl

    listener = sl.listen()
    client = sl.connect(listener.local_addr)
    server = listener.accept(timeout=10)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        late = sl.connect(full.getsockname(), wait=False)
        waiting = {waiting}

        def handler(*_):
            {handler}

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            print("returned", {call})
        except (sl.ClosedError, LookupError) as error:
            print(type(error).__name__, error)
        print("closed" if waiting.closed else "open")
        # The port is free, the descriptor closed.
        if waiting is listener:
            sl.listen(*listener.local_addr).close()
        for end in (late, client, server, listener):
            end.close()
"""
CALLS = {
    "recv": ("server", "server.recv()"),
    "recv_exactly, large": ("server", "server.recv_exactly(100_000)"),
    "recv_line": ("server", "server.recv_line()"),
    "lines": ("server", "list(server.lines())"),
    "peek": ("server", "server.peek()"),
    "sendall": ("server", "server.sendall(bytes(64 << 20))"),
    "accept": ("listener", "listener.accept()"),
    "for": ("listener", "list(listener)"),
    "wait_connected": ("late", "late.wait_connected()"),
}


def run(call: str, handler: str) -> list[str]:
    waiting, expression = CALLS[call]
    code = textwrap.dedent(SCRIPT).format(waiting=waiting, call=expression, handler=handler)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("call", CALLS)
def test_a_handler_closes_what_it_interrupts(call: str) -> None:
    """How a program ends politely: Ctrl-C or SIGTERM closes the listener, and the loop over it ends."""
    told, state = run(call, "waiting.close()")
    if call == "for":
        assert told == "returned []"
    else:
        assert told.startswith("ClosedError")
        assert "closed by this program" in told
    assert state == "closed"


@pytest.mark.parametrize("end", ["abort()", "__exit__(None, None, None)"])
def test_a_handler_ends_it_in_another_way(end: str) -> None:
    told, state = run("recv", f"waiting.{end}")
    assert told.startswith("ClosedError")
    assert state == "closed"


@pytest.mark.parametrize("give", ["detach()", "to_socket().detach()"])
def test_a_handler_that_gives_it_away_is_served_or_told_why_not(give: str) -> None:
    """The descriptor may be in use further out; to hang is no answer."""
    told, state = run(
        "recv",
        f"""
            try:
                socket.close(waiting.{give})
            except RuntimeError:
                waiting.close()
    """,
    )
    assert told.startswith("ClosedError")
    assert state == "closed"


@pytest.mark.parametrize("call", ["recv", "sendall", "accept", "for"])
def test_a_handler_closes_and_raises(call: str) -> None:
    """What the handler raises comes out, not what its close has caused."""
    assert run(call, "waiting.close(); raise LookupError('of the handler')") == ["LookupError of the handler", "closed"]


@pytest.mark.parametrize("call", ["recv", "sendall", "accept"])
def test_a_handler_waits_for_a_thread_that_closes(call: str) -> None:
    """As a handler does that stops a server and joins its threads."""
    told, state = run(call, "import threading; t = threading.Thread(target=waiting.close); t.start(); t.join()")
    assert told.startswith("ClosedError")
    assert state == "closed"


def test_a_handler_closes_other_objects() -> None:
    """Also one that another thread waits for."""
    with ends() as (client, server), sl.listen(port=0) as listener:
        accepting = in_thread(listener.accept)

        def handler(*_: object) -> None:
            listener.close()
            client.close()

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            assert server.recv(timeout=10) == b""
        finally:
            signal.signal(signal.SIGALRM, before)
        with pytest.raises(sl.ClosedError):
            accepting.result(10)
