"""Many clients at once: `Server` and what it tells about its clients. Imported when it is first used, and never before."""

from __future__ import annotations

from ._records import Dropped, Log, ServerError, Who
from ._roster import Client, Roster
from ._running import servers
from ._server import Server

__all__ = ["Client", "Dropped", "Log", "Roster", "Server", "ServerError", "Who", "servers"]

# Where they are public, as `help()` and a pickle name them.
for _public in (Client, Dropped, Roster, Server, ServerError, servers):
    _public.__module__ = "socklens"
del _public
