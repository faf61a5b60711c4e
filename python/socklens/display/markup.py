"""The parts that every HTML picture is made of. Whatever comes from a peer or a program passes `escape` and then HTML's own
escaping, here and nowhere else.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from functools import cache
from importlib import resources

from .escape import escape

_HEX_ROW = 16
_HEX_ROWS = 16


def text(data: bytes | str) -> str:
    """Anything as safe HTML text: one line, everything invisible made visible."""
    return html.escape(escape(data))


def attribute(value: str) -> str:
    """Anything as the safe value of an attribute, with its quotation marks."""
    return f'"{html.escape(escape(value), quote=True)}"'


def element(tag: str, body: str, kind: str = "", **attributes: str) -> str:
    """An element of a class of socklens; the body is HTML already. `aria_label` becomes ``aria-label``."""
    named = "".join(f" {name.replace('_', '-')}={attribute(value)}" for name, value in attributes.items())
    classes = " ".join(f"socklens-{word}" for word in kind.split())
    return f"<{tag}{f' class={attribute(classes)}' if classes else ''}{named}>{body}</{tag}>"


def picture(body: str, label: str) -> str:
    """A whole picture, with its style and what a screen reader says of it."""
    return f"<style>{css()}</style>" + element("div", body, "view", role="group", aria_label=label)


def share(count: int, capacity: int) -> str:
    """A fill as a percentage for a style; never quite full unless it is."""
    if capacity <= 0 or count <= 0:
        return "0%"
    return "100%" if count >= capacity else f"{min(max(count / capacity * 100, 0.6), 99):.1f}%"


def bar(parts: Iterable[tuple[str, int]], capacity: int, label: str) -> str:
    """A bar of (kind, bytes) parts, filled as far as they fill the capacity. It says the same as its label."""
    fills = "".join(
        f'<span class="socklens-fill socklens-fill-{kind}" style="width:{share(count, capacity)}"></span>'
        for kind, count in parts
    )
    return element("div", fills, "bar", role="img", aria_label=label)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Small named facts in a row that wraps; names and values are plain text."""
    items = "".join(
        element("span", f"{element('span', text(name), 'name')} {text(value)}", "fact")
        for name, value in pairs
        if value
    )
    return element("div", items, "facts") if items else ""


def content(first: bytes, total: int) -> str:
    """The bytes of a buffer: a line of text, and unfolded by a click the same bytes in hexadecimal."""
    if not first or not total:
        return ""
    head = text(first[:96])
    more = "…" if total > 96 else ""
    rows = hexdump(first)
    left = total - min(len(first), _HEX_ROW * _HEX_ROWS)
    tail = f"\n… {left:,} B more" if left > 0 else ""
    folded = f"<summary><code>&quot;{head}{more or '&quot;'}</code></summary><pre>{html.escape(rows + tail)}</pre>"
    return element("details", folded, "bytes")


def hexdump(data: bytes) -> str:
    """The first bytes as rows of position, hexadecimal and ASCII, with a dot for what is no printable ASCII."""
    rows = []
    for at in range(0, min(len(data), _HEX_ROW * _HEX_ROWS), _HEX_ROW):
        row = data[at : at + _HEX_ROW]
        plain = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        rows.append(f"{at:04x}  {row.hex(' '):<{3 * _HEX_ROW - 1}}  {plain}")
    return "\n".join(rows)


@cache
def css() -> str:
    """How all these pictures look."""
    return resources.files(__package__).joinpath("lens.css").read_text(encoding="utf-8")
