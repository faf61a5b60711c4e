"""The exercises and predictions of the notebook on messages in a stream. Every check looks at real sockets, takes a few seconds at
most, and closes what it opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise

import socklens as sl

from .bounded import Run, run, value_of, waiting_place
from .exercise import Exercise, Wrong
from .judging import callable_, kind, until
from .pieces import Pieces
from .prediction import Prediction

__all__ = [
    "arrived",
    "one_recv",
    "one_send",
    "read_lines",
    "recv_text",
    "send_text",
    "small_ends",
    "split_letter",
    "two_sends",
]

SECONDS = 3.0  # the longest that one call of a student's function may take
_SMALL = 4096


def arrived(conn: sl.Connection, count: int) -> None:
    """Wait, for a second at most, until ``count`` bytes lie in the connection's input buffer. Takes nothing out."""
    until(lambda: len(conn.input_buffer) >= count, 1.0)


@contextmanager
def small_ends() -> Iterator[tuple[sl.Connection, sl.Connection]]:
    """Two connected ends with buffers of a few kilobytes: writer, reader."""
    writer, reader = sl.pair(recv_buffer=_SMALL, send_buffer=_SMALL)
    with writer, reader:
        yield writer, reader


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────

_GREETING = b"good morning"


def _first_of_greeting(first: bytes) -> str:
    if first == _GREETING:
        return "a"
    if first and _GREETING.startswith(first):
        return "c"
    raise ValueError(f"the first recv returned {first!r}")


one_recv = Prediction(
    "one_recv",
    question="The client sends `good morning` in one `send`. What does the server's first `recv(1024)` return?",
    choices={"a": "the whole message", "b": "nothing: it waits for 1,024 bytes", "c": "only its beginning"},
    observe=_first_of_greeting,
    why="`recv(n)` waits until something is there, and returns that: at least 1 byte, at most n. The way there decides how many.",
)


def _how_many_came(came: bytes) -> str:
    return {b"one\ntwo\nthree\n": "a", b"one\n": "b"}[came]


two_sends = Prediction(
    "two_sends",
    question="The client calls `send` three times. When all of it has arrived, what does one `recv(1024)` return?",
    choices={"a": "all three messages", "b": "the first message"},
    observe=_how_many_came,
    why="The receiver's buffer holds bytes, in their order. Where one `send` ended and the next began is not kept.",
)


def _how_much_was_taken(taken: int, data: bytes) -> str:
    return "a" if taken == len(data) else "b"


one_send = Prediction(
    "one_send",
    question="Nobody reads. The client gives 1,000,000 bytes to one `send`. What happens?",
    choices={"a": "it takes all of them", "b": "it takes a part and says how much", "c": "it fails with an error"},
    observe=_how_much_was_taken,
    why="`send` takes what its output buffer has room for. The rest is still yours: send it again, or use `sendall`, which is that loop.",
)


def _what_decoded(pieces: list[bytes]) -> str:
    for piece in pieces:
        try:
            piece.decode()
        except UnicodeDecodeError:
            return "a"
    return "b"


split_letter = Prediction(
    "split_letter",
    question="`grüße` comes in pieces of 3 bytes. Can the server decode each piece and put the texts together?",
    choices={"a": "no: a piece may end inside a letter", "b": "yes: five letters are five bytes, cut anywhere"},
    observe=_what_decoded,
    why="In UTF-8, `ü` and `ß` are two bytes each. Put the bytes together first, find the end of the message, then decode it.",
)


# ── read_lines: every message up to the end of the stream ─────────────────────────────────────────────────────────────

_LINES = ["grüße", "  zwei ", "", "drei ✓"]
_LINE_PIECES = (b"gr\xc3", b"\xbc\xc3\x9fe", b"\n  zwei \n\ndr", b"ei \xe2\x9c", b"\x93\n")


def _judge_read_lines(function: object) -> str:
    called = callable_(function)
    for pieces in ((b"".join(_LINE_PIECES),), _LINE_PIECES):
        client, server = sl.pair()
        with client, server, Pieces(client, server, pieces, finish=True, seconds=SECONDS) as sender:
            result = run(called, server, seconds=SECONDS, release=server.close)
            if result.hung:
                raise Wrong(_why_it_reads_on(sender, waiting_place(result)))
            _no_split_letter(result)
            _compare_lines(value_of(result), pieces)
    return f"{len(_LINES)} messages, once in one piece and once in {len(_LINE_PIECES)}, and both times you found each of them."


def _why_it_reads_on(sender: Pieces, place: str) -> str:
    late = f"Your function had not returned after {SECONDS:g} seconds{place}."
    if sender.all_delivered:
        return f"{late} The client has finished, and from then on `recv` returns `{b''!r}`, every time: that is where to stop."
    return f"{late} The client had more to send, and your function did not take it."


