"""Operations: how far the views are, what lies on the disk, who may come in, what was slow, what doctor finds. For who runs the store."""

from __future__ import annotations

import platform
import shutil
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evlog import segment, storage
from evlog.errors import LogError
from evlog.files import RealFolder
from evlog.records import REMARKS
from evlog.subject_keys import SubjectKeys
from mlmd import __version__
from mlmd.display.tables import Table
from mlmd.looking import LOOKS, Checked
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, anchored_size, newest_checkpoint
from mlmd.places import command_of
from mlmd.serving.tokens import TokensError, tokens_of
from mlmd.web.page import Page
from mlmd.web.records import by
from mlmd.web.slow import SLOW_S
from mlmd.web.view import Param
from mlmd.web.words import instant
from projections.sqlite.lookup import Lookup
from replay.things import provenance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evlog.log import Log
    from evlog.records import Entry
    from mlmd.web.view import View

PARAMS: Final = (
    Param("look", "Look at everything that evlog doctor looks at, too: it takes a moment.", default=False),
)
_LIBRARIES: Final = ("apsw", "duckdb", "starlette", "uvicorn", "protobuf", "grpcio", "cryptography")
_NOTABLE_SEEN: Final = 2_000
_NOTABLE_SHOWN: Final = 50
_NOTABLE_STEP: Final = 25
_NOTABLE_S: Final = 0.05
_IMPORT: Final = "Import"
_HEAD: Final = "HEAD"


def ops_page(view: View) -> Page:
    """Return the page. It is of now, whatever moment is asked for: a disk has no past."""
    place, log = view.site.place, view.site.engine.log
    looked = list(look(place)) if view["look"] and place is not None else None
    facts = {
        "versions": versions(),
        "server": _server(view),
        "store": {
            "place": None if place is None else str(place),
            "log": log.id.hex(),
            "writable": view.site.engine.writable,
        },
        "log": _log(log, place),
        "views": _views(view),
        "signed": None if place is None else _signed(log, place),
        "copies": [] if place is None else _copies(log, place),
        "tokens": _tokens(view),
        "slow": [
            {"time": instant(one.time_ms), "request": one.request, "status": one.status, "took_s": round(one.took_s, 3)}
            for one in view.site.slowest.newest()
        ],
        "slow_s": SLOW_S,
        **_notable(view, log),
        "looked": None if looked is None else [one._asdict() for one in looked],
    }
    table = None if looked is None else Table(Checked._fields, looked)
    return Page("ops.html", "Operations", facts, table=table, command="evlog doctor")


def health_of(view: View) -> dict[str, Any]:
    """Return the little of this that the first page says. No fact of the records that it cites: it is of now."""
    place, log = view.site.place, view.site.engine.log
    return {
        "log": _log(log, place),
        "views": _views(view),
        "signed": None if place is None else _signed(log, place),
        "copies": [] if place is None else _copies(log, place),
    }


def versions() -> dict[str, str]:
    """Return the versions of evlog, Python and the libraries that there are."""
    found = {"evlog": __version__, "python": f"{platform.python_implementation()} {platform.python_version()}"}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _server(view: View) -> dict[str, Any]:
    slowest = view.site.slowest
    return {
        "since": instant(int(slowest.since_s * 1000)),
        "up_s": round(time.time() - slowest.since_s, 1),
        "requests": slowest.requests,
    }


def _log(log: Log, place: Path | None) -> dict[str, Any]:
    """Return what the log is made of: segments, those compressed, bytes of records and on the disk, and room there."""
    bases, names = segment.bases(log.folder), frozenset(log.folder.names())
    found: dict[str, Any] = {
        "records": log.refresh(),
        "segments": len(bases),
        "sealed": max(0, len(bases) - 1),
        "compressed": sum(segment.name_of(base) not in names for base in bases),
        "bytes": sum(segment.size_of(log.folder, base) for base in bases),
    }
    if place is not None:
        folder = place / LOG_FOLDER
        found |= {
            "bytes_on_disk": _bytes_in(folder, "*.seg*"),
            "views_on_disk": _bytes_in(place / VIEWS_FOLDER, "*"),
            "free": shutil.disk_usage(folder).free,
            "file_system": storage.file_system(folder),
            "doubt": storage.doubt(folder),
            "quarantined": sum(1 for _ in folder.glob("quarantine/*")),
        }
    return found


