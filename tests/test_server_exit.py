"""The promise: a program with a running server ends at once, quietly and with its own exit status, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import socklens as sl
from program import Program

HEAD = """
    import atexit, os, signal, sys, threading, time
    import socklens as sl

    def echo(conn):
        for line in conn.lines():
            conn.sendall(line)

    async def async_echo(conn):
        async for line in conn.aio.lines():
            await conn.aio.sendall(line)

    def served(server):
        client = sl.connect(server.local_addr, timeout=10)
        client.sendall(b"hello\\n")
        assert client.recv_line(timeout=10) == b"hello\\n"
        return client
"""
NO_AIO = pytest.mark.skipif(not hasattr(sl.Connection, "aio"), reason="Connection has no aio yet")
HANDLERS = [
    "echo",
    "echo, mode='one'",
    pytest.param("async_echo", marks=NO_AIO),
    "sl.Echo()",
    "sl.OnMessage(lambda conn, line: line)",
]


def run(script: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(HEAD) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_program_ends_while_clients_are_served(handler: str) -> None:
    began = time.monotonic()
    done = run(f"server = sl.Server({handler}).start()\nclient = served(server)\nprint('end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - began < 20


def test_clients_are_told_the_end() -> None:
    done = run("""
        # What is registered first is called last: after the server's own, which comes with the first use of it.
        atexit.register(lambda: print(client.recv(timeout=10), server.running))
        server = sl.Server(echo).start()
        client = served(server)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'' False\n", "")


def test_a_program_that_fails_says_so_and_nothing_else() -> None:
    done = run("server = sl.Server(echo).start()\nclient = served(server)\nsys.exit(3)")
    assert (done.returncode, done.stderr) == (3, "")
    done = run("with sl.Server(echo) as server:\n    client = served(server)\n    raise LookupError('mine')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LookupError: mine"
    assert done.stderr.count("Traceback") == 1


def test_a_handler_that_never_ends_does_not_hold_up_the_end() -> None:
    done = run("""
        began = threading.Event()
        def never(conn):
            began.set()
            threading.Event().wait()
        server = sl.Server(never).start()
        client = sl.connect(server.local_addr)
        began.wait(10)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("handler", HANDLERS)
def test_ctrl_c_in_join(handler: str) -> None:
    script = f"""
        with sl.Server({handler}) as server:
            client = served(server)
            try:
                sys.stderr.write("serves\\n")  # in one piece
                server.join()
            except KeyboardInterrupt:
                print("interrupted", server.running)
    """
    with Program(sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(script)) as program:
        program.wait_for("serves")
        program.interrupt()
        assert program.ended() == 0
        assert program.out == b"interrupted True\n"
        assert program.err == b"serves\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_ends_without_harm_to_the_server() -> None:
    done = run("""
        server = sl.Server(echo).start()
        client = served(server)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            sys.exit(0)  # runs what is registered with atexit
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.sendall(b"still here\\n")
        assert client.recv_line(timeout=10) == b"still here\\n"
        served(server).close()
        print("end")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_killed_clients_leave_no_trace() -> None:
    """Clients of another process, which is killed: the kernel ends their connections."""
    script = """
        server = sl.Server(echo).start()
        print(server.local_addr, file=sys.stderr, flush=True)
        while server.accepted < 5 or server.clients:
            time.sleep(0.01)
        server.stop()
        print(len(server.errors), len(server.dropped))
    """
    client = "import sys, time, socklens as sl; held = [sl.connect(sys.argv[1]) for _ in range(5)]; print(1, flush=True); time.sleep(60)"
    with Program(sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(script)) as server:
        address = server.wait_for(r"127\.0\.0\.1:\d+")[0]
        others = subprocess.Popen([sys.executable, "-c", client, address], stdout=subprocess.PIPE)
        assert others.stdout is not None
        assert others.stdout.readline() == b"1\n"
        others.send_signal(signal.SIGKILL)
        others.communicate()
        assert server.ended() == 0
        assert server.out == b"0 0\n"
