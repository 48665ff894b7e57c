"""The source of a function or class as its meaning: of what was loaded, not of what its file says by now.

Python keeps no source: it is read from the file, which may have been edited since. So the file is compiled again, nothing of it is run, and
what comes of it is compared with the code at hand, wherever it stands there: where they are the same, so is the source. Where they are
not, what was compiled stands for it: the digest is then neither that of the text before nor that of the text now, and a step runs again.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXT: Final = (
    "<string>"  # Where code says it is from that came as a text. Python may know lines by this name, of another text.
)
# Of functions: what a name stands for may change, their source does not, and to read it takes a millisecond.
_READ: Final[WeakKeyDictionary[FunctionType, tuple[CodeType, str]]] = WeakKeyDictionary()


def source_of(one: FunctionType | type) -> str:
    """Return the source without comments, docstrings and layout; where there is none, what was compiled."""
    if isinstance(one, type):
        return _read(one)
    known = _READ.get(one)
    if known is None or known[0] is not one.__code__:  # Somebody may have given it other code.
        known = _READ[one] = one.__code__, _read(one)
    return known[1]


def functions_of(one: FunctionType | type) -> list[FunctionType]:
    """Return the function, or the methods of a class in their order."""
    if isinstance(one, FunctionType):
        return [one]
    values = (getattr(value, "__func__", value) for value in vars(one).values())
    return [value for value in values if isinstance(value, FunctionType)]


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all that lie in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


def constant(value: Any) -> str | None:
    """Return a plain value as a text that no other one has, None for what is none, or holds itself."""
    try:
        return _told(value)
    except (TypeError, RecursionError):
        return None


def _told(value: Any) -> str:
    """Return a plain value as text. Raises TypeError for what is none."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)
    if kind in (list, tuple):
        return f"{kind.__name__}({','.join(map(_told, value))})"
    if kind in (set, frozenset):
        return f"set({','.join(sorted(map(_told, value)))})"
    if kind is dict:
        return f"dict({','.join(sorted(f'{_told(key)}:{_told(one)}' for key, one in value.items()))})"
    raise TypeError


def _read(one: FunctionType | type) -> str:
    try:
        found = _in_text(one)
        if found is None:
            return _bare(one)
        tree = _tree_of(found)
        return _bare(one) if isinstance(one, type) and not _has_values(one, tree) else ast.dump(_meaning(tree))
    except (OSError, TypeError, ValueError, SyntaxError):
        return _bare(one)


def _tree_of(found: CodeType | type) -> ast.Module:
    """Return the source of a code object of the text that is there now, or of a class, as a tree. Raises OSError, TypeError, SyntaxError."""
    if isinstance(found, type) and (file := inspect.getsourcefile(found)) is not None and Path(file).is_file():
        # By its name: from CPython 3.13 on a class knows the line on which it stood when it was loaded, and `inspect` reads what is there now.
        linecache.checkcache(file)
        node: ast.AST = ast.parse("".join(linecache.getlines(file)))
        for name in found.__qualname__.split("."):
            if name != "<locals>":
                inner = (one for one in ast.walk(node) if one is not node and getattr(one, "name", None) == name)
                node = next(inner, ast.Pass())
        if not isinstance(node, ast.ClassDef):
            raise OSError(f"{file} has no class {found.__qualname__} any more")
        return ast.Module([node], [])
    return ast.parse(textwrap.dedent(inspect.getsource(found)))


def _in_text(one: FunctionType | type) -> CodeType | type | None:
    """Return what stands for a function or class in the text that is there now; None where that is another one than was loaded."""
    found = [_in_file(function.__code__) for function in functions_of(one)]
    if None in found:
        return None
    return one if isinstance(one, type) else found[0]


def _in_file(code: CodeType) -> CodeType | None:
    """Return what its file has for a code object, which may stand elsewhere by now; None where it has another one."""
    if code.co_filename == _TEXT:
        return None
    try:
        now = Path(code.co_filename).stat()
    except (OSError, ValueError):  # A cell of a notebook, or in an archive: its text does not change.
        return code
    wanted = _compiled(code)
    there = _codes_of(code.co_filename, now.st_mtime_ns, now.st_size).get(code.co_qualname, ())
    return next((one for one in there if _compiled(one) == wanted), None)


@lru_cache(32)
def _codes_of(file: str, _mtime_ns: int, _size: int) -> dict[str, list[CodeType]]:
    """Return the code objects of a file, as it is at that time, by their names. Raises OSError, SyntaxError, ValueError."""
    found: dict[str, list[CodeType]] = {}
    for code in codes_in(compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)):
        found.setdefault(code.co_qualname, []).append(code)
    return found


def _has_values(one: type, tree: ast.Module) -> bool:
    """Tell whether the attributes of a class are those that its source gives them, as far as these are plain values."""
    for node in getattr(tree.body[0], "body", ()):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            try:
                written = constant(ast.literal_eval(node.value))
            except ValueError:  # No plain value.
                continue
            names = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            held = [constant(vars(one).get(name.id)) for name in names if isinstance(name, ast.Name)]
            if any(value not in (None, written) for value in held):
                return False
    return True


def _bare(one: FunctionType | type) -> str:
    """Return what was compiled, of a class its plain attributes too: all that there is of code that came as a text."""
    told: list[tuple[str, Any]] = [(function.__name__, _compiled(function.__code__)) for function in functions_of(one)]
    if isinstance(one, type):
        values = ((name, constant(value)) for name, value in sorted(vars(one).items()) if not name.startswith("__"))
        told += [(name, value) for name, value in values if value is not None]
    return repr(told)


def _compiled(code: CodeType) -> str:
    # `constant` first: the order of a set is that of hashes, which are others in each process.
    constants = [_compiled(one) if isinstance(one, CodeType) else constant(one) or repr(one) for one in code.co_consts]
    return repr((code.co_code.hex(), code.co_names, code.co_varnames, constants))


def _meaning(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # What a step is told, such as cache=True, is not what it does.
            node.decorator_list = [one for one in node.decorator_list if not _is_step(one)]
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
    return tree


def _is_step(decorator: ast.expr) -> bool:
    """Tell whether a decorator is `@s.step`, or `@step`, with or without what it is told."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "attr", getattr(called, "id", None)) == "step"
