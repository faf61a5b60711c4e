"""Makes bytes from anywhere safe to print, and measures how wide text is. Whatever a peer sent reaches a screen only
through `escape`; nothing here knows about sockets.
"""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def escape(data: bytes | str, *, ascii_only: bool = False, keep: str = "") -> str:
    r"""The bytes as one line of printable text, written as Python would write them.

    UTF-8 text stays readable. Everything that could steer a terminal or hide something becomes visible: control
    characters and ANSI sequences (``\x1b[31m``), bytes that are not UTF-8 (``\xff``), invisible and direction-changing
    characters (``\u202e``), and the backslash itself (``\\``), so that no text can pass itself off as an escape.

    Args:
        data: what was received; a `str` may hold undecodable bytes as ``surrogateescape`` leaves them.
        ascii_only: also write every other non-ASCII character as its UTF-8 bytes, for a screen that has ASCII only.
        keep: characters that pass as they are, for example ``"\n"`` where lines are wanted.
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(c if c in keep else _escape_char(c, ascii_only) for c in text)


def _escape_char(c: str, ascii_only: bool) -> str:
    if c in _SHORT:
        return _SHORT[c]
    code = ord(c)
    if code < 0x80:
        return c if c.isprintable() else f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape's way to carry one undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    if ascii_only:
        return "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogatepass"))
    if c.isprintable():
        return c
    # \x9b would mean the single byte; the character U+009B is two bytes, so it is written \u009b.
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def quoted(data: bytes | str, *, ascii_only: bool = False) -> str:
    """`escape` between double quotes, with quotes inside it escaped as well."""
    return '"' + escape(data, ascii_only=ascii_only).replace('"', '\\"') + '"'


def cells(text: str) -> int:
    """How many columns a terminal needs: two for a wide East Asian character, none for a combining mark."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(c: str) -> int:
    if c == "\ufe0f":  # asks for the emoji form of the character before it, which is one column wider
        return 1
    if unicodedata.category(c) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1


def cut(text: str, width: int, mark: str = "…") -> str:
    """The text if it fits in `width` columns; else as much as fits, ending in `mark`."""
    if cells(text) <= width:
        return text
    room = width - len(mark)
    if room < 0:
        return mark[: max(width, 0)]
    kept = 0
    for i, c in enumerate(text):
        kept += _cells(c)
        if kept > room:
            return text[:i] + mark
    return text


def pad(text: str, width: int, mark: str = "…") -> str:
    """The text cut or filled with spaces to exactly `width` columns."""
    text = cut(text, width, mark)
    return text + " " * (width - cells(text))
