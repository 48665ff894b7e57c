"""Which code ran: the digest of a function's source, the command line, the commit of git at hand. None of it runs anything.

The digest of a function is that of its own source, of its defaults, and of what its code names: the source of those functions and
classes which it calls, in modules of your own, and so on from there; and plain values (numbers, texts, lists, sets and dicts of them), as they are
now. A module of your own, which is one of the same package or one that is not installed, counts by what is named of it, as in `features.clean(x)`.
The source is that of what was loaded, whatever became of its file since: see `source`. It is not that of installed libraries, of data, nor of
what is found only while it runs (`getattr`, a method of an object that is handed in).
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import sysconfig
import time
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mlmd.errors import InvalidArgumentError
from mlmd.recorder import digests
from mlmd.recorder.source import codes_in, constant, functions_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COMMAND_MAX: Final = 1_000
_COMMIT_KEPT_S: Final = 5.0
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})  # Folders of what is installed.
_encode: Final = msgspec.json.Encoder(order="sorted").encode


# The digest of code -------------------------------------------------------------------------------------------------


def code_of(code: Any) -> str | None:
    """Return the digest of what is given as the code of a run. Raises InvalidArgumentError.

    code: a function or class (see above), a module or a path (its bytes), "sha256:HEX", or None for none.
    """
    if code is None:
        return None
    if isinstance(code, str) and not _exists(code):
        digest = digests.digits_of(code)
        if digest is None:
            raise InvalidArgumentError(
                f"code: {code!r} is neither a file nor a SHA-256: give a function, a module, a path or sha256:HEX"
            )
        return digest
    if isinstance(code, ModuleType):
        if not (place := getattr(code, "__file__", None)):
            raise InvalidArgumentError(
                f"code: the module {code.__name__} has no file: give a function, a path or sha256:HEX"
            )
        code = place
    if isinstance(code, str | os.PathLike):
        return digests.digest_of(Path(code)).digest.removeprefix(digests.PREFIX)
    function = _undecorated(code)
    if not isinstance(function, FunctionType | type):
        raise InvalidArgumentError(f"code: {code!r} has no source: give a function, a module, a path or sha256:HEX")
    return hashlib.sha256(_encode(_parts(function))).hexdigest()


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # Too long, or a zero byte.
        return False


def _parts(start: FunctionType | type) -> list[list[Any]]:
    """Return (name, source, constants) of a function and of all that it names, the first one first."""
    parts, waiting, seen = [], [start], {id(start)}
    while waiting:
        one = waiting.pop(0)
        constants = {}
        for name, value in _named(one, start):
            if isinstance(found := _undecorated(value), FunctionType | type):
                if id(found) not in seen and _near(found, start):
                    seen.add(id(found))
                    waiting.append(found)
            elif (told := constant(value)) is not None:
                constants[str(name)] = told
        parts.append([one.__qualname__, source_of(one), constants])
    return parts


def _undecorated(value: Any) -> Any:
    """Return the function behind decorators, which leave it in `__wrapped__`."""
    while "__wrapped__" in getattr(value, "__dict__", ()):
        value = value.__dict__["__wrapped__"]
    return value


def _named(one: FunctionType | type, start: FunctionType | type) -> Iterator[tuple[str, Any]]:
    """Yield what a function's code, or the methods of a class, find by name: in the module, in the functions around it, as defaults.

    start: where the search began: of modules that are near to it, what is named of them.
    """
    if isinstance(one, type):
        for base in one.__bases__:
            yield f"base {base.__name__}", base
        for function in functions_of(one):
            yield from _named(function, start)
        return
    for name, value in (*enumerate(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).items()):
        yield f"default {name}", value
    for code in codes_in(one.__code__):
        yield from _found(one.__globals__, code.co_names, start, "", set())
    for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # Not bound yet.
            continue


def _found(
    names: Mapping[str, Any], wanted: Sequence[str], start: FunctionType | type, prefix: str, seen: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield those names that code wants, and those of near modules among them: of `a.b.c` each part is a name of the code."""
    for name in wanted:
        if name not in names:
            continue
        value = names[name]
        yield prefix + name, value
        if isinstance(value, ModuleType) and value.__name__ not in seen and _is_own(value.__name__, start):
            seen.add(value.__name__)
            yield from _found(vars(value), wanted, start, f"{prefix}{name}.", seen)


def _near(value: FunctionType | type, start: FunctionType | type) -> bool:
    """Tell whether something is the user's own."""
    return _is_own(value.__module__ or "", start)


def _is_own(module: str, start: FunctionType | type) -> bool:
    """Tell whether a module is the user's own: of the package of the function, or not installed, such as one beside a notebook."""
    top = module.partition(".")[0]
    return top == (start.__module__ or "").partition(".")[0] or not _is_installed(top)


@cache
def _is_installed(top: str) -> bool:
    """Tell whether a package or module is of Python's library, installed, or ours; where it has no file it is taken for such."""
    place = getattr(sys.modules.get(top), "__file__", None)
    if place is None or top == __name__.partition(".")[0]:
        return True
    path = Path(place).resolve()
    return not _INSTALLED.isdisjoint(path.parts) or path.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


# Who runs it --------------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the command line of this process, cut where it is long."""
    try:
        return _joined(tuple(sys.argv))
    except TypeError:  # Somebody put something else there.
        return ""


@lru_cache(1)
def _joined(words: tuple[str, ...]) -> str:
    line = shlex.join(words)
    return line.encode(errors="replace").decode()[:_COMMAND_MAX]


class _Commit:
    """The commit that was checked out when it was last looked at."""

    until_s = 0.0
    place = ""
    found: str | None = None


_LAST: Final = _Commit()


def commit_at_hand() -> str | None:
    """Return the commit of git that is checked out where the process works, None where there is none. Files are read, nothing is run."""
    try:
        now_s, place = time.monotonic(), str(Path.cwd())
    except OSError:  # Somebody took the folder away.
        return None
    if now_s > _LAST.until_s or place != _LAST.place:
        _LAST.found, _LAST.place, _LAST.until_s = commit_of(Path(place)), place, now_s + _COMMIT_KEPT_S
    return _LAST.found


def commit_of(place: Path) -> str | None:
    """Return the commit that is checked out in the first folder from here upward that git knows."""
    for folder in (place, *place.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # A worktree or submodule: it says where its folder is.
                git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            if not git.is_dir():
                continue
            head = (git / "HEAD").read_text(encoding="ascii").strip()
            return _resolved(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
        except (OSError, ValueError):
            return None
    return None


def _resolved(git: Path, name: str) -> str | None:
    """Return the commit of a branch: in a file of its own, or packed with others."""
    common = git / "commondir"
    folders = [git, git / common.read_text(encoding="utf-8").strip()] if common.is_file() else [git]
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="ascii").strip()
    packed = folders[-1] / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
