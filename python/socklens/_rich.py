"""How our objects draw themselves in a notebook. Set from here under IPython only, so that no program pays for it; each form is drawn
from one frozen look.
"""

from __future__ import annotations

from collections.abc import Callable

from . import Address, Connection, InputBuffer, Listener, OutputBuffer, TcpInfo


def draw_in_notebooks() -> None:
    """Gives the classes their ``_repr_html_``."""
    forms: dict[type, Callable[..., str | None]] = {
        Address: _address,
        Connection: _connection,
        InputBuffer: _input,
        Listener: _listener,
        OutputBuffer: _output,
        TcpInfo: _info,
    }
    for kind, form in forms.items():
        kind._repr_html_ = form  # type: ignore[attr-defined]


def _connection(self: Connection) -> str:
    from .display.ends import end_view
    from .display.forms import connection_html

    return connection_html(end_view(self))


def _listener(self: Listener) -> str:
    from .display.forms import listener_html
    from .display.views import listener_view

    return listener_html(listener_view(self))


def _address(self: Address) -> str:
    from .display.forms import address_html

    return address_html(self)


def _input(self: InputBuffer) -> str | None:
    from .display.ends import CONTENT
    from .display.forms import input_html
    from .display.views import input_view, told

    view = told(lambda: input_view(self, CONTENT))
    return None if view is None else input_html(view)


def _output(self: OutputBuffer) -> str | None:
    from .display.ends import CONTENT
    from .display.forms import output_html
    from .display.views import output_view, told

    view = told(lambda: output_view(self, CONTENT))
    return None if view is None else output_html(view)


def _info(self: TcpInfo) -> str:
    from .display.forms import info_html

    fields = {name: value for name, value in self.to_dict().items() if name != "state"}
    described = {name: (getattr(TcpInfo, name).__doc__ or "").split("\n")[0] for name in fields}
    return info_html("" if self.state is None else self.state.name, fields, described)
