"""The promise: while the kernel makes a call sleep, other threads of the program run, Ctrl-C works, and a deadline holds, whatever else was done to
the descriptor."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest
import socklens as sl
from flow import SMALL, ends, stuff
from helpers import eventually, in_thread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and lingering of Unix")


class Counter:
    """A thread that counts as long as it is let run."""

    def __init__(self) -> None:
        self.count = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            self.count += 1

    def during(self, call: Callable[[], object]) -> int:
        before = self.count
        call()
        return self.count - before


@pytest.fixture
def others() -> Iterator[Counter]:
    counter = Counter()
    counting = in_thread(counter.run)
    eventually(lambda: counter.count)
    yield counter
    counter.stop.set()
    counting.result(10)


def lingering() -> tuple[sl.Connection, sl.Connection]:
    """A connection whose close sleeps in the kernel for a second: its peer does not read."""
    client, server = sl.pair(recv_buffer=SMALL, send_buffer=SMALL)
    stuff(client, server)
    client.linger = 1
    return client, server


def test_others_run_while_a_close_lingers(others: Counter) -> None:
    client, server = lingering()
    with server:
        assert others.during(client.close) > 1000


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_others_run_while_a_dropped_connection_lingers(others: Counter) -> None:
    client, server = lingering()
    held = [client]
    del client

    def drop() -> None:
        held.clear()
        gc.collect()

    with server:
        assert others.during(drop) > 1000


SCRIPT = """
    import os, signal, socket, threading, time
    import socklens as sl

    listener = sl.listen()
    client = sl.connect(listener.local_addr)
    server = listener.accept(timeout=10)
    if {stuffed}:
        try:
            while True:
                server.send(bytes(1 << 16), timeout=0)
        except BlockingIOError:
            pass
    # As a child process does that has inherited the descriptor: the flag is the open file's, not the descriptor's (fcntl(2)).
    os.set_blocking({waiting}.fileno(), True)
    try:
        {call}
    except TimeoutError:
        print("timed out")
"""
WAITS = {
    "recv": ("server", "server.recv(timeout=0.2)"),
    "recv, large": ("server", "server.recv(1 << 20, timeout=0.2)"),
    "recv_exactly": ("server", "server.recv_exactly(100, timeout=0.2)"),
    "recv_exactly, large": ("server", "server.recv_exactly(1 << 20, timeout=0.2)"),
    "recv_line": ("server", "server.recv_line(timeout=0.2)"),
    "peek": ("server", "server.peek(timeout=0.2)"),
    "send": ("server", "server.send(bytes(1 << 20), timeout=0.2)"),
    "sendall": ("server", "server.sendall(bytes(1 << 20), timeout=0.2)"),
    "send_frame": ("server", "server.send_frame(bytes(1 << 10), timeout=0.2)"),
    "accept": ("listener", "listener.accept(timeout=0.2)"),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_deadline_holds_although_the_descriptor_was_made_blocking(name: str) -> None:
    waiting, call = WAITS[name]
    code = textwrap.dedent(SCRIPT).format(waiting=waiting, call=call, stuffed="send" in name)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (done.stdout, done.stderr) == ("timed out\n", "")


def test_a_childs_copy_made_blocking_does_not_stop_the_parent() -> None:
    """`to_socket` in a forked child gives a socket that blocks, and with it the parent's."""
    with ends() as (client, server):
        code = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).setblocking(True)"
        number = server.fileno()
        os.set_inheritable(number, True)
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(number)], pass_fds=[number], check=True, timeout=30
        )
        # Should it hang, the end of the other side ends it.
        timer = threading.Timer(5, client.close)
        timer.start()
        with pytest.raises(TimeoutError):
            server.recv(timeout=0.2)
        timer.cancel()
        timer.join()
