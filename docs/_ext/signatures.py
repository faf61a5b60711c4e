"""Signatures and types of the classes in Rust, from the stub: the built module tells names and documentation, the stub tells types.
Stubtest holds the stub against the module, so nothing is said twice here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, GetSetDescriptorType
from typing import Any

import socklens

STUB = Path(socklens.__file__).parent / "_socklens.pyi"
# What a reader has to know of the stub's own names.
ALIASES = {
    "_Timeout": "float | None",
    "_Endpoint": "str | tuple[str, int] | Address",
    "_How": "Literal['send', 'recv', 'both'] | int",
}


class Plain(ast.NodeTransformer):
    """Types as a reader meets them."""

    def visit_Name(self, node: ast.Name) -> ast.AST:  # as ast asks for it
        """An alias of the stub is shown as what it stands for."""
        return ast.parse(ALIASES[node.id], mode="eval").body if node.id in ALIASES else node


def plain(node: ast.expr | None) -> str:
    """A type, or a default, as text."""
    return "" if node is None else ast.unparse(Plain().visit(node))


def declarations() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function and method of the stub with its public name."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield f"socklens.{node.name}", node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"socklens.{node.name}.{member.name}", member


DECLARED = dict(declarations())


def arguments(node: ast.FunctionDef, *, bound: bool) -> str:
    """What stands between the parentheses, `self` and `cls` left out."""
    given = node.args
    if any(arg is not None and plain(arg.annotation) == "Never" for arg in (given.vararg, given.kwarg)):
        return ""  # nobody is meant to call it
    if bound:
        (given.posonlyargs or given.args).pop(0)
    shown = plain_arguments(given)
    if bound:
        (given.posonlyargs or given.args).insert(0, ast.arg("self"))
    return f"({shown})"


def plain_arguments(given: ast.arguments) -> str:
    """The arguments with their types; the stub's aliases are replaced where they stand."""
    Plain().visit(given)
    return ast.unparse(given)


def from_stub(
    _app: Any, kind: str, name: str, thing: object, _options: object, args: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """The signature as the stub has it, or None where the stub does not know the name."""
    if kind in {"class", "exception"}:
        made = DECLARED.get(f"{name}.__new__")
        if made:
            return arguments(made, bound=True), None
        # What calls give is not made by hand: how is shown where a docstring tells of its arguments.
        return None if args is None or "Args:" in (thing.__doc__ or "") else ("", None)
    found = DECLARED.get(name)
    if found is None or kind not in {"function", "method"}:
        return (readable(args), returned) if args else None
    return arguments(found, bound=kind == "method"), plain(found.returns)


def readable(args: str) -> str:
    """Arguments as Sphinx found them, with a timeout as the stub has it: `...` is how to leave it out, and no type to be given."""
    args = re.sub(r"~types\.EllipsisType \| | \| ~types\.EllipsisType", "", args)
    return re.sub(r"= Ellipsis\b", "= ...", re.sub(r"\bTimeout\b", ALIASES["_Timeout"], args))


def type_the_attributes() -> None:
    """An attribute of a class in Rust has no type to be found; a property with the same documentation has the stub's."""
    for kind in (thing for thing in vars(socklens).values() if isinstance(thing, type)):
        for name, found in list(vars(kind).items()):
            declared = DECLARED.get(f"socklens.{kind.__name__}.{name}")
            if isinstance(found, GetSetDescriptorType) and not name.startswith("_"):
                returned = plain(declared.returns) if declared else setting(kind.__name__, name)
                setattr(kind, name, typed(found, returned))


def setting(kind: str, name: str) -> str:
    """The type of what the stub declares as a plain attribute: it can be set."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == kind:
            for member in node.body:
                if isinstance(member, ast.AnnAssign) and ast.unparse(member.target) == name:
                    return plain(member.annotation)
    raise LookupError(f"{STUB.name} does not declare {kind}.{name}")


def typed(found: GetSetDescriptorType, returned: str) -> property:
    """A property in place of a descriptor."""

    def get(self: object) -> object:
        return found.__get__(self)

    get.__annotations__ = {"return": returned}
    return property(get, found.__set__, doc=found.__doc__)


def type_the_settings() -> None:
    """A property that a helper has made is declared with its type beside it, in the class; its getter does not know it."""
    modules = [module for name, module in sys.modules.items() if name.startswith("socklens.")]
    kinds = {thing for module in modules for thing in vars(module).values() if isinstance(thing, type)}
    for kind in (kind for kind in kinds if kind.__module__.startswith("socklens")):
        for name, declared in vars(kind).get("__annotations__", {}).items():
            found = vars(kind).get(name)
            if isinstance(found, property) and isinstance(found.fget, FunctionType):
                found.fget.__annotations__ = {"return": declared}


def name_their_rooms() -> None:
    """Public classes call themselves `socklens.X`; Sphinx looks for the comments of their attributes where they are written."""
    for name in socklens._LATER:
        thing = getattr(socklens, name)
        if isinstance(thing, type) and thing.__module__ == "socklens":
            written = next((value for value in vars(thing).values() if isinstance(value, FunctionType)), None)
            homes = [
                module.__name__
                for module in list(sys.modules.values())
                if module.__name__.startswith("socklens.") and vars(module).get(name) is thing
            ]
            thing.__module__ = (
                written.__globals__["__name__"] if written and written.__module__ in homes else max(homes, key=len)
            )


def quiet(_app: Any, _env: Any, node: Any, shown: Any) -> Any:
    """Types of Python's own, and those that only our own code has to know, are not described here; all that is public must be."""
    about_types = node.get("refdomain") == "py" and node.get("reftype") in {"class", "obj"}
    return shown if about_types and not public(node.get("reftarget", "")) else None


def public(target: str) -> bool:
    """Whether a whole name is promised to users: a module on its way lists it."""
    first, *rest = target.split(".")
    module: object = socklens if first == "socklens" else None
    for part in rest:
        if part in getattr(module, "__all__", ()):
            return True
        module = getattr(module, part, None)
    return False


def setup(app: Any) -> dict[str, bool]:
    """Tells Sphinx."""
    type_the_attributes()
    name_their_rooms()
    type_the_settings()
    app.connect("autodoc-process-signature", from_stub)
    app.connect("missing-reference", quiet)
    return {"parallel_read_safe": True}
