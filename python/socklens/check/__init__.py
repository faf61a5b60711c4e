"""Checks of a student's server or client: each failure names the mistake in a student's words, with the evidence.

    import socklens as sl

    assert sl.check.echo_server(handle)                 # def handle(conn): serves one client
    assert sl.check.echo_server(serve)                  # def serve(port): listens by itself
    assert sl.check.echo_server("python server.py {port}")      # a program in any language
    sl.check.echo_server("127.0.0.1:6666")              # one that runs already

**What can be checked.** An address of this machine's loopback (`Address`, ``(host, port)``, ``"host:port"``, a running `Server` or a
`Listener`); a command, as a list of words or as one text, with ``{port}`` and perhaps ``{host}`` where the check puts them in; or a
function. A function with a parameter named like a port or an address, or with two of host and port, is a *program*: it listens by itself
and may block for ever. One with a connection, ``handler(conn)`` or ``handler(conn, addr)``, is a *handler*: the check listens and calls it
in a thread for each client, as `Server` does. It gets a `Connection`, or a ``socket.socket`` if its parameter is annotated with that or
with ``kind="socket handler"``. ``kind=`` decides where names do not.

**How it is run.** A function runs in a forked copy of this process, so that it may hang, call ``sys.exit`` or ``os._exit``, print, leak or
raise anything; the copy and all that it started are ended with SIGKILL. It can use whatever the notebook defines, and what it changes is
changed in the copy only; it has no keyboard and none of this process' open sockets, and a lock that another thread held at that moment
stays locked in it. A command is started in this directory, in a process group of its own, and ended with SIGTERM, a second later with
SIGKILL. What has left its process group by itself (a daemon) is found and ended too on Linux, unless it has called exec with an empty
environment; elsewhere it is not found again. Where the system cannot fork (Windows), handlers are served in threads of this process, where
one that computes for ever cannot be ended; functions that listen by themselves, and commands, are refused with NotImplementedError.

On Linux a program has 2 GiB of memory: a function that asks for more gets MemoryError, a command that uses more is ended. A lower limit
that this process has (RLIMIT_DATA or RLIMIT_AS, ``ulimit -d`` and ``-v``) stays.

Each step and the whole check are bounded in time; all sockets are on the loopback, on free ports.
"""

from __future__ import annotations

from ._chat import chat_server
from ._check import Check, Stage
from ._client import client
from ._echo import echo_server
from ._http import http_server
from ._line import line_server
from ._peer import Peer
from ._result import Mistake, Outcome, Result, Step

__all__ = [
    "Check",
    "Mistake",
    "Outcome",
    "Peer",
    "Result",
    "Stage",
    "Step",
    "chat_server",
    "client",
    "echo_server",
    "http_server",
    "line_server",
]
