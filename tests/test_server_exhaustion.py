"""The promise: a server without a descriptor, or without a thread, for one more client says so, serves those who are here, and takes the
others as soon as it can. In a program of its own, whose limits can be set.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import socklens as sl
from serving import client_of, echo_lines, whole

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_NOFILE and /proc of Linux")

NO_AIO = pytest.mark.skipif(not hasattr(sl.Connection, "aio"), reason="Connection has no aio yet")
SCRIPT = """
    import errno, os, resource, socket, sys
    sys.path.insert(0, {tests!r})
    import socklens as sl
    from helpers import eventually
    from serving import DEADLINE, ask, client_of, echo_lines, whole

    async def async_echo(conn):
        async for line in conn.aio.lines():
            await conn.aio.sendall(line)

    mode = {mode!r}
    handlers = {{"async": async_echo, "rust": sl.LineEcho(), "on message": sl.OnMessage(lambda conn, line: line)}}
    in_rust = mode in ("rust", "on message")
    server = sl.Server(handlers.get(mode, echo_lines), mode=None if in_rust else mode).start()
    with client_of(server) as first:
        ask(first)
        if server.mode == "one":
            first.shutdown("send")  # or the next client would wait for this one
            eventually(lambda: not server.clients)
        late = socket.socket()  # has its descriptor, and connects when there is none for the server

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        used = []
        try:
            while True:
                used.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            assert error.errno == errno.EMFILE
        late.connect(server.local_addr)
        eventually(lambda: server.errors and server.errors[-1].count >= 2)
        (trouble,) = server.errors
        assert (trouble.client, trouble.exception.errno) == (None, errno.EMFILE), trouble
        if server.mode != "one":
            ask(first)

        for descriptor in used:
            os.close(descriptor)
        with sl.Connection.from_socket(late) as client:
            client.timeout = DEADLINE
            ask(client)
        whole(server)
        assert len(server.errors) == 1, "counted, not piled up"
    server.stop()
"""


@pytest.mark.parametrize("mode", ["threads", "one", pytest.param("async", marks=NO_AIO), "rust", "on message"])
def test_descriptors_are_exhausted_and_given_back(mode: str) -> None:
    code = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent), mode=mode)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("no_leaks")
def test_there_is_no_thread_for_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    failed: list[threading.Thread] = []

    def fail_once(thread: threading.Thread) -> None:
        if thread.name.startswith("socklens: client") and not failed:
            failed.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    with sl.Server(echo_lines) as server:
        with client_of(server) as client:
            assert client.recv() == b""
        whole(server)
        (error,) = server.errors
        assert (error.client, type(error.exception)) == (None, RuntimeError)
