"""Taint: what is not to be used, and everything made from it, marked in one record, with the reason; and the mark taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmd.errors import InvalidArgumentError
from mlmd.marking import FORETELL, TAINT, Taint, Tainted
from mlmd.names import name_of
from mlmd.recorder.references import thing_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlmd.store import MetadataStore


def taint(store: MetadataStore, things: Any, because: str, *, downstream: bool = True) -> Tainted:
    """Mark artifacts or runs, and everything made from them, as not to be used; return what was marked. One record, or none.

    things: one or several, named in any way. What is marked already keeps its reason. downstream: False for the things alone. Raises
    InvalidArgumentError, NotFoundError.
    """
    return _put(store, things, because, Taint((), because, downstream))


def foretell(store: MetadataStore, things: Any, *, downstream: bool = True, away: bool = False) -> Tainted:
    """Return what a taint would mark; away: from what `untaint` would take the mark. Raises as `taint`."""
    done: Tainted = store.answer(FORETELL, Taint(_named(store, things), None if away else "", downstream))
    return done


def untaint(store: MetadataStore, things: Any, because: str, *, downstream: bool = True) -> Tainted:
    """Take the mark away from artifacts or runs, and from what was made from them and bears the same one; return from which.

    because: why that is right now, for the record. Raises InvalidArgumentError, NotFoundError.
    """
    return _put(store, things, because, Taint((), None, downstream))


def _put(store: MetadataStore, things: Any, because: str, wanted: Taint) -> Tainted:
    things = _named(store, things)
    with store.acting(reason=because):
        done: Tainted = store.answer(TAINT, wanted._replace(things=things))
    return done


def _named(store: MetadataStore, things: Any) -> tuple[Any, ...]:
    """Return what is named as (kind, id)."""
    named = tuple(dict.fromkeys(thing_of(store, one) for one in several(things)))
    if not named:
        raise InvalidArgumentError("taint what? name an artifact or a run, such as taxi:7 or run:5")
    for thing in named:
        if thing[0] not in ("artifact", "execution"):
            raise InvalidArgumentError(f"{name_of(thing)}: only artifacts and runs can be tainted")
    return named


def several(things: Any) -> Iterable[Any]:
    """Return one thing, or several, as several."""
    return things if isinstance(things, list | tuple | set | frozenset) else (things,)
