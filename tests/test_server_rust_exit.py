"""The promise: a program with a server in Rust ends quietly at any moment, whatever its threads and clients are doing."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import os, random, signal, sys, threading, time
    import socklens as sl

    server = sl.Server({handler}).start()

    def talk(address):
        while True:
            try:
                with sl.connect(address, timeout=5) as client:
                    for _ in range(20):
                        client.sendall(b"name\\n" * 20)
                        client.recv(timeout=0.001)
            except TimeoutError:
                pass
            except OSError:
                return

    for _ in range(3):
        threading.Thread(target=talk, args=(server.local_addr,), daemon=True).start()
    while server.accepted < {accepted}:
        server.broadcast(b"to all\\n")
    {end}
"""


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os._exit(0)", "del server", "server.stop()"])
@pytest.mark.parametrize("handler", ["sl.Chat()", "sl.OnMessage(lambda conn, line: line)"])
def test_the_program_ends(handler: str, end: str) -> None:
    for accepted in (1, 5):
        code = textwrap.dedent(SCRIPT).format(handler=handler, accepted=accepted, end=end)
        command = [sys.executable, "-X", "faulthandler", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
