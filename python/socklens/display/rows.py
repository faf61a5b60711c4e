"""Breaks facts into the rows of a box, where a row that cannot hold one would cut a number. Plain text only: nothing here
knows about sockets.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .escape import cells

LABEL = 6
"""Columns for "local " and what stands under it."""


def wrapped(facts: Iterable[str], room: int, gap: str = ", ") -> list[str]:
    """The facts in as few rows as hold them; a fact is only broken if it is wider than a whole row."""
    rows: list[str] = []
    for fact in facts:
        if rows and cells(rows[-1]) + len(gap) + cells(fact) <= room:
            rows[-1] += gap + fact
        elif cells(fact) <= room:
            rows.append(fact)
        else:
            rows += textwrap.wrap(fact, room, break_on_hyphens=False)
    return rows


def labelled(label: str, facts: Iterable[str], inner: int, indent: int = LABEL, gap: str = ", ") -> list[str]:
    """`wrapped`, with the label in front of the first row and nothing below it."""
    rows = wrapped(facts, inner - indent, gap)
    return [f"{'' if i else label:<{indent}}{row}" for i, row in enumerate(rows)]
