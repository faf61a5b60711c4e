"""The promise: while the kernel makes a call sleep, other threads of the program run, and a deadline holds, whatever
was done to the descriptor elsewhere."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest
import socklens as sl
from flow import SMALL, stuff
from helpers import in_thread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and lingering of Unix")


class Other:
    """A thread that wants to run all the time, and knows the longest time that it was kept from it, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.began = threading.Event()
        self.stop = threading.Event()

    def run(self) -> None:
        last = time.monotonic()
        while not self.stop.is_set():
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now
            self.began.set()


@pytest.fixture
def other() -> Iterator[Other]:
    other = Other()
    running = in_thread(other.run)
    assert other.began.wait(20)
    yield other
    other.stop.set()
    running.result(20)


def lingering() -> tuple[sl.Connection, sl.Connection]:
    """A connection whose close sleeps in the kernel for three seconds: its peer does not read."""
    client, server = sl.pair(recv_buffer=SMALL, send_buffer=SMALL)
    stuff(client, server)
    client.linger = 3
    return client, server


def test_others_run_while_a_close_lingers(other: Other) -> None:
    client, server = lingering()
    with server:
        client.close()
    assert other.longest < 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_others_run_while_a_dropped_connection_lingers(other: Other) -> None:
    client, server = lingering()
    with server:
        del client
        gc.collect()
    assert other.longest < 2


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
    # A child process can do that to its inherited copy, to_socket() in it does: the flag is the open file's (fcntl(2)).
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
