"""`status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evlog import segment, storage
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, rfc3339, show_one
from mlmd.cli.reading import Store, store_of
from mlmd.kinds import KINDS
from mlmd.opening import LOG_FOLDER

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings


@command(looks_back=True)
@with_settings
def status(settings: Settings) -> None:
    """Tell what the store holds and how it is.

    Examples:
    evlog status                 of the store here
    evlog -s my-store status --json
    evlog --at '#100' status     and the root of its log at that moment

    """
    with store_of(settings) as store:
        show_one(settings, status_of(store))


def status_of(store: Store) -> Row:
    """Return what there is to know of a store, as one row."""
    log, folder = store.log, store.place / LOG_FOLDER
    last = next(log.read(store.end - 1, store.end), None) if store.end else None
    counts = {kind.plural: store.view.ask(lambda lookup, kind=kind: lookup.count(kind.name)) for kind in KINDS}  # type: ignore[misc]
    tables = ("type", "event", "attribution", "association", "parent_context")
    links = {name: store.view.ask(lambda lookup, name=name: lookup.count(name)) for name in tables}  # type: ignore[misc]
    row: Row = {
        "store": str(store.place),
        "log_id": log.id.hex(),
        "records": store.end,
        "root": log.tip_at(store.end).tree.root().hex(),
        "segments": len(segment.bases(log.folder)),
        "bytes": sum(path.stat().st_size for path in folder.glob("*.seg")),
        "last_put": None,
        "types": links.pop("type"),
        **counts,
        "events": links.pop("event"),
        **{f"{name}s": count for name, count in links.items()},
        "view_behind": log.refresh() - store.end,
        "file_system": storage.file_system(folder),
        "quarantined": sum(1 for _ in folder.glob("quarantine/*")),
    }
    if last is not None:
        envelope = last.record.envelope
        row["last_put"] = {"time": rfc3339(last.time_us), "actor": envelope.actor, "api": envelope.api}
    if (doubt := storage.doubt(folder)) is not None:
        row["warning"] = doubt
    return row
