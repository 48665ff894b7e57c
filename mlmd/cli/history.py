"""`log`."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from evlog.errors import FutureError
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_rows, talk
from mlmd.cli.reading import Store, store_of
from mlmd.cli.settings import When
from mlmd.cli.things import in_short, names_of, parse_named, record_row
from replay.asof import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.log import Log
    from evlog.records import Entry
    from mlmd.cli.settings import Settings
    from mlmd.cli.things import Named
    from mlmd.moment import Moment

_STRETCH_MIN: Final = 64
_STRETCH_MAX: Final = (
    16_384  # An active segment has no index: a stretch walks it from its start, so there should be few.
)


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
    evlog log type:Trainer              what became of a type
    evlog log run:1 --reverse           the life of a run, from its first record
    evlog log --since yesterday --by ana
    evlog log -n 0 -o jsonl             every record in full, one a line

    """
    with store_of(settings) as store:
        start, stop = _range(store, since, until)
        wanted = parse_named(thing) if thing else None
        found = records_about(store, wanted, start, stop, newest_first=not reverse)
        entries = list(islice((one for one in found if by in (None, one.record.envelope.actor)), limit or None))
    rows = [record_row(entry) for entry in entries]
    if settings.form == "table":
        for entry, row in zip(entries, rows, strict=True):
            row["changes"] = in_short(entry.record.changes)
    columns = ["offset", "time", "actor", "application", "api", "changes", "reason"]
    show_rows(settings, rows, columns, f"{len(rows):,} of {store.end:,} records")
    if settings.form != "table" and limit and len(rows) == limit:
        talk(settings, f"{limit:,} records, which is the limit: -n 0 for all")


def _range(store: Store, since: Moment | None, until: Moment | None) -> tuple[int, int]:
    """Return the records [start, stop) that were asked for. Raises FutureError for a start that the log has not reached."""
    start, stop = 0, store.end
    if since is not None:
        # An offset counts the records up to a time, and what was put at that very time was put since then.
        start = offset_of(store.log, since.at if isinstance(since.at, int) else since.at - timedelta(microseconds=1))
    if until is not None:
        with contextlib.suppress(FutureError):  # Nothing was put in the future: until then is until now.
            stop = min(stop, offset_of(store.log, until.at))
    return start, stop


def records_about(
    store: Store, wanted: Named | None, start: int = 0, stop: int | None = None, *, newest_first: bool = False
) -> Iterator[Entry]:
    """Yield the records [start, stop) that touch a thing, or all."""
    stop = store.end if stop is None else stop
    entries = _backward(store.log, start, stop) if newest_first else store.log.read(start, max(start, stop))
    for entry in entries:
        if wanted is None or any(wanted in names_of(change) for change in entry.record.changes):
            yield entry


def _backward(log: Log, start: int, stop: int) -> Iterator[Entry]:
    """Yield records, the last one first. Stretches grow: whoever wants twenty reads few, whoever wants all reads fast."""
    size = _STRETCH_MIN
    while start < stop:
        first = max(start, stop - size)
        yield from reversed(list(log.read(first, stop)))
        stop, size = first, min(size * 4, _STRETCH_MAX)
