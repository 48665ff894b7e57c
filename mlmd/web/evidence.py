"""The evidence page: what stands for the store, checkpoints, anchors and keys, and what an auditor asks for first."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog import identity
from evlog.errors import EvidenceError
from evlog.files import RealFolder
from evlog.recovery import QUARANTINE
from evlog.tlog import anchors
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.archive import CHECKPOINT, CHECKPOINTS, sizes
from evlog.tlog.publisher import POLICY
from evlog.tlog.shelf import FolderShelf
from mlmd.display.tables import Table
from mlmd.names import SHORT
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER
from mlmd.recorder.search import every
from mlmd.recorder.standing import why_tainted
from mlmd.web.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlmd.web.view import View

_KEPT_SHOWN: Final = 20
_TAINTED_SHOWN: Final = 200
_FILES_SHOWN: Final = 200


def evidence_page(view: View) -> Page:
    """Return the page of what stands for the store."""
    look = view.site.notable.look(view.offset)
    for gap in look.gaps:
        view.miss(gap.damage)
    facts = {
        "verified": msgspec.to_builtins(view.site.watch()),
        "notable": look.rows,
        "read": look.read,
        "tainted": list(islice(_tainted(view), _TAINTED_SHOWN)),
        "tainted_shown_max": _TAINTED_SHOWN,
        **_published(view.site.place),
    }
    columns = ("offset", "time", "kind", "actor", "reason", "what")
    table = Table(columns, [[row[name] for name in columns] for row in look.rows])
    return Page(
        "evidence.html", "Evidence", facts, table=table, command="evlog verify", python=view.python(".prove('#0')", "")
    )


def _tainted(view: View) -> Iterator[dict[str, Any]]:
    """Yield what is tainted at the moment that is looked at, and why."""
    for kind in ("artifact", "execution"):
        for node in every(view.store.metadata, kind, "tainted"):
            yield {
                "object": f"{SHORT[kind]}:{node.id}",
                "type": node.type,
                "name": node.name,
                "reason": why_tainted(node),
            }


def _published(place: Path | None) -> dict[str, Any]:
    """Return what was signed, where copies are, and what was cut off or replaced; of a store in memory nothing."""
    if place is None:
        return {"checkpoints": [], "checkpoints_kept": 0, "newest": "", "anchors": [], "policy": "", "quarantine": []}
    shelf = FolderShelf(place / TLOG_FOLDER)
    kept = sizes(shelf)
    return {
        "checkpoints": [checkpoint_facts(shelf, size) for size in kept[: -_KEPT_SHOWN - 1 : -1]],
        "checkpoints_kept": len(kept),
        "newest": (shelf.read(CHECKPOINT) or b"").decode(errors="replace"),
        "anchors": [_anchor(one, identity.read(RealFolder(place / LOG_FOLDER))) for one in anchors.places_of(place)],
        "policy": (shelf.read(POLICY) or b"").decode(errors="replace"),
        "quarantine": _files(place / LOG_FOLDER / QUARANTINE),
    }


def checkpoint_facts(shelf: FolderShelf, size: int) -> dict[str, Any]:
    """Return a checkpoint that is kept: who signed it, as it says, is not checked here but by the watch."""
    made = _modified(shelf.place / CHECKPOINTS / str(size))
    try:
        signed = checkpoints.parse(shelf.read(f"{CHECKPOINTS}/{size}") or b"")
    except EvidenceError as error:
        return {"size": size, "time": made, "root": None, "signed_by": [], "why": str(error)}
    signers = [one.name for one in signed.note.signatures]
    root = signed.checkpoint.root.hex()
    return {"size": size, "time": made, "root": root, "signed_by": signers, "why": ""}


def _anchor(place: Path, ident: identity.Identity) -> dict[str, Any]:
    """Return what is at a place that holds copies of checkpoints: size and time of the newest, or why it cannot be read."""
    told: dict[str, Any] = {"place": str(place), "copies": 0, "size": None, "time": None, "why": ""}
    try:
        copies = anchors.copies_at(place, ident)
        if not copies:
            return told | {"why": "there is no copy of a checkpoint of this log"}
        size = anchors.read(copies[-1], ident).signed.checkpoint.size
    except (EvidenceError, OSError) as error:
        return told | {"why": str(error)}
    return told | {"copies": len(copies), "size": size, "time": _modified(copies[-1])}


def _files(folder: Path) -> list[dict[str, Any]]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [{"name": one.name, "bytes": one.stat().st_size, "time": _modified(one)} for one in found[:_FILES_SHOWN]]


def _modified(path: Path) -> str | None:
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return None
