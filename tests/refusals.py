"""What an exception tells a person: the one way in which the tests of bad input look at a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Kinds = type[BaseException] | tuple[type[BaseException], ...]


def refused(kind: Kinds, words: list[str], call: Callable[..., object], /, *args: Any, **kwargs: Any) -> str:
    """Makes the call, which must raise exactly this kind (or one of several) with all the words; returns all that is said."""
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    assert isinstance(kind, tuple) or type(caught.value) is kind
    said = everything_said(caught.value)
    for word in words:
        assert word in said
    return said


def everything_said(error: BaseException) -> str:
    """The message and its notes, as a traceback shows them."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])
