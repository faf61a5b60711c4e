"""The socket table, and what changed in it, as drawings. Pure functions of frozen rows; `tables` makes text and HTML of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from .escape import escape
from .tables import Drawing, Group, markup, text

if TYPE_CHECKING:
    from .._ports import PortDiff, PortRow, PortTable

MOST_LISTED = 60
"""Rows that a table shows: a machine may have ten thousand sockets."""

MOST_TOGETHER = 12
"""Rows that it shows of one local port."""

_HEAD = ("local", "peer", "state", "program", "in this program", "role", "note", "to read", "unacked")
_NUMBERS = (7, 8)
_GIVES = (8, 7, 5, 6, 1, 2, 4)  # who has the port is what such a table is for, so that goes last
_OWNER = 4
_JUPYTER = "Jupyter's kernel"
_DIFF_HEAD = ("", *_HEAD[:7])


def as_text(table: PortTable, most: int | None = MOST_LISTED, width: int | None = None) -> str:
    """The table as lines: `most` rows, or all of them with None."""
    return text(drawing(table, most), width) if len(table) else "\n".join(["<PortTable: no sockets>", *_below(table)])


def as_html(table: PortTable) -> str:
    """The table for a notebook."""
    return markup(drawing(table))


def drawing(table: PortTable, most: int | None = MOST_LISTED) -> Drawing:
    """What is drawn of a table: the first rows, those of one local port together, and a count."""
    groups = []
    left = len(table) if most is None else most
    together = len(table) if most is None else MOST_TOGETHER
    for port, rows in groupby(table, key=lambda row: row.local.port):
        if left <= 0:
            break
        of_port = list(rows)
        shown = of_port[: min(left, together)]
        left -= len(shown)
        title = f"port {port}: {_tally(_parts(of_port))}" if len(of_port) > 1 else ""
        hidden = len(of_port) - len(shown)
        more = f"and {hidden:,} more on port {port}" if hidden else ""
        groups.append(Group(tuple(_cells(row) for row in shown), title, more))
    shown_rows = sum(len(group.rows) for group in groups)
    below = [f"the first {shown_rows:,} of {_count(table)}" if shown_rows < len(table) else _count(table)]
    if table.has_jupyters:
        below.append(
            f"{_JUPYTER}: the notebook's own sockets, by which its cells are run; derived from its connection file"
        )
    below += _below(table)
    return Drawing(_HEAD, tuple(groups), _NUMBERS, below=tuple(below), gives=_GIVES, shortens=_OWNER, soft=(4, 5, 6))


def row_line(row: PortRow) -> str:
    """One row in one line."""
    ends = str(row.local) if row.peer is None else f"{row.local} -> {row.peer}"
    of = _cells(row)
    facts = (of[3], *of[5:7], of[4])
    return ", ".join([f"{ends} {row.state}", *(escape(fact) for fact in facts if fact)])


def _cells(row: PortRow) -> tuple[str, ...]:
    program = "" if row.pid is None else f"{row.program or '?'} ({row.pid})"
    return (
        str(row.local),
        "" if row.peer is None else str(row.peer),
        row.state.name,
        program or ("?" if row.is_nameless else ""),
        _owner(row),
        "" if row.role is None else row.role.value,
        row.note,
        _bytes(row.recv_queue),
        _bytes(row.send_queue),
    )


def _owner(row: PortRow) -> str:
    return _JUPYTER if row.of_jupyter else "" if row.owner is None else str(row.owner)


def _bytes(count: int | None) -> str:
    return "" if count is None else f"{count:,} B"


def _count(table: PortTable) -> str:
    states = Counter({state.name: count for state, count in Counter([row.state for row in table]).items()})
    number = f"{len(table):,} socket{'' if len(table) == 1 else 's'}"
    return f"{number}: {_tally(states)}" if table else "no sockets"


def _parts(rows: Iterable[PortRow]) -> Counter[str]:
    return Counter("listener" if row.role == "listener" else "other" for row in rows)


def _tally(of: Counter[str]) -> str:
    """``1 listener, 2 connections``, or ``3 LISTEN, 4 TIME_WAIT``."""
    if set(of) <= {"listener", "other"}:
        words = (("listener", "listener"), ("other", "connection"))
        return ", ".join(f"{of[key]:,} {word}{'' if of[key] == 1 else 's'}" for key, word in words if of[key])
    return ", ".join(f"{count:,} {state}" for state, count in of.most_common())


def _below(table: PortTable) -> tuple[str, ...]:
    return tuple(f"not seen: {sentence}" for sentence in table.unseen)


# What changed


def diff_text(diff: PortDiff) -> str:
    """The changes as lines."""
    return text(diff_drawing(diff)) if diff else "<PortDiff: no changes>"


def diff_html(diff: PortDiff) -> str:
    """The changes for a notebook."""
    return markup(diff_drawing(diff))


def diff_drawing(diff: PortDiff) -> Drawing:
    """What is drawn of a difference: each row with a sign and a word for what became of it."""
    lines = [
        *(("+ opened", row, row.state.name, row.note) for row in diff.opened),
        *(("- closed", row, row.state.name, "") for row in diff.closed),
        *(("~ changed", after, *_became(before, after)) for before, after in diff.changed),
    ]
    rows = tuple(_diff_cells(*line) for line in lines[:MOST_LISTED])
    hidden = len(lines) - len(rows)
    counts = ((len(diff.opened), "opened"), (len(diff.closed), "closed"), (len(diff.changed), "changed"))
    summary = ", ".join(f"{count:,} {word}" for count, word in counts)
    more = f"and {hidden:,} more" if hidden else ""
    return Drawing(_DIFF_HEAD, (Group(rows, more=more),) if rows else (), below=(summary,))


def _diff_cells(what: str, row: PortRow, state: str, note: str) -> tuple[str, ...]:
    of = _cells(row)
    return (what, of[0], of[1], state, *of[3:6], note)


def _became(before: PortRow, after: PortRow) -> tuple[str, str]:
    """The state, and what else is not as it was."""
    state = after.state.name if before.state == after.state else f"{before.state} → {after.state}"
    facts: list[str] = []
    pairs: Sequence[tuple[str, object, object]] = (
        ("to read", before.recv_queue, after.recv_queue),
        ("unacked", before.send_queue, after.send_queue),
        ("accept queue", before.accept_queue, after.accept_queue),
    )
    facts += [f"{name} {one} → {other}" for name, one, other in pairs if one != other]
    if before.role != after.role:
        facts.append(f"{before.role or '?'} → {after.role or '?'}")
    if after.seconds_left is not None:
        facts.append(after.note)
    return state, ", ".join(facts)
