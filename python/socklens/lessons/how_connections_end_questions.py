"""The predictions of the notebook on how connections end. Each looks at what the student's cell found, or at its sockets, and reads
nothing from them.
"""

from __future__ import annotations

import socklens as sl

from .judging import until
from .prediction import Prediction

__all__ = ["after_close", "after_half_close", "empty_send", "left_open", "port_again", "vanished"]

after_half_close = Prediction(
    "after_half_close",
    question="The client has called `shutdown('send')`. Can the server still send to it?",
    choices={"a": "yes, and the client can read it", "b": "no, the connection is over"},
    observe=lambda came: "a" if came else "b",
    why="A connection is two streams, one each way. A FIN ends one of them.",
)


def _what_an_empty_send_brought(came: bytes | None) -> str:
    return "b" if came is None else {b"": "a"}[came]


empty_send = Prediction(
    "empty_send",
    question="The client sends `b''`, an empty message. What does the server's `recv` do?",
    choices={"a": "it returns `b''`", "b": "it goes on waiting"},
    observe=_what_an_empty_send_brought,
    why="Sending no bytes adds nothing to the stream. So `b''` from `recv` can mean one thing only: the peer has finished.",
)


def _what_close_was(error: BaseException | None) -> str:
    return "a" if error is None else {ConnectionResetError: "b"}[type(error)]  # type: ignore[index]  # another error: not seen


after_close = Prediction(
    "after_close",
    question="The client closes, and two bytes that the server sent lie unread in its input buffer. What does the server's `recv` do?",
    choices={"a": "it returns `b''`, as before", "b": "it fails: the connection was reset"},
    observe=_what_close_was,
    why="`close` sends FIN if everything was read. Bytes that nobody will ever read are lost, and RST says so (RFC 2525, 2.17).",
)


def _who_had_the_port(without: bool, with_it: bool) -> str:
    return {(True, True): "a", (False, True): "b", (False, False): "c"}[without, with_it]


port_again = Prediction(
    "port_again",
    question="The server closed first; its end rests in TIME_WAIT. Can a new listener have its port?",
    choices={"a": "yes", "b": "only with `reuse_addr=True`", "c": "no, not for a minute"},
    observe=_who_had_the_port,
    why="TIME_WAIT holds the port, unless the listener before and the new one both allow its reuse (SO_REUSEADDR), as ours do by default.",
)


def _what_the_vanished_did(conn: sl.Connection, sent: int, came: bytes | None) -> str:
    if came is None and sent and conn.state.name == "ESTABLISHED":
        return "c"
    return "b" if came == b"" else "a"


vanished = Prediction(
    "vanished",
    question="The server is cut off, without a FIN and without an RST. The client sends, then receives. What does it notice?",
    choices={"a": "`send` fails", "b": "`recv` returns `b''`", "c": "nothing: `send` works, `recv` waits"},
    observe=_what_the_vanished_did,
    why="Silence looks the same whether the peer is gone or has nothing to say. A timeout of your own says when you have waited enough.",
)


def _how_the_servers_ends_are(ends: list[sl.Connection]) -> str:
    until(lambda: all(end.state.name != "ESTABLISHED" for end in ends), 1.0)
    states = {end.state.name for end in ends}
    return {frozenset({"CLOSED"}): "a", frozenset({"TIME_WAIT"}): "b", frozenset({"CLOSE_WAIT"}): "c"}[
        frozenset(states)
    ]


left_open = Prediction(
    "left_open",
    question="Three clients close. The server's program does nothing. In which state are its three sockets?",
    choices={"a": "CLOSED", "b": "TIME_WAIT", "c": "CLOSE_WAIT"},
    observe=_how_the_servers_ends_are,
    why="The kernel has done its part and waits for the program to close. It waits for ever: this state has no timer.",
)
