"""The widget that shows frames in a notebook. Imported when something is first watched there: anywidget takes a second to import."""

from __future__ import annotations

from importlib import resources

import anywidget  # type: ignore[import-not-found, unused-ignore]
import traitlets

from ..display import markup


class Frames(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]  # where it is not installed it has no types
    """Shows one frame after the other. A frame is HTML in which everything from outside is escaped."""

    _esm = resources.files("socklens.display").joinpath("watch.js").read_text(encoding="utf-8")
    _css = markup.css() + ".socklens-still { display: none; }\n"
    frame = traitlets.Unicode("").tag(sync=True)
