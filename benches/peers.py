"""The far ends: servers of blocking `socket` calls, each in a process of its own, the same one for every contestant.

`python peers.py KIND CORE` prints its port on standard output and serves until its standard input ends, so that it
cannot outlive the benchmark. Nothing here is measured, and nothing here imports socklens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import content

HOST = "127.0.0.1"
# One stream unit may be a thousand times another contestant's; asked for as one big-endian number.
REQUEST = 8


def echo(sock: socket.socket) -> None:
    """Gives back whatever comes."""
    while data := sock.recv(65536):
        sock.sendall(data)


def one_byte(sock: socket.socket) -> None:
    """Sends one byte and closes first, so that TIME_WAIT stays here and the clients' ephemeral ports do not run out."""
    sock.sendall(content.ONE_BYTE)


def stream(kind: str) -> Callable[[socket.socket], None]:
    """Sends the block as many times as each request asks."""
    block = content.block(kind)

    def serve(sock: socket.socket) -> None:
        while len(request := sock.recv(REQUEST, socket.MSG_WAITALL)) == REQUEST:
            for _ in range(int.from_bytes(request, "big")):
                sock.sendall(block)

    return serve


def _serve_one(sock: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    # A contestant that has read what it wanted may leave in the middle of a stream.
    with contextlib.suppress(ConnectionError), sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(sock)


def _accept(listener: socket.socket, kind: str) -> None:
    if kind == "one byte":
        # A thread for each client would cost more than the connection that is measured.
        while True:
            _serve_one(listener.accept()[0], one_byte)
    serve = echo if kind == "echo" else stream(kind)
    while True:
        threading.Thread(target=_serve_one, args=(listener.accept()[0], serve), daemon=True).start()


def main(kind: str, core: str) -> None:
    """Serves one kind of peer on a free port, on one core if a number is given."""
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    listener = socket.create_server((HOST, 0), backlog=128)
    threading.Thread(target=_accept, args=(listener, kind), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.buffer.read()


@contextlib.contextmanager
def running(kind: str, core: int | None) -> Iterator[int]:
    """A server of this kind in another process; gives its port, and ends it afterwards."""
    command = [sys.executable, __file__, kind, "any" if core is None else str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise RuntimeError(f"the {kind} server did not start")
        yield int(port)
        # Leaving the block closes its standard input, which ends it, and waits for it.


if __name__ == "__main__":
    main(*sys.argv[1:])
