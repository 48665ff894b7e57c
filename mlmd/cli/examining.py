"""What `doctor` finds out about the environment: interpreter, libraries, extras, settings. Nothing here knows a store."""

from __future__ import annotations

import os
import platform
import re
import sys
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mlmd import __version__, places
from mlmd.cli.refusal import UPGRADE
from mlmd.cli.settings import ROW_FORMATS
from mlmd.looking import Checked
from mlmd.serving import access, tokens
from mlmd.serving.tokens import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DISTRIBUTION: Final = "evlog-mlmd"
PYTHONS: Final = ((3, 11), (3, 13))  # The first and the last that are tried.
_PREFIX: Final = "EVLOG_"
_OF_WORK: Final = ("test", "dev")  # Extras of those who work on it.
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[\w.-]+)(\[[\w,-]+\])?(?P<least>>=[\d.]+)?[^;]*(;.*extra == ['\"](?P<extra>\w+)['\"])?"
)


def environment() -> Iterator[Checked]:
    """Yield what there is to say of interpreter, libraries, extras and settings."""
    yield _python()
    yield from _libraries()
    yield from settings_of(os.environ)


def _python() -> Checked:
    version, first, last = sys.version_info[:2], *PYTHONS
    told = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    if version < first:
        return Checked("python", "bad", f"{told}: too old", f"Python {first[0]}.{first[1]} or newer")
    if version > last:
        return Checked("python", "note", f"{told}: newer than {last[0]}.{last[1]}, the newest that was tried")
    return Checked("python", "ok", told)


def _libraries() -> Iterator[Checked]:
    """Yield evlog itself, what it needs, and each extra: all of it there, or the line that installs it."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Checked(
            "evlog", "note", f"{__version__}, not installed: run from its folder", f"pip install {DISTRIBUTION}"
        )
        return
    groups: dict[str, list[tuple[str, str]]] = {"": []}
    for text in required:
        match = _REQUIREMENT.match(text)
        if match is not None and match["name"] != DISTRIBUTION and match["extra"] not in _OF_WORK:
            groups.setdefault(match["extra"] or "", []).append(
                (match["name"], (match["least"] or "").removeprefix(">="))
            )
    yield _group("evlog", groups.pop(""), f"{__version__}, ", "bad", UPGRADE)
    for extra, wanted in sorted(groups.items()):
        yield _group(f"extra {extra}", wanted, "", "note", f"pip install '{DISTRIBUTION}[{extra}]'")


def _group(
    check: str, wanted: list[tuple[str, str]], before: str, state: Literal["note", "bad"], install: str
) -> Checked:
    there, lacking = [], []
    for name, least in wanted:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            lacking.append(f"{name} is not installed")
            continue
        if least and _numbers(version) < _numbers(least):
            lacking.append(f"{name} {version} is older than {least}")
        there.append(f"{name} {version}")
    if lacking:
        return Checked(check, state, before + ", ".join(lacking), install)
    return Checked(check, "ok", before + ", ".join(there))


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what makes it a candidate."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


# Settings ------------------------------------------------------------------------------------------------------------


def _store(value: str) -> str | None:
    try:
        places.parse(value)
    except ValueError as error:
        return str(error)
    return None


def _file(value: str) -> str | None:
    return None if Path(value).is_file() else "there is no such file"


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: None if value in words else f"it is one of {', '.join(words)}"


def _any(_value: str) -> None:
    return None


# What each setting must be: returns what is wrong with a value, None for a good one.
SETTINGS: Final[dict[str, Callable[[str], str | None]]] = {
    "EVLOG_STORE": _store,
    "EVLOG_OUTPUT": _one_of(*ROW_FORMATS),
    "EVLOG_ACTOR": _any,
    "EVLOG_REASON": _any,
    "EVLOG_APPLICATION": _any,
    "EVLOG_KEY": _file,
    "EVLOG_ACTOR_KEY": _file,
    "EVLOG_COMPRESS": _one_of("on", "off"),
    access.DAYS: access.wrong_days,
    TOKEN: lambda value: None if value.startswith(tokens.START) else f"it does not begin with {tokens.START}",
}
_SECRET: Final = frozenset({TOKEN})  # Never told: what a doctor prints is sent to others.


def settings_of(variables: os._Environ[str] | dict[str, str]) -> Iterator[Checked]:
    """Yield each setting that is made, and what is wrong with it."""
    for name in sorted(name for name in variables if name.startswith(_PREFIX)):
        value, shown = variables[name], "..." if name in _SECRET else variables[name]
        if name not in SETTINGS:
            near = get_close_matches(name, SETTINGS, 1)
            meant = f"; {near[0]} may be meant" if near else ""
            yield Checked("setting", "note", f"{name}: there is no such setting{meant}", f"unset {name}")
        elif value and (wrong := SETTINGS[name](value)) is not None:
            yield Checked("setting", "bad", f"{name}={shown}: {wrong}", f"unset {name}, or set it right")
        else:
            yield Checked("setting", "ok", f"{name}={shown}" if value else f"{name} is empty, which is not set")
