"""The promise: after a fork the child's copies work, and close at once, whatever the parent's threads were doing; nobody is harmed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

HEAD = """
    import os, signal, sys, threading, warnings
    import socklens as sl
    warnings.simplefilter("ignore")

    def in_child(work):
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            try:
                work()
            except BaseException as error:
                print("child:", repr(error), flush=True)
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run(script: str) -> None:
    code = textwrap.dedent(HEAD) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("size", [64, 1 << 20])
def test_a_child_closes_what_threads_of_the_parent_are_using(size: int) -> None:
    run(f"""
        a, b = sl.pair()
        stop = threading.Event()

        def echo():
            try:
                while True:
                    b.sendall(b.recv_exactly({size}))
            except sl.IncompleteReadError:
                pass

        def ask():
            while not stop.is_set():
                a.sendall(bytes({size}))
                assert a.recv_exactly({size}) == bytes({size})
            a.shutdown("send")

        threads = [threading.Thread(target=echo), threading.Thread(target=ask)]
        for thread in threads:
            thread.start()

        def close_both():
            a.close()
            b.close()

        for _ in range(40):
            in_child(close_both)
        stop.set()
        for thread in threads:
            thread.join()
        a.close()
        b.close()
    """)


def test_close_in_the_child_wakes_the_childs_own_threads() -> None:
    run("""
        listener = sl.listen()
        a, b = sl.pair()

        def wake():
            told = []
            def wait(call):
                try:
                    call()
                except sl.ClosedError:
                    told.append(call)
            threads = [threading.Thread(target=wait, args=[call]) for call in (listener.accept, a.recv)]
            for thread in threads:
                thread.start()
            listener.close()
            a.close()
            for thread in threads:
                thread.join()
            assert len(told) == 2

        in_child(wake)
        with sl.connect(listener.local_addr) as c, listener.accept(timeout=5) as d:
            c.send(b"x")
            assert d.recv(timeout=5) == b"x"
        b.send(b"y")
        assert a.recv(timeout=5) == b"y"
        for end in (a, b, listener):
            end.close()
    """)


def test_abort_in_the_child_does_not_reset_the_parents_connection() -> None:
    run("""
        a, b = sl.pair()
        in_child(a.abort)
        assert a.linger is None
        a.send(b"still here")
        a.close()
        assert b.recv_all(timeout=5) == b"still here"
        b.close()
    """)


def test_bytes_in_rust_memory_are_in_the_childs_copy_too() -> None:
    run("""
        a, b = sl.pair()
        b.send(b"line\\nrest")
        assert a.recv_line() == b"line\\n"

        def look():
            assert a.recv(timeout=5) == b"rest"
            b.send(b"more")
            assert a.recv(timeout=5) == b"more"

        in_child(look)
        assert a.recv(timeout=5) == b"rest"
        a.close()
        b.close()
    """)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere RST leaves with the last descriptor")
@pytest.mark.parametrize("unread", [b"", b"nobody reads this"], ids=["all read", "bytes unread"])
@pytest.mark.parametrize("state", ["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_2"])
def test_an_abort_reaches_the_peer_while_a_child_has_the_socket_too(state: str, unread: bytes) -> None:
    run(f"""
        signal.alarm(30)
        a, b = sl.pair()
        if {unread!r}:
            b.sendall({unread!r})
        if {state!r} == "CLOSE_WAIT":
            b.shutdown("send")
        if {state!r} == "FIN_WAIT_2":
            a.shutdown("send")
        while a.state != sl.TcpState.{state} or len(a.input_buffer) < len({unread!r}):
            pass
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(tell)
            os.read(told, 1)
            os._exit(0)
        os.close(told)
        a.abort()
        assert a.closed
        while b.state != sl.TcpState.CLOSED:
            pass
        if {state!r} == "FIN_WAIT_2":
            assert b.recv() == b"", "the end had come before"
        else:
            try:
                b.recv()
                raise AssertionError("it was reset")
            except ConnectionResetError:
                pass
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child has the socket all the time"
        os.close(tell)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        b.close()
    """)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere RST leaves with the last descriptor")
def test_an_abort_in_the_child_leaves_the_parents_connection_alone() -> None:
    run("""
        a, b = sl.pair()
        in_child(a.abort)
        a.sendall(b"still here")
        assert b.recv_exactly(10, timeout=10) == b"still here"
        a.close()
        b.close()
    """)
