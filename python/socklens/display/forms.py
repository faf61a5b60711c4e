"""Draws single things for a notebook, as HTML: a connection, a listener, an address, a buffer, TCP_INFO. Pure functions of
frozen views, each with the same facts as the text form.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from .. import Address
from .._address import queue_words
from .ends import EndView, PathView
from .markup import bar, content, element, facts, picture, text
from .views import ConnectionView, InputView, ListenerView, OutputView

_MOST_LISTED = 20


def connection_html(end: EndView) -> str:
    """One connection: endpoints, state, both buffers with their bytes, the way to its peer, totals."""
    return picture(connection_body(end), f"Connection {end.conn.local}")


def connection_body(end: EndView) -> str:
    """The same without its style, to be part of another picture."""
    conn = end.conn
    name = f"<strong>{text(conn.name)}</strong> " if conn.name else "<strong>Connection</strong> "
    peer = "unknown" if conn.peer is None else str(conn.peer)
    head = f"{name}<code>{text(str(conn.local))}</code> ⇄ <code>{text(peer)}</code> {state_badge(conn)}"
    rows = (input_rows(conn.input) if conn.input else "") + (output_rows(conn.output) if conn.output else "")
    buffers = element("div", rows, "buffers") if rows else ""
    waits = element("div", text(conn.waits_for), "note") if conn.waits_for else ""
    return element("div", head, "head") + waits + buffers + facts([*_path(end.path), *_totals(end)])


def state_badge(view: ConnectionView | ListenerView) -> str:
    """The TCP state, as a word in a frame."""
    if not view.closed:
        meaning = {"title": view.waits_for} if isinstance(view, ConnectionView) and view.waits_for else {}
        return element("span", text(view.state), f"state state-{_mood(view.state)}", **meaning) if view.state else ""
    word = "closed" if view.state in (None, "CLOSED") else f"closed · {view.state}"
    return element("span", text(word), "state state-over")


def _mood(state: str) -> str:
    return "open" if state in ("ESTABLISHED", "LISTEN") else "over" if state == "CLOSED" else "ending"


def input_rows(view: InputView) -> str:
    """The rows of an input buffer."""
    label = f"{view.kernel:,} of {view.capacity:,} B"
    notes = f"and {view.rust:,} B already in Rust memory" if view.rust else ""
    return _rows("in", bar([("in", view.kernel)], view.capacity, f"in {label}"), label, notes, view.first, view.total)


def output_rows(view: OutputView) -> str:
    """The rows of an output buffer."""
    outstanding = view.total - view.rust
    label = f"{outstanding:,} of {view.capacity:,} B"
    notes = []
    if outstanding:
        notes.append(f"{view.unacknowledged:,} B sent, ACK to come")
        if view.unsent is not None:
            notes.append(f"{view.unsent:,} B not sent yet")
    if view.rust:
        notes.append(f"and {view.rust:,} B more in this program")
    if view.total and not view.first:
        notes.append("content not known: no copy of the oldest bytes")
    drawn = bar([("sent", view.unacknowledged), ("unsent", view.unsent or 0)], view.capacity, f"out {label}")
    return _rows("out", drawn, label, " · ".join(notes), view.first, view.total)


def _rows(label: str, drawn: str, count: str, notes: str, first: bytes, total: int) -> str:
    cells = element("div", label, "label") + drawn + element("div", text(count), "count")
    below = content(first, total) + (element("div", text(notes), "note") if notes else "")
    return element("div", cells, "buffer") + (element("div", below, "below") if below else "")


def _path(path: PathView | None) -> list[tuple[str, str]]:
    if path is None:
        return []
    found = []
    if path.peer_window is not None:
        found.append(("window", f"peer takes {path.peer_window:,} B"))
    if path.own_window is not None:
        found.append(("own window", f"{path.own_window:,} B"))
    if path.rtt:
        found.append(("round trip", _times(path.rtt, path.rttvar or 0)))
    if path.retransmitted is not None:
        found.append(("retransmitted", f"{path.retransmitted:,}"))
    return found


def _times(microseconds: int, deviation: int) -> str:
    """A time and its mean deviation, in one unit that shows both."""
    if min(microseconds, deviation) < 10_000:
        return f"{microseconds:,} ± {deviation:,} µs"
    return f"{microseconds / 1000:,.1f} ± {deviation / 1000:,.1f} ms"


def _totals(end: EndView) -> list[tuple[str, str]]:
    found = []
    if end.conn.sent is not None:
        sends = "" if end.sends is None or not end.sends.count else f" in {end.sends.count:,} sends"
        found.append(("sent", f"{end.conn.sent:,} B{sends if sends != ' in 1 sends' else ' in 1 send'}"))
    if end.taken is not None:
        found.append(("taken", f"{end.taken:,} B"))
    return found


def listener_html(view: ListenerView) -> str:
    """A listener: where, its accept queue, the connections it made."""
    return picture(listener_body(view), f"Listener on {view.local}")


def listener_body(view: ListenerView) -> str:
    """The same without its style."""
    name = f"<strong>{text(view.name)}</strong> " if view.name else "<strong>Listener</strong> "
    head = element("div", f"{name}<code>{text(str(view.local))}</code> {state_badge(view)}", "head")
    queue = ""
    if view.waiting is not None and view.limit is not None:
        # Linux admits one more than the limit (listen(2)).
        label = queue_words(view.waiting, view.limit, "waiting to be accepted")
        drawn = bar([("in", view.waiting)], view.limit + 1, label)
        cells = element("div", "queue", "label") + drawn + element("div", label, "count")
        queue = element("div", element("div", cells, "buffer"), "buffers")
    accepted = [] if view.accepted is None else [("accepted", f"{view.accepted:,}")]
    named = [(str(conn.peer), conn) for conn in view.connections[:_MOST_LISTED]]
    return head + queue + facts(accepted) + connections_table(named, len(view.connections))


def connections_table(rows: Sequence[tuple[str, ConnectionView]], total: int) -> str:
    """Connections with their buffers, one a row, the first of `total`."""
    if not rows:
        return ""
    words = "".join(f"<th>{word}</th>" for word in ("peer", "state", "to read", "unacked", "taken", "sent"))
    body = "".join(_row(name, conn) for name, conn in rows)
    more = total - len(rows)
    told = element("div", f"and {more:,} more", "note") if more > 0 else ""
    return f"<table><thead><tr>{words}</tr></thead><tbody>{body}</tbody></table>{told}"


def _row(name: str, conn: ConnectionView) -> str:
    into, out = conn.input, conn.output
    fills = ["", ""]
    if into is not None:
        fills[0] = _small("in", [("in", into.kernel)], into.total, into.capacity)
    if out is not None:
        parts = [("sent", out.unacknowledged), ("unsent", out.unsent or 0)]
        fills[1] = _small("out", parts, out.total, out.capacity)
    cells = [f"<code>{text(name)}</code>", state_badge(conn), *fills]
    cells += ["" if count is None else f"{count:,} B" for count in (conn.received, conn.sent)]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _small(name: str, parts: list[tuple[str, int]], total: int, capacity: int) -> str:
    drawn = bar(parts, capacity, f"{name} {total:,} of {capacity:,} B")
    return element("div", drawn + element("span", f"{total:,} B", "count"), "small")


def input_html(view: InputView) -> str:
    """An input buffer alone."""
    head = element("div", "<strong>InputBuffer</strong>", "head")
    return picture(head + element("div", input_rows(view), "buffers"), f"Input buffer, {view.total:,} B")


def output_html(view: OutputView) -> str:
    """An output buffer alone."""
    head = element("div", "<strong>OutputBuffer</strong>", "head")
    return picture(head + element("div", output_rows(view), "buffers"), f"Output buffer, {view.total:,} B")


def address_html(address: Address) -> str:
    """An endpoint, and what kind of address and port it is."""
    head = element("div", f"<strong>Address</strong> <code>{text(str(address))}</code>", "head")
    return picture(
        head + facts([("address", host_kind(address.host)), ("port", port_kind(address.port))]), f"{address}"
    )


def host_kind(host: str) -> str:
    """What an IP address is for (RFC 6890); nothing for what is none."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if ip.is_unspecified:
        return "every interface of this machine"
    if ip.is_loopback:
        return "loopback: this machine only"
    if ip.is_link_local:
        return "link-local: this network segment only"
    if ip.is_multicast:
        return "multicast"
    return "private: inside one network" if ip.is_private else "global"


