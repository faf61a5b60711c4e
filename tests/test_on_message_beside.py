"""The promise: a callback of OnMessage that takes long, a computing thread, the garbage collector, a fork and the end of the program do a
server no harm, and it keeps nothing alive.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from serving import DEADLINE, ask, client_of, serving, whole

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")


# Callbacks that take long


def test_while_a_callback_takes_long_others_look_and_send(in_thread: InThread) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(conn: sl.Connection, line: bytes) -> bytes:
        if line == b"slow\n":
            began.set()
            go_on.wait(DEADLINE)
        return line

    with serving(sl.OnMessage(slow)) as server, client_of(server) as other, client_of(server) as client:
        ask(other)
        client.sendall(b"slow\n")
        assert began.wait(DEADLINE)
        other.sendall(b"later\n")
        assert [one.state for one in server.clients] == [sl.TcpState.ESTABLISHED] * 2
        assert "2" in repr(server)
        assert server.broadcast(b"to all\n") == 2
        for number, one in enumerate(server.clients):
            in_thread(one.conn.sendall, b"%d from a thread\n" % number).result(DEADLINE)
        assert (server.errors, server.dropped, server.accepted) == ([], [], 2)
        go_on.set()
        assert {other.recv_line() for _ in range(3)} == {b"later\n", b"to all\n", b"0 from a thread\n"}
        assert {client.recv_line() for _ in range(3)} == {b"slow\n", b"to all\n", b"1 from a thread\n"}


def test_a_computing_thread_beside_it() -> None:
    done = threading.Event()

    def compute() -> None:
        number = 0
        while not done.is_set():
            number += 1

    computing = threading.Thread(target=compute)
    computing.start()
    try:
        with serving(sl.OnMessage(lambda conn, line: line)) as server, client_of(server) as client:
            lines = b"".join(b"%d\n" % number for number in range(20_000))
            client.sendall(lines)
            assert client.recv_exactly(len(lines)) == lines
    finally:
        done.set()
        computing.join()


def test_callbacks_of_two_servers_call_each_other() -> None:
    def pass_on(conn: sl.Connection, line: bytes) -> None:
        two.broadcast(line)

    def back(conn: sl.Connection, line: bytes) -> None:
        one.broadcast(b"back: " + line)

    with (
        serving(sl.OnMessage(pass_on)) as one,
        serving(sl.OnMessage(back)) as two,
        client_of(one) as ana,
        client_of(two) as bob,
    ):
        eventually(lambda: one.clients and two.clients)
        for _ in range(100):
            ana.sendall(b"there\n")
            assert bob.recv_line() == b"there\n"
            bob.sendall(b"here\n")
            assert ana.recv_line() == b"back: here\n"


# What stays


def test_a_server_that_its_callback_knows_is_let_go_after_stop() -> None:
    def make() -> weakref.ref[sl.Server]:
        kept: list[Any] = []

        def callback(conn: sl.Connection, line: bytes) -> bytes:
            kept.append((server, conn, server.clients))
            if line == b"fail\n":
                raise ValueError(server)
            return line

        server = sl.Server(sl.OnMessage(callback))
        with server:
            whole(server)
            with client_of(server) as client:
                client.sendall(b"fail\n")
                assert client.recv() == b""
            eventually(lambda: not server.clients)
        return weakref.ref(server)

    references = [make() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_an_answer_is_let_go_and_a_client_that_left() -> None:
    class Answer(bytearray):
        """So that one can be referred to."""

    alive: list[weakref.ref[Any]] = []

    def callback(conn: sl.Connection, line: bytes) -> bytearray:
        answer = Answer(line)
        alive.extend([weakref.ref(conn), weakref.ref(answer)])
        return answer

    with serving(sl.OnMessage(callback)) as server:
        for _ in range(20):
            whole(server)
        eventually(lambda: not server.clients)
        eventually(lambda: gc.collect() >= 0 and [reference() for reference in alive] == [None] * 40)


def test_garbage_is_collected_while_it_serves() -> None:
    looks: list[Any] = []

    class Node:
        def __init__(self, conn: sl.Connection) -> None:
            self.me, self.conn = self, conn

        def __del__(self) -> None:
            # Looks at a connection wherever the collector happens to run.
            with contextlib.suppress(sl.ClosedError):
                looks.append((self.conn.totals, self.conn.input_buffer, self.conn.output_buffer, server.clients))

    def callback(conn: sl.Connection, line: bytes) -> bytes:
        for _ in range(20):
            Node(conn)
        return line

    threshold = gc.get_threshold()
    gc.set_threshold(3)
    try:
        with serving(sl.OnMessage(callback)) as server, client_of(server) as client:
            for _ in range(50):
                ask(client)
    finally:
        gc.set_threshold(*threshold)
    assert len(looks) > 100


# Fork and the end of the program


HEAD = """
    import os, signal, sys, threading, time
    import socklens as sl
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(HEAD) + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_callbacks_run() -> None:
    done = run("""
        server = sl.Server(sl.OnMessage(lambda conn, line: line)).start()
        client = sl.connect(server.local_addr, timeout=20)
        client.timeout = 20
        talking = threading.Event()
        def talk():
            for number in range(3000):
                client.sendall(b"%d\\n" % number)
                assert client.recv_line() == b"%d\\n" % number
                talking.set()
        thread = threading.Thread(target=talk)
        thread.start()
        talking.wait(20)
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                own = sl.Server(sl.OnMessage(lambda conn, line: line + line)).start()
                with own, sl.connect(own.local_addr, timeout=20) as mine:
                    mine.sendall(b"child\\n")
                    assert mine.recv_exactly(12, timeout=20) == b"child\\nchild\\n"
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        thread.join(20)
        client.close()
        print("end")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.parametrize(
    "kind", ["line: line", "line: time.sleep(0.001) or line", "line: server.broadcast(line) and None"]
)
def test_a_program_ends_in_the_middle_of_callbacks(kind: str) -> None:
    done = run(f"""
        server = sl.Server(sl.OnMessage(lambda conn, {kind})).start()
        def talk():
            try:
                client = sl.connect(server.local_addr)
                while True:
                    client.sendall(b"line\\n" * 100)
                    client.recv(10000)
                    talking.set()
            except OSError:
                pass
        talking = threading.Event()
        for _ in range(3):
            threading.Thread(target=talk, daemon=True).start()
        talking.wait(20)
        print("end")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_signal_goes_to_the_main_thread_and_not_to_a_callback() -> None:
    done = run("""
        def callback(conn, line):
            os.kill(os.getpid(), signal.SIGINT)
            return line
        server = sl.Server(sl.OnMessage(callback)).start()
        client = sl.connect(server.local_addr, timeout=20)
        try:
            client.sendall(b"hello\\n")
            server.join(20)
        except KeyboardInterrupt:
            print("interrupted", server.running)
        assert client.recv_line(timeout=20) == b"hello\\n"
        server.stop()
        print(server.errors)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted True\n[]\n", "")