def _no_split_letter(result: Run) -> None:
    if isinstance(result.error, UnicodeDecodeError):
        raise Wrong(
            "Decoding failed: a piece ended inside a letter, of which UTF-8 makes two bytes or more. Collect bytes, and decode a "
            "message when it is whole."
        )


def _compare_lines(answer: object, pieces: tuple[bytes, ...]) -> None:
    if answer is None:
        raise Wrong("Your function returned None. Return the list of messages.")
    if not isinstance(answer, list | tuple):
        raise Wrong(f"Your function returned {kind(answer)}. Return the messages in a list.")
    came = list(answer)
    if came == _LINES:
        return
    if any(isinstance(line, bytes | bytearray) for line in came):
        raise Wrong("There are bytes in your list. The messages are text: `.decode()` each of them when it is whole.")
    if not all(isinstance(line, str) for line in came):
        odd = next(line for line in came if not isinstance(line, str))
        raise Wrong(f"There is {kind(odd)} in your list. A message is text, a str.")
    raise Wrong(_off_lines(came, pieces))


def _off_lines(came: list[str], pieces: tuple[bytes, ...]) -> str:
    told = f"Your list is `{came!r}`"
    if any("�" in line for line in came):
        return f"{told}: letters were cut where a piece ended, and then replaced. Decode a message when it is whole."
    if came == [piece.decode(errors="replace") for piece in pieces]:
        return f"{told}: that is what each `recv` returned. A message ends at a newline, wherever a `recv` ends."
    if [line.rstrip("\n") for line in came] == _LINES:
        return f"{told}: the newline is the border between messages, and belongs to none of them."
    if [line.strip() for line in came] == [line.strip() for line in _LINES]:
        return f"{told}: the blanks around a text belong to it. `strip()` takes those as well; `removesuffix` only the newline."
    if came == [*_LINES, ""]:
        return f"{told}: after the last newline there is no further message, though `split` leaves an empty text there."
    if came == [line for line in _LINES if line]:
        return f"{told}: the empty line is a message, too. It is the stream that ends at `{b''!r}`."
    if came == _LINES[: len(came)]:
        return f"{told}: after that more came. One `recv` may bring several messages, and the next one brings more; go on until the end."
    return f"{told}, but the client sent `{_LINES!r}`."


read_lines = Exercise(
    "read_lines",
    expects=("read_lines",),
    hint=(
        f"Collect what `recv` returns in one `data = b''`, until it returns `{b''!r}`. The messages are between the newlines. "
        "(`conn.lines()` is a shorter way.)"
    ),
    solution="""
def read_lines(conn):
    messages = []
    data = b""
    while piece := conn.recv(1024):         # b"" is the end of the stream
        data += piece
        while b"\\n" in data:                # none, one or several messages are whole now
            line, _, data = data.partition(b"\\n")
            messages.append(line.decode())
    return messages

# The same: [line.decode() for line in conn.lines(keep_end=False)]
""",
    judge=_judge_read_lines,
)


# ── send_text: a length in front, and all of the bytes ────────────────────────────────────────────────────────────────

_TEXTS = ("hello", "grüße\n✓", "", "ü" * 100_000)


def _judge_send_text(function: object) -> str:
    called = callable_(function)
    for text in _TEXTS:
        with small_ends() as (writer, reader):
            came, result = _sent_by(called, writer, reader, text)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            value_of(result)
            _compare_frame(came, text)
    return "Four texts, one of them empty and one of 200,000 bytes, and each came with its length and to its last byte."


def _sent_by(
    called: Callable[..., object], writer: sl.Connection, reader: sl.Connection, text: str
) -> tuple[bytes, Run]:
    """What the reader gets while the function sends; the reader never stops reading."""
    with ThreadPoolExecutor(1, "socklens-check-reader") as pool:
        reading = pool.submit(reader.recv_all, timeout=2 * SECONDS)
        try:
            result = run(called, writer, text, seconds=SECONDS, release=writer.close)
        finally:
            with suppress(OSError):  # closed by the function, or to release it
                writer.shutdown("send")
        try:
            return reading.result(), result
        except OSError as error:
            raise Wrong(f"The reader did not get the end of your stream: {error}") from None


def _compare_frame(came: bytes, text: str) -> None:
    body = text.encode()
    right = len(body).to_bytes(4, "big") + body
    if came == right:
        return
    shown = f"`{text!r}`" if len(text) < 20 else f"a text of {len(text):,} letters"
    if not came:
        raise Wrong(f"For {shown} nothing came. An empty text has a length as well: 0.")
    if right.startswith(came):
        raise Wrong(
            f"For {shown}, {len(came):,} of {len(right):,} bytes came. `send` takes what there is room for and returns how many "
            "bytes that were; `sendall` goes on with the rest."
        )
    raise Wrong(f"For {shown} came `{came[:12]!r}{' …' if len(came) > 12 else ''}`{_why_not(came, text, body)}")