def port_kind(port: int) -> str:
    """Which range a port belongs to (RFC 6335 section 6)."""
    if port == 0:
        return "0: any free port"
    if port < 1024:
        return "system port (below 1024)"
    return "user port (1024 to 49151)" if port < 49152 else "dynamic port (from 49152)"


def info_html(state: str, fields: dict[str, int | bool], described: dict[str, str]) -> str:
    """TCP_INFO: the fields that tell most, and all of them unfolded by a click."""
    head = element(
        "div", f"<strong>TcpInfo</strong> {element('span', text(state), f'state state-{_mood(state)}')}", "head"
    )
    rows = "".join(
        f"<tr><td><code>{text(name)}</code></td><td>{text(f'{value:,}')}</td><td>{text(described.get(name, ''))}</td></tr>"
        for name, value in fields.items()
    )
    table = element("details", f"<summary>all {len(fields)} fields</summary><table>{rows}</table>", "all")
    names = ("rtt", "rttvar", "snd_wnd", "rcv_wnd", "snd_cwnd", "snd_mss", "total_retrans", "rto")
    known = [(name, f"{fields[name]:,}{_UNITS.get(name, '')}") for name in names if name in fields]
    return picture(head + facts(known) + table, f"TCP_INFO, {state}")


_UNITS = {
    "rtt": " µs",
    "rttvar": " µs",
    "rto": " µs",
    "snd_wnd": " B",
    "rcv_wnd": " B",
    "snd_mss": " B",
    "snd_cwnd": " segments",
}