def _bytes_in(folder: Path, pattern: str) -> int:
    total = 0
    for path in folder.glob(pattern):
        with suppress(OSError):  # Replaced just now.
            total += 0 if path.is_symlink() else path.stat().st_size
    return total


def _views(view: View) -> dict[str, Any]:
    """Return how far the serving view is, and which properties have an index."""
    applied = view.site.engine.review(lambda _log, shown, _end: shown.ask(Lookup.applied))
    indexes = view.site.engine.review(lambda _log, shown, _end: shown.ask(Lookup.indexed_properties))
    return {
        "applied": applied,
        "behind": max(0, view.site.engine.log.refresh() - applied),
        "indexed": [" ".join(one) for one in indexes],
        "in_memory": view.site.engine.views is None,
    }


def _signed(log: Log, place: Path) -> dict[str, Any]:
    """Return how many records the newest signed checkpoint covers, and how many a copy of one elsewhere."""
    signed = newest_checkpoint(place / TLOG_FOLDER)
    known = signed is not None and signed.origin == log.origin
    try:
        anchored = anchored_size(place) or None
    except LogError:  # The chip of the evidence says what is wrong.
        anchored = None
    return {
        "records": signed.size if signed is not None and known else None,
        "uncovered": log.end - signed.size if signed is not None and known else None,
        "anchored": anchored,
    }


def _copies(log: Log, place: Path) -> list[dict[str, Any]]:
    """Return the copies that the store remembers, because what is personal has to be erased there too, and when each was written last."""
    try:
        known = SubjectKeys(RealFolder(place / LOG_FOLDER), log.id).published()
    except LogError:  # The look of doctor tells.
        return []
    return [{"kind": one.kind or "copy", "place": one.path, "written": _written(Path(one.path))} for one in known]


def _written(copy: Path) -> str | None:
    """Return when a backup or a snapshot was written last, None for one that is not within reach."""
    for file in (copy / LOG_FOLDER / _HEAD, copy):
        with suppress(OSError):
            return instant(int(file.stat().st_mtime * 1000))
    return None


def _tokens(view: View) -> dict[str, Any] | None:
    """Return who may come in, by name: no secret is known here. None for a store that never had a token."""
    tokens = tokens_of(view.site.engine)
    try:
        known = None if tokens is None else tokens.known()
    except TokensError as error:
        return {"wrong": str(error), "rows": []}
    if known is None:
        return None
    rows = [
        {
            "name": one.name,
            "role": one.role,
            "tail": one.tail,
            "made": instant(one.made_ms),
            "expires": None if one.expires_ms is None else instant(one.expires_ms),
            "over": one.is_over(),
        }
        for one in known
    ]
    return {"wrong": None, "rows": rows}


def _notable(view: View, log: Log) -> dict[str, Any]:
    """Return what happened to the store itself, the newest first: imports, recoveries, repairs, erasures.

    Of the newest records, as many as are read in a moment: a record may be one put, or a thousand.
    """
    stop, started = log.refresh(), time.perf_counter()
    end, found = stop, list[dict[str, Any]]()
    while stop > 0 and end - stop < _NOTABLE_SEEN and time.perf_counter() - started < _NOTABLE_S:
        start = max(0, stop - _NOTABLE_STEP)
        found += reversed([_happened(one) for one in view.readable(log.read, start, stop) if _is_notable(one)])
        stop = start
    return {"notable": found[:_NOTABLE_SHOWN], "notable_seen": end - stop}


def _is_notable(entry: Entry) -> bool:
    record = entry.record
    return record.envelope.api == _IMPORT or any(isinstance(change, REMARKS) for change in record.changes)


def _happened(entry: Entry) -> dict[str, Any]:
    return {**by(provenance_of(entry)), "api": entry.record.envelope.api}


def look(place: Path) -> Iterator[Checked]:
    """Yield what doctor finds of a store. What a look meets is a finding, and the next one goes on."""
    for check, looks in LOOKS.items():
        yield from _looked(check, looks, place)


def _looked(check: str, looks: Callable[[Path], Iterator[Checked]], place: Path) -> Iterator[Checked]:
    try:
        yield from looks(place)
    except Exception as error:  # noqa: BLE001 - as above
        yield Checked(
            check, "bad", f"{type(error).__name__}: {' '.join(str(error).split())}", f"{command_of(place)} doctor"
        )