def _why_not(came: bytes, text: str, body: bytes) -> str:
    if came == body:
        return ": the text, without its length in front."
    if came.startswith(str(len(body)).encode()):
        return ": the length as text. Four bytes were asked for: `len(data).to_bytes(4, 'big')`."
    said = int.from_bytes(came[:4], "big")
    if said == len(text) != len(body):
        return f": the length says {said:,}, the number of letters. The receiver counts bytes, and these are {len(body):,}."
    if said == len(body) + 4:
        return f": the length says {said:,}. It counts what comes after it: {len(body):,} bytes."
    if int.from_bytes(came[:4], "little") == len(body):
        return (
            ": the length begins with its smallest byte. On the network the largest comes first: `to_bytes(4, 'big')`."
        )
    if said == len(body) and came[4:] != body:
        return f": the length is right, but after it {len(came) - 4:,} other bytes follow."
    return f". It should begin with `{(len(body).to_bytes(4, 'big') + body)[:12]!r}`."


send_text = Exercise(
    "send_text",
    expects=("send_text",),
    hint="`data = text.encode()` is what is sent, `len(data).to_bytes(4, 'big')` its length in four bytes. Does `send` take all of it?",
    solution="""
def send_text(conn, text):
    data = text.encode()
    conn.sendall(len(data).to_bytes(4, "big") + data)

# The same: conn.send_frame(text.encode())
""",
    judge=_judge_send_text,
)


# ── recv_text: exactly one message, and nothing of the next ───────────────────────────────────────────────────────────

_FRAMES = ("hello", "grüße\n✓", "", "bye")
# Around the first length and inside its text; inside the second length and inside a letter of its text; inside the third length. Before
# a cut length there is a cut, too: else a read that goes ahead could bring its first bytes early.
_CUTS = (4, 7, 9, 11, 16, 24, 25)


def _frame_pieces() -> tuple[bytes, ...]:
    stream = b"".join(len(text.encode()).to_bytes(4, "big") + text.encode() for text in _FRAMES)
    borders = (0, *_CUTS, len(stream))
    return tuple(stream[start:end] for start, end in pairwise(borders))


def _judge_recv_text(function: object) -> str:
    called = callable_(function)
    for pieces in (_frame_pieces(), (b"".join(_frame_pieces()),)):
        client, server = sl.pair()
        with client, server, Pieces(client, server, pieces, seconds=SECONDS):
            for number, text in enumerate(_FRAMES, 1):
                result = run(called, server, seconds=SECONDS, release=server.close)
                if result.hung:
                    raise Wrong(
                        f"Your function had not returned message {number} after {SECONDS:g} seconds{waiting_place(result)}. Did it "
                        "wait for more than the length says, or had an earlier call taken what belonged to this message?"
                    )
                _no_split_letter(result)
                _compare_text(value_of(result), text, number)
                if server.closed:
                    raise Wrong("Your function closed the connection, and the next message cannot come.")
    return f"{len(_FRAMES)} messages, once cut inside lengths and letters and once in one piece, and none lost a byte."


def _compare_text(answer: object, text: str, number: int) -> None:
    if answer == text:
        return
    told = f"Message {number} is `{text!r}`, but your function returned"
    if answer is None:
        raise Wrong(f"{told} None.")
    if isinstance(answer, bytes | bytearray):
        if bytes(answer) == text.encode():
            raise Wrong(f"{told} its bytes, `{bytes(answer)!r}`. `.decode()` makes text of them.")
        raise Wrong(f"{told} `{bytes(answer)[:40]!r}`.")
    if not isinstance(answer, str):
        raise Wrong(f"{told} {kind(answer)}.")
    if answer.startswith("\0"):
        raise Wrong(f"{told} `{answer[:40]!r}`: the four bytes in front are the length, and no part of the text.")
    if text.startswith(answer):
        raise Wrong(f"{told} `{answer!r}`. `recv(n)` returns at most n bytes; `recv_exactly(n)` waits for all of them.")
    raise Wrong(f"{told} `{answer[:40]!r}`.")


recv_text = Exercise(
    "recv_text",
    expects=("recv_text",),
    hint="`conn.recv_exactly(4)` takes the length, `int.from_bytes(four, 'big')` makes a number of it. And then?",
    solution="""
def recv_text(conn):
    length = int.from_bytes(conn.recv_exactly(4), "big")
    return conn.recv_exactly(length).decode()

# The same: conn.recv_frame().decode()
""",
    judge=_judge_recv_text,
)
