"""The predictions of the second notebook. Each looks at the room and its clients, and reads nothing from them."""

from __future__ import annotations

import socklens as sl

from .prediction import Prediction

__all__ = ["server_ports", "where_is_the_talk", "whom_it_hits"]


def _server_ports(server: sl.Server) -> str:
    here = [client.conn for client in server.clients]
    if len(here) < 2:
        raise ValueError("fewer than two clients are in the room")
    ports = {conn.local_addr.port for conn in here}
    if ports == {server.local_addr.port}:
        return "a"
    return "c" if ports == {conn.peer_addr.port for conn in here} else "b"


server_ports = Prediction(
    "server_ports",
    question="Those are the clients' ends. The server has a socket for each of them as well. On which local ports?",
    choices={
        "a": "all on the one where the server listens",
        "b": "each on a new one",
        "c": "each on the port of its client",
    },
    observe=_server_ports,
    why="What tells the server's sockets apart is the peer: the rest of the four-tuple.",
)


def _where_is_the_talk(for_sleeper: sl.Connection, sleeper: sl.Connection) -> str:
    arrived, waiting = len(sleeper.input_buffer), len(for_sleeper.output_buffer)
    if not arrived + waiting:
        return "c"
    return "b" if waiting else "a"


where_is_the_talk = Prediction(
    "where_is_the_talk",
    question="The talker says twelve lines of 50,000 bytes, and the sleeper takes none of them. Where are the 600,000 bytes?",
    choices={
        "a": "all of them in the sleeper's input buffer",
        "b": "some in the sleeper's input buffer, the rest in the output buffer of the server's end",
        "c": "lost: the sleeper does not listen",
    },
    observe=_where_is_the_talk,
    why="A buffer has an end. When the sleeper's is as good as full, its kernel says so, and the server's kernel stops sending.",
)


def _whom_it_hits(server: sl.Server) -> str:
    if not server.running:
        return "c"
    return "b" if server.errors else "a"


whom_it_hits = Prediction(
    "whom_it_hits",
    question=(
        "Eve aborts while her handler waits in `conn.lines()`. In the first notebook, RST made `recv` fail. What does that error end here?"
    ),
    choices={
        "a": "nothing: Eve's handler sees an end of the stream",
        "b": "Eve's handler, and nothing else",
        "c": "the server, with everybody in it",
    },
    observe=_whom_it_hits,
    why="Each handler has a thread of its own, and the server keeps what it raised.",
)
