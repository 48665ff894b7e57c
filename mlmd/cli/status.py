"""`status`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evlog import segment, storage
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, local_time, rfc3339, show_one
from mlmd.cli.reading import Served, Store, gets_of, types_of
from mlmd.kinds import KINDS, SYSTEM_TYPES
from mlmd.names import SHORT
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, anchored_size, newest_checkpoint
from mlmd.store import ListOptions, OrderByField
from projections.sqlite.view import peek

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


@command(looks_back=True)
@with_settings
def status(settings: Settings) -> None:
    """Tell what the store holds and how it is.

    Examples:
    evlog status                 of the store here
    evlog -s my-store status --json
    evlog -s host:8080 status    what a server tells of its store: less, for the log is its own
    evlog --at '#100' status     and the root of its log at that moment

    """
    with gets_of(settings) as store:
        row = status_of(store) if isinstance(store, Store) else _of_server(store)
    if settings.form == "table":
        row = {name: _in_words(name, value) for name, value in row.items()}
    show_one(settings, row)


def status_of(store: Store) -> Row:
    """Return what there is to know of a store, as one row."""
    log, folder = store.log, store.place / LOG_FOLDER
    last = next(log.read(store.end - 1, store.end), None) if store.end else None
    counts = {kind.plural: store.ask(lambda lookup, kind=kind: lookup.count(kind.name)) for kind in KINDS}  # type: ignore[misc]
    tables = ("type", "event", "attribution", "association", "parent_context")
    links = {name: store.ask(lambda lookup, name=name: lookup.count(name)) for name in tables}  # type: ignore[misc]
    signed = newest_checkpoint(store.place / TLOG_FOLDER)
    seen = peek(store.place / VIEWS_FOLDER)
    bases, names = segment.bases(log.folder), frozenset(log.folder.names())
    size = sum(segment.size_of(log.folder, base) for base in bases)
    on_disk = _bytes_of_segments(folder)
    row: Row = {
        "store": str(store.place),
        "log_id": log.id.hex(),
        "records": store.end,
        "root": log.tip_at(store.end).tree.root().hex(),
        "segments": len(bases),
        "compressed": sum(segment.name_of(base) not in names for base in bases),
        "bytes": size,
        "bytes_on_disk": on_disk,
        "ratio": round(size / on_disk, 2) if on_disk else None,
        "last_put": None,
        "types": max(0, links.pop("type") - len(SYSTEM_TYPES)),  # Those that `evlog types` lists.
        **counts,
        "events": links.pop("event"),
        **{f"{name}s": count for name, count in links.items()},
        "view_behind": log.refresh() - seen[1] if seen is not None and seen[0] == log.id else None,
        "signed_records": signed.size if signed is not None and signed.origin == log.origin else None,
        "anchored_records": anchored_size(store.place) or None,
        "file_system": storage.file_system(folder),
        "quarantined": sum(1 for _ in folder.glob("quarantine/*")),
    }
    if last is not None:
        envelope = last.record.envelope
        row["last_put"] = {
            "offset": last.offset,
            "time": rfc3339(last.time_us),
            "actor": envelope.actor,
            "application": envelope.application,
            "api": envelope.api,
        }
    if (doubt := storage.doubt(folder)) is not None:
        row["warning"] = doubt
    return row


def _of_server(store: Served) -> Row:
    """Return what a server tells of its store: its types, and what was put last of each kind."""
    row: Row = {"store": str(store.place), "types": 0}
    for kind in KINDS:
        row["types"] += len(types_of(store, kind))
        options = ListOptions(limit=1, order_by=OrderByField.UPDATE_TIME, is_asc=False)
        last = getattr(store.metadata, f"get_{kind.plural}")(list_options=options)
        row[f"last_{kind.name}"] = [
            {
                "id": f"{SHORT[kind.name]}:{one.id}",
                "type": one.type,
                "time": rfc3339(one.last_update_time_since_epoch * 1000),
            }
            for one in last
        ]
    return row


def _bytes_of_segments(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.seg*"):
        with suppress(FileNotFoundError):  # It was replaced by its compressed form just now.
            total += path.stat().st_size
    return total


def _in_words(name: str, value: Any) -> Any:
    """Return a field as people read it."""
    if name == "last_put" and value is not None:
        who = f"by {value['actor']} through {value['application']}, {value['api']}"
        return f"#{value['offset']:,}  {local_time(value['time'])}  {who}"
    if name == "view_behind":
        return "there is no view; evlog replay makes it" if value is None else f"{value:,} records" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value
