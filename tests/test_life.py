"""The promise: a socket ends when its object does, and says so; closing twice is nothing; a forked child's copy harms nobody."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from helpers import eventually

Pair = tuple[sl.Connection, sl.Connection]


def test_a_with_statement_closes() -> None:
    with sl.listen() as listener, sl.connect(listener.local_addr) as client:
        assert not listener.closed
        assert not client.closed
    assert listener.closed
    assert client.closed
    client.close()
    listener.close()


def test_a_with_statement_closes_and_lets_an_exception_through(pair: Pair) -> None:
    client, _ = pair
    with pytest.raises(KeyError), client:
        raise KeyError
    assert client.closed


def here() -> int:
    return sys._getframe(1).f_lineno


def test_a_dropped_connection_is_closed_and_names_its_line(listener: sl.Listener) -> None:
    client, line = sl.connect(listener.local_addr), here()
    server = listener.accept(timeout=5)
    with pytest.warns(ResourceWarning, match=rf"unclosed Connection .*made in .*test_life\.py, line {line}"):
        del client
        gc.collect()
    assert server.recv(timeout=5) == b""
    server.close()


def test_a_dropped_listener_frees_its_port_and_names_its_line() -> None:
    listener, line = sl.listen(), here()
    address = listener.local_addr
    with pytest.warns(ResourceWarning, match=rf"unclosed Listener {address}, made in .*test_life\.py, line {line}"):
        del listener
        gc.collect()
    with pytest.raises(ConnectionRefusedError):
        sl.connect(address, timeout=5)


def test_an_accepted_connection_names_the_line_that_accepted(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr):
        server, line = listener.accept(timeout=5), here()
        assert server.created_at.endswith(f"test_life.py, line {line}")
        server.close()


def test_a_closed_object_is_dropped_without_a_word(pair: Pair) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client, server = sl.pair()
        client.close()
        server.abort()
        del client, server
        gc.collect()


def test_the_warning_does_not_disturb_an_exception_on_its_way() -> None:
    def drop_while_raising() -> None:
        conns = sl.pair()
        raise LookupError(len(conns))

    with pytest.warns(ResourceWarning), pytest.raises(LookupError, match="2"):
        drop_while_raising()
    gc.collect()


def test_objects_left_at_the_interpreters_end_do_no_harm() -> None:
    script = """
        import threading, socklens as sl
        listener = sl.listen()
        client = sl.connect(listener.local_addr)
        server = listener.accept()
        threading.Thread(target=server.recv, daemon=True).start()
        waiting = sl.connect(listener.local_addr)
        iterator = waiting.lines()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_weak_references_and_the_listeners_roll(listener: sl.Listener) -> None:
    clients = [sl.connect(listener.local_addr) for _ in range(3)]
    servers = [listener.accept(timeout=5) for _ in range(3)]
    assert listener.connections == servers
    assert listener.accepted == 3
    servers[1].close()
    assert listener.connections == [servers[0], servers[2]]
    reference = weakref.ref(servers[0])
    with pytest.warns(ResourceWarning):
        del servers[0]
        gc.collect()
    # The listener does not keep its connections open.
    assert reference() is None
    assert listener.connections == [servers[1]]
    for conn in clients + servers:
        conn.close()
    assert listener.connections == []


def test_a_loop_over_a_listener_ends_when_it_is_closed(
    listener: sl.Listener, in_thread: Callable[..., Future[Any]]
) -> None:
    def serve() -> int:
        count = 0
        for conn in listener:
            with conn:
                count += 1
        return count

    serving = in_thread(serve)
    for _ in range(3):
        with sl.connect(listener.local_addr) as client:
            assert client.recv(timeout=5) == b""
    listener.close()
    assert serving.result(10) == 3


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@fork
@pytest.mark.parametrize("end", ["close", "drop", "use"])
def test_a_forked_childs_copy_does_not_harm_the_parents(
    pair: Pair, in_thread: Callable[..., Future[Any]], end: str
) -> None:
    client, server = pair
    server.send(b"line\nhalf")
    assert client.recv_line(timeout=5) == b"line\n"
    # Another thread of the parent is inside at the moment of the fork; the child has no such thread.
    waiting = in_thread(server.recv)
    eventually(lambda: not waiting.done())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        # No assertion, no pytest: the child must end here.
        try:
            if end == "close":
                server.close()
                client.close()
            elif end == "use":
                if client.recv(timeout=5) != b"half" or server.state != sl.TcpState.ESTABLISHED:
                    os._exit(3)
                server.send(b"from the child")
                try:
                    server.recv(timeout=0.05)
                except TimeoutError:
                    os._exit(0)
                os._exit(4)
            os._exit(0)
        finally:
            os._exit(5)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    if end == "use":
        assert client.recv_exactly(18, timeout=5) == b"halffrom the child"
    else:
        assert client.recv_exactly(4, timeout=5) == b"half"
    client.send(b"still here")
    assert waiting.result(10) == b"still here"
    assert server.state == sl.TcpState.ESTABLISHED


def test_daemon_threads_at_the_interpreters_end_do_no_harm() -> None:
    script = """
        import threading, time, socklens as sl
        a, b = sl.pair()
        listener = sl.listen()
        def look():
            while True:
                a.local_addr, b.state, a.input_buffer, listener.backlog, repr(a)
        for _ in range(3):
            threading.Thread(target=look, daemon=True).start()
        time.sleep(0.05)
    """
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


def test_time_wait_shows_on_an_open_socket_and_on_a_closed_one(pair: Pair) -> None:
    client, server = pair
    client.shutdown("send")
    assert server.recv(timeout=5) == b""
    server.close()
    assert client.recv(timeout=5) == b""
    assert eventually(lambda: client.state == sl.TcpState.TIME_WAIT)
    client.close()
    assert client.state == sl.TcpState.TIME_WAIT
    assert server.state == sl.TcpState.CLOSED
