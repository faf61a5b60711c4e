"""The cases of the server: what many clients at once get from it, against every way of serving that people use."""

from __future__ import annotations

from collections.abc import Sequence

from contestants import BARE, Contestant
from harness import Where
from rates import Measure, ServerCase, Versus

THREADS, SELECTORS, STREAMS = "socketserver threads", "selectors", "asyncio streams"
PROTOCOL, UVLOOP, BATCHED = "asyncio Protocol", "uvloop Protocol", "uvloop batched by hand"
BLOCKING, ASYNC = "Server(f) in threads", "Server(f) async"
ECHO, LINES, CHAT, DISCARD = "Server(Echo())", "Server(LineEcho())", "Server(Chat())", "Server(Discard())"
ON_CHUNK, ON_LINE = "OnMessage(f, chunk)", "OnMessage(f, line)"


def _ours(what: str) -> Contestant:
    return Contestant("socklens", what)


def _peers(service: str, names: Sequence[str]) -> dict[str, Contestant]:
    """The peers of these names, each at this service."""
    known = {
        BARE: Contestant(BARE, service),
        THREADS: Contestant("socketserver", service),
        SELECTORS: Contestant("selectors", service),
        STREAMS: Contestant("asyncio streams", service),
        PROTOCOL: Contestant("asyncio Protocol", service),
        UVLOOP: Contestant("uvloop Protocol", service),
        BATCHED: Contestant("uvloop Protocol", f"{service} batched"),
    }
    return {name: known[name] for name in names}


CASES = [
    ServerCase(
        "server: 64 B echo, 100 clients",
        "echo",
        100,
        {
            ECHO: _ours("Echo"),
            ON_CHUNK: _ours("OnMessage chunk"),
            BLOCKING: _ours("echo, threads"),
            ASYNC: _ours("echo, async"),
            **_peers("echo", [BARE, UVLOOP, PROTOCOL, SELECTORS, STREAMS, THREADS]),
        },
        [
            Versus(ECHO, BARE, 0.93),
            Versus(ECHO, BARE, measure=Measure.CPU),
            Versus(ECHO, UVLOOP, 1.2),
            Versus(ECHO, PROTOCOL),
            Versus(ECHO, SELECTORS),
            Versus(ECHO, STREAMS),
            Versus(ECHO, THREADS, 1.6),
            Versus(ON_CHUNK, BARE, 0.90),
            Versus(ON_CHUNK, UVLOOP, 1.0),
            Versus(BLOCKING, THREADS, 1.0),
            Versus(ASYNC, STREAMS),
        ],
    ),
    # On any core, as a notebook has them. Confined to one core, the cell cannot take the interpreter at the moment when a
    # server lets go of it for a system call: it gets no processor until the server's slice is over, and a peer that holds
    # the interpreter in every turn looks six to forty times as fast as it is beside a real notebook.
    ServerCase(
        "server: 64 B echo, 20 clients, interpreter busy",
        "echo",
        20,
        {
            ECHO: _ours("Echo"),
            **_peers("echo", [BARE, UVLOOP, STREAMS, THREADS]),
        },
        [
            Versus(ECHO, BARE, 0.92),
            Versus(ECHO, UVLOOP, 18),
            Versus(ECHO, STREAMS),
            Versus(ECHO, THREADS),
            Versus(ECHO, BARE, 0.95, Measure.KEPT),
        ],
        busy=True,
        where=Where.ANYWHERE,
    ),
    ServerCase(
        "server: connect, 1 B, close",
        "lives",
        32,
        {ECHO: _ours("Echo"), **_peers("echo", [BARE, UVLOOP, SELECTORS, THREADS])},
        [
            Versus(ECHO, BARE, 0.90),
            Versus(ECHO, BARE, measure=Measure.CPU),
            Versus(ECHO, UVLOOP),
            Versus(ECHO, SELECTORS),
            Versus(ECHO, THREADS),
        ],
    ),
    ServerCase(
        "server: bulk echo, 4 clients",
        "bulk",
        4,
        {ECHO: _ours("Echo"), **_peers("echo", [BARE, UVLOOP, SELECTORS])},
        [
            Versus(ECHO, BARE, 0.85),
            Versus(ECHO, BARE, measure=Measure.CPU),
            Versus(ECHO, UVLOOP),
            Versus(ECHO, SELECTORS),
        ],
        unit="B",
    ),
    ServerCase(
        "server: bulk discarded, 2 clients",
        "discard",
        2,
        {DISCARD: _ours("Discard"), **_peers("discard", [BARE])},
        [Versus(DISCARD, BARE), Versus(DISCARD, BARE, measure=Measure.CPU)],
        unit="B",
    ),
    ServerCase(
        "server: 32 B lines pipelined, 4 clients",
        "lines",
        4,
        {
            LINES: _ours("LineEcho"),
            ON_LINE: _ours("OnMessage line"),
            BLOCKING: _ours("lines, threads"),
            ASYNC: _ours("lines, async"),
            **_peers("lines", [BARE, BATCHED, UVLOOP, SELECTORS, STREAMS, THREADS]),
        },
        [
            Versus(LINES, BARE, 0.85),
            Versus(LINES, BATCHED),
            Versus(LINES, SELECTORS),
            Versus(LINES, STREAMS),
            Versus(LINES, THREADS),
            Versus(ON_LINE, UVLOOP, 40),
            Versus(ON_LINE, BATCHED),
            Versus(BLOCKING, THREADS, 1.0),
            Versus(ASYNC, STREAMS, 3.0),
        ],
    ),
    ServerCase(
        "server: chat, 50 clients, lines delivered",
        "chat",
        50,
        {CHAT: _ours("Chat"), **_peers("chat", [BARE, BATCHED, STREAMS])},
        [Versus(CHAT, BARE, 0.95), Versus(CHAT, BATCHED), Versus(CHAT, STREAMS)],
    ),
]
