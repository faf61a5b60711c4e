"""How the tests of explanations make an error happen, and look at what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from socklens._explain import _budget

_UNKNOWN = re.compile(
    r"\bNone\b|[Uu]nknown|not found|no variable|no process|without a name|``|(?<!b)\"\"|\bof \.|^\.|Wait 0 s|  |<.* object at"
)


def explained(kind: type[BaseException], call: Callable[..., object], /, *args: Any, **kwargs: Any) -> sl.Diagnosis:
    """Makes the call, which must raise this kind, and explains the error while its frames are there."""
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    return patiently(caught.value)


def patiently(error: BaseException | sl.ServerError) -> sl.Diagnosis:
    """Explains it with all the time that it takes: what is seen must not depend on how busy this machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_budget, "LOOKING", 10.0)
        return can_be_done(sl.explain(error))


def can_be_done(diagnosis: sl.Diagnosis) -> sl.Diagnosis:
    """A next step names nothing that is not known."""
    step = diagnosis.next_step
    assert step.strip()
    if diagnosis.cause is not sl.Cause.NOT_TAKEN:  # those are the words of a message, which may be about None
        assert not _UNKNOWN.search(step), step
    return diagnosis


def seen(diagnosis: sl.Diagnosis) -> str:
    """All of the evidence, each fact with its source, one a line."""
    assert all(fact.source for fact in diagnosis.evidence), "each fact says where it was seen"
    return "\n".join(map(str, diagnosis.evidence))
