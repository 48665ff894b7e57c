"""What is said of a node in a picture and in a tree: the same words in both."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mlmd.display.cells import printable, time_of

if TYPE_CHECKING:
    from mlmd.display.graph import Node

TAINTED: Final[str] = "tainted"
CACHED: Final[str] = "cached"
LOST: Final[str] = "lost"
LIVE: Final[str] = "live"
UNBORN: Final[str] = "not yet"  # At the moment that is shown.
ADDED: Final[str] = "added"  # Since the moment that it is compared with; so are the next two.
CHANGED: Final[str] = "changed"
GONE: Final[str] = "gone"
ONLY: Final = "only "  # And of which of several runs, where they are compared.
_UNFINISHED: Final = frozenset({"NEW", "RUNNING", "PENDING"})
UNREMARKABLE: Final = frozenset({"", "UNKNOWN", "LIVE"})
_DAY: Final = "%d %b %Y"
_DAY_MS: Final = 86_400_000


def title(node: Node) -> str:
    """Return what a node is called: an artifact by its label, a run with its type before it."""
    if node.kind == "artifact" or not node.type:
        return printable(node.label)
    return printable(f"{node.type} {node.label}")


def remarks(node: Node) -> list[str]:
    """Return what else is to be said, in the order of weight: flags, type of an artifact, state, day."""
    said: list[str] = [flag for flag in (UNBORN, GONE, ADDED, CHANGED, TAINTED, LOST, LIVE) if flag in node.flags]
    said += sorted(flag for flag in node.flags if flag.startswith(ONLY))
    if node.kind == "artifact":
        said.append(node.type)
    if LOST not in node.flags and node.state not in UNREMARKABLE:
        said.append(node.state)
    if CACHED in node.flags and node.state != "CACHED":
        said.append(CACHED)
    said.append(_day(node.time_ms // _DAY_MS))
    return [printable(one) for one in said if one]


@lru_cache(1024)
def _day(number: int) -> str:
    """Return a day by its number, in UTC; nothing for the first, which stands for none."""
    time = time_of(number * _DAY_MS)
    return "" if time is None else f"{time:{_DAY}}".removeprefix("0")


def unfinished(node: Node) -> bool:
    """Tell whether there is, or was, more to come."""
    return not {LOST, UNBORN}.isdisjoint(node.flags) or node.state in _UNFINISHED


def hidden_in_words(node: Node, count: int) -> str:
    """Return how many neighbours of a node are not shown."""
    other = "run" if node.kind == "artifact" else "artifact"
    return f"+{count:,} {other}{'' if count == 1 else 's'}"
