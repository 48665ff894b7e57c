"""`log`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import click

from evlog.records import NodePut
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, show_rows
from mlmd.cli.reading import Store, store_of
from mlmd.cli.settings import When
from mlmd.cli.things import in_short, names_of, parse_object, record_row
from replay.asof import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.records import Entry
    from mlmd.cli.moment import Moment
    from mlmd.cli.settings import Settings


@command(looks_back=True)
@with_settings
@click.argument("thing", metavar="[OBJECT]", required=False)
@click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="0: no limit.")
@click.option("--since", type=When(), metavar="WHEN", help="Only records put from then on.")
@click.option("--until", type=When(), metavar="WHEN", help="Only records put before.")
@click.option("--by", metavar="WHO", help="Only records of this actor.")
@click.option("--reverse", is_flag=True, help="The oldest first.")
def log(
    settings: Settings,
    thing: str | None,
    limit: int,
    since: Moment | None,
    until: Moment | None,
    by: str | None,
    reverse: bool,
) -> None:
    """Show the records, the newest first: who put what, when, through what, why.

    Examples:
    evlog log -n 5                      the last five
    evlog log run:1 --reverse           the life of a run, from its first record
    evlog log --since yesterday --by ana
    evlog log -n 0 -o jsonl             every record in full, one a line

    """
    with store_of(settings) as store:
        start = offset_of(store.log, since.at) if since else 0
        stop = min(store.end, offset_of(store.log, until.at) if until else store.end)
        about = parse_object(thing) if thing else None
        wanted = (about[0].name, about[1]) if about else None
        found = [(entry, row) for entry, row in records_about(store, wanted, start, stop) if by in (None, row["actor"])]
    kept = found[:limit] if limit and reverse else deque(found, maxlen=limit or None)
    entries = list(kept) if reverse else list(reversed(kept))
    rows = [row for _, row in entries]
    if settings.form == "table":
        for entry, row in entries:
            row["changes"] = in_short(entry.record.changes)
    columns = ["offset", "time", "actor", "application", "api", "changes"]
    if any(row["reason"] for row in rows):
        columns.append("reason")
    show_rows(settings, rows, columns, f"{len(rows):,} of {len(found):,} records")


def records_about(
    store: Store, wanted: tuple[str, int] | None, start: int = 0, stop: int | None = None, *, own: bool = False
) -> Iterator[tuple[Entry, Row]]:
    """Yield the records [start, stop) that touch a thing, or all; own: only those that put the thing itself."""
    for entry in store.log.read(start, store.end if stop is None else max(start, stop)):
        if wanted is None or any(wanted in names_of(change) and _fits(change, own) for change in entry.record.changes):
            yield entry, record_row(entry)


def _fits(change: Any, own: bool) -> bool:
    return not own or isinstance(change, NodePut)
