"""Documentation of attributes where IPython looks for it. Changes how they are described, never what they do."""

from __future__ import annotations


def explain_attributes(*kinds: type) -> None:
    """Makes Shift-Tab on ``conn.timeout`` show what a timeout is, and not what a float is.

    IPython shows the documentation of an attribute, instead of its value's, only if it is one of Python's own properties.
    """
    for kind in kinds:
        for name, found in list(vars(kind).items()):
            if type(found).__name__ == "getset_descriptor" and not name.startswith("_"):
                setattr(kind, name, property(found.__get__, found.__set__, doc=found.__doc__))
