"""`make oldest` tries what pyproject.toml admits: each lower bound, of all that the tests need."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_EXTRAS: Final = re.compile(r"evlog-mlmd\[([\w,]+)\]")
_BOUND: Final = re.compile(r"([\w-]+(?:\[\w+\])?)>=([\d.]+)")


def test_make_oldest_installs_the_lowest_version_of_each_library_that_is_admitted() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = _EXTRAS.search(extras["test"][0])
    assert found is not None
    wanted = [*project["dependencies"], *(one for extra in found[1].split(",") for one in extras[extra])]
    bounds = dict(map(_parts, wanted))
    bounds |= {name: bound for name, bound in map(_parts, extras["test"][1:]) if name in bounds}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"([\w-]+(?:\[\w+\])?)==([\d.]+)", makefile))
    assert {name: bound for name, bound in bounds.items() if not _is(pinned.get(name), bound)} == {}


def _parts(requirement: str) -> tuple[str, str]:
    found = _BOUND.fullmatch(requirement)
    assert found is not None, requirement
    return found[1], found[2]


def _is(pinned: str | None, bound: str) -> bool:
    """Tell whether a version is the lowest that a bound admits: 8.2.0 of 8.2, and 3.54.1.0 of 3.54, whose first it is."""
    return pinned is not None and (pinned + ".").startswith(bound + ".")
