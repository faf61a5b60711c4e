"""`python serve.py WHO WHAT [FILE]`: one server that is measured, in a process of its own, until its standard input ends.

It prints its port, or `missing: …` where it lacks something. The server runs in threads of its own; with a FILE the main
thread computes meanwhile, as a cell of a notebook would. The line `roster` on standard input makes it keep a Python object
for each client.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from computing import compute
from servers import Missing


def start(who: str, what: str) -> int:
    """Starts a contestant and gives its port. Each imports only what it needs: its memory is measured too."""
    if who == "socketserver":
        from servers import blocking

        return blocking.start(what)
    if who == "selectors":
        from servers import selecting

        return selecting.start(what)
    if who == "asyncio streams":
        from servers import streams

        return streams.start(what)
    if who in ("asyncio Protocol", "uvloop Protocol"):
        import asyncio

        from servers import loops, protocols

        return protocols.start(what, loops.uvloop() if who.startswith("uvloop") else asyncio.new_event_loop)
    if who == "socklens":
        from servers import lens

        return lens.start(what)
    raise ValueError(f"no contestant is called {who!r}")


def obey(who: str) -> None:
    """Does what standard input asks for, and ends the process with it."""
    status = 0
    for line in sys.stdin:
        if who == "socklens" and line == "roster\n":
            from servers import lens

            print(lens.keep_roster(), flush=True)
        else:
            print(f"not understood: {line!r}", file=sys.stderr)
            status = 2
    if who == "socklens":
        from servers import lens

        status = status or lens.end()
    # Without waiting for the threads and loops of the peers, which have no end.
    sys.stderr.flush()
    os._exit(status)


def main(who: str, what: str, file: str | None = None) -> None:
    """Serves until standard input ends."""
    try:
        port = start(who, what)
    except Missing as why:
        print(f"missing: {why}", flush=True)
        return
    print(port, flush=True)
    if file is None:
        obey(who)
    else:
        threading.Thread(target=obey, args=[who], daemon=True).start()
        compute(Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
