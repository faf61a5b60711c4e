"""The promise: one wire carries 500 connections; what waits in it is bounded, and back-pressure reaches the sender; it ends with the
program, and harms nobody after a fork or without descriptors.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import helpers
import psutil  # type: ignore[import-untyped]
import pytest
import socklens as sl
from kernel import kernel
from network import free_port
from wiring import through, told

MiB = 1 << 20
CAPACITY = 262_144


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many as this user may have: each relayed connection has four here."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2_600
    if hard != resource.RLIM_INFINITY and hard < needed:
        helpers.lacking(f"{needed} descriptors are not allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "mischief", [{}, {"split": "random", "jitter": 0.005, "delay": 0.01}], ids=["plain", "mischief"]
)
def test_500_connections_through_one_wire(many_descriptors: None, mischief: dict[str, Any]) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(sl.Server(sl.LineEcho(), port=0))
        wire = stack.enter_context(sl.Wire(server, seed=1, **mischief))
        clients = [stack.enter_context(sl.connect(wire.local_addr, timeout=20)) for _ in range(500)]
        for number, client in enumerate(clients):
            client.sendall(b"this is client %d\n" % number)
        for number, client in enumerate(clients):
            assert client.recv_line(timeout=60) == b"this is client %d\n" % number
        assert len(wire.connections) == wire.accepted == 500
        assert "and 480 more" in str(wire)
        threads = psutil.Process().num_threads()
        wire.close()
        # Told that it has ended, a thread may still be on its way out.
        helpers.eventually(lambda: threads - psutil.Process().num_threads() == 1, what="the end of one thread")


def offered(client: sl.Connection) -> int:
    """Sends until the kernel takes no more for a while; returns how much it took."""
    total = 0
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_WRITE)
        while total < 256 * MiB and selector.select(timeout=0.5):
            total += client.send(bytes(MiB), timeout=0)
    return total


@pytest.mark.parametrize(
    "mischief", [{}, {"stalled": True}, {"delay": 3600}, {"rate": 1}, {"split": 1, "hold": None}], ids=str
)
def test_memory_is_bounded_and_back_pressure_reaches_the_sender(mischief: dict[str, Any]) -> None:
    with through(**mischief) as (wire, client, server):
        took = offered(client)
        assert took < 64 * MiB, "the sender was not held up"
        (conn,) = wire.connections
        assert conn.waiting == (CAPACITY, 0), "the relay holds as much as it may, and no more"
        assert took > CAPACITY
        assert told(wire, "full")[0].start == conn.passed.to_server + CAPACITY
        for name in mischief:
            wire.to_server.clear()
            assert getattr(wire.to_server, name) != mischief[name]
        assert len(server.recv_exactly(took, timeout=60)) == took, "and all of it arrives"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere the bytes that wait in the sender's kernel are not known"
)
@pytest.mark.parametrize("mischief", [{"reading": False}, {"stalled": True}, {}], ids=str)
def test_finish_comes_after_all_that_was_sent_before_it_wherever_that_waits(mischief: dict[str, Any]) -> None:
    with through(**mischief) as (wire, client, server):
        took = offered(client)
        assert took > CAPACITY, "the relay's memory does not hold it"
        wire.to_server.finish()
        wire.to_server.finish()
        sending = helpers.in_thread(client.sendall, b"sent later", timeout=30)
        wire.to_server.clear()
        assert len(server.recv_all(timeout=60)) == took
        sending.result(timeout=30)
        assert (told(wire, "finished")[0].start, told(wire, "discarded")[0].start) == (took, took)
        helpers.eventually(lambda: told(wire, "discarded")[-1].end == took + 10)


def test_the_story_is_bounded_and_says_what_is_lost() -> None:
    with through(split=1, hold=0) as (wire, client, server):
        data = bytes(12_000)
        client.sendall(data)
        assert server.recv_exactly(len(data), timeout=60) == data
        helpers.eventually(lambda: wire.connections[0].passed.to_server == len(data))
        story = wire.story
        assert len(story) == 10_000
        assert story.lost >= 2_000
        assert repr(story).startswith(f"{story.lost:,} older ones are no longer kept")
        assert "older events are not shown" in story._repr_html_()


def run(script: str, *options: str) -> str:
    command = [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_NOFILE and /proc of Linux")
def test_without_descriptors_it_goes_on_when_there_are_some_again() -> None:
    told = run("""
        import resource, socklens as sl
        server = sl.Server(sl.Echo(), port=0).start()
        wire = sl.Wire(server)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        kept = []
        try:
            while True:
                kept.append(sl.connect(wire.local_addr, timeout=5))
        except OSError as error:
            print(error.errno)
        while not any(event.what in ("trouble", "unreachable") for event in wire.story):
            pass
        for conn in kept:
            conn.close()
        while True:
            try:
                with sl.connect(wire.local_addr, timeout=5) as client:
                    client.sendall(b"again")
                    print(client.recv_exactly(5, timeout=5))
                break
            except (ConnectionResetError, sl.IncompleteReadError):
                pass
        wire.close()
        server.stop()
    """)
    assert told == "24\nb'again'\n"


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit(0)", "os._exit(0)", "del wire", "wire.close()", "os.kill(os.getpid(), signal.SIGINT)"]
)
def test_the_program_ends_in_the_middle_of_everything(end: str) -> None:
    script = """
        import os, random, signal, sys, threading
        import socklens as sl

        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        listener = sl.listen(port=0)
        wire = sl.Wire(listener, split="random", jitter=0.001)

        def talk():
            try:
                with sl.connect(wire.local_addr, timeout=5) as client, listener.accept(timeout=5) as server:
                    for _ in range(1000):
                        client.sendall(bytes(2000))
                        server.recv(timeout=5)
            except (OSError, NameError):
                pass

        for _ in range(3):
            threading.Thread(target=talk, daemon=True).start()
        while not wire.accepted or not wire.story:
            pass
        END
    """
    run(textwrap.dedent(script).replace("END", end))


def test_ctrl_c_while_the_target_is_resolved_or_a_client_waits() -> None:
    told = run("""
        import _thread, threading, socklens as sl
        with sl.listen(port=0) as listener, sl.Wire(listener, silent=True) as wire:
            with sl.connect(wire.local_addr) as client:
                threading.Timer(0.2, _thread.interrupt_main).start()
                try:
                    client.recv()
                except KeyboardInterrupt:
                    print("interrupted", wire.closed)
    """)
    assert told == "interrupted False\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_the_parent_keeps_the_wire_and_the_child_has_no_part_in_it() -> None:
    told = run(
        """
        import os, signal, socklens as sl
        with sl.listen(port=0) as listener, sl.Wire(listener) as wire:
            client = sl.connect(wire.local_addr); server = listener.accept(timeout=5)
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                assert len(wire.connections) == len(wire.story) == 0
                try:
                    wire.to_server.split = 1
                except RuntimeError as error:
                    print(error, flush=True)
                wire.close()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            client.sendall(b"still here")
            print(server.recv_exactly(10, timeout=5))
            client.close(); server.close()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert told.splitlines() == [
        "this wire runs in the parent process; a forked child has no part in it",
        "b'still here'",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_hears_that_it_has_no_part_in_it_whatever_the_parent_was_doing() -> None:
    told = run(
        """
        import os, signal, threading, socklens as sl
        with sl.Wire("127.0.0.1:9", refuse=True) as wire:
            locked, forked = threading.Event(), threading.Event()

            def sets():
                with wire._lock, wire.to_server._one_at_a_time:
                    locked.set()
                    forked.wait(20)

            thread = threading.Thread(target=sets)
            thread.start()
            assert locked.wait(20)
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                for way, name in ((wire, "silent"), (wire.to_server, "stalled")):
                    try:
                        setattr(way, name, True)
                    except RuntimeError as error:
                        print(error, flush=True)
                assert (wire.refuse, wire.arrivals, wire.closed) == (True, "refuse=True", False)
                repr(wire), str(wire)
                wire.close()
                assert wire.closed
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            forked.set()
            thread.join()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert told.splitlines() == ["this wire runs in the parent process; a forked child has no part in it"] * 2 + ["0"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere RST leaves with the last descriptor")
@pytest.mark.parametrize("how", ["wire.reset()", "wire.to_server.reset_at = 0", "silent"])
def test_a_reset_reaches_both_ends_while_a_forked_child_has_the_sockets_too(how: str) -> None:
    told = run(
        f"""
        import os, signal, socklens as sl
        signal.alarm(30)
        with sl.listen(port=0) as listener, sl.Wire(listener) as wire:
            client = sl.connect(wire.local_addr); server = listener.accept(timeout=5)
            {"wire.silent = True" if how == "silent" else ""}
            ends = [sl.connect(wire.local_addr)] if {how!r} == "silent" else [client, server]
            while wire.accepted < {2 if how == "silent" else 1}:
                pass
            told, tell = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(tell)
                os.read(told, 1)
                os._exit(0)
            {"wire.reset()" if how == "silent" else how}
            for end in ends:
                try:
                    print(end.recv(timeout=10))
                except ConnectionResetError:
                    print("reset")
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            os.close(tell)
            os.waitpid(child, 0)
            client.close(); server.close(); ends[0].close()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert set(told.split()) == {"reset"}


def test_a_cell_that_is_run_again_replaces_its_wire() -> None:
    with kernel() as notebook:
        notebook.do("import socklens as sl\nserver = sl.Server(sl.Echo(), port=0).start()")
        for port in (free_port(), 0):
            code = f"wire = sl.Wire(server, port={port}, split=2)\nclient = sl.connect(wire.local_addr)"
            first = notebook.do(code, "a1")
            assert first.printed == ""
            notebook.do("old = wire")
            second = notebook.do(code, "a1")
            assert re.fullmatch(
                r"socklens: closed the earlier wire on 127\.0\.0\.1:\d+ \(started in cell In\[\d+\], line 1; 1 client dropped\); "
                r"this one replaces it\n",
                second.printed,
            ), second.printed
            assert notebook.do("old.closed, wire.closed").result == "(True, False)"
            notebook.do("client.close(); wire.close()")
        notebook.do("server.stop()")
