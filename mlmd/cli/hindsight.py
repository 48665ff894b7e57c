"""`diff` and `blame`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from mlmd import moment
from mlmd.changes import difference_in_words, difference_row
from mlmd.cli.command import command, with_settings
from mlmd.cli.history import refuse_unknown, refuse_unknown_types
from mlmd.cli.output import WORDS, local_time, rfc3339, show_rows
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import store_of
from mlmd.cli.settings import When
from mlmd.cli.things import RECORD_FIELDS, provenance_row, thing_named
from mlmd.plain import plain
from projections.sqlite.lookup import Lookup
from replay.asof import offset_of
from replay.differences import diff as diff_between
from replay.versions import blame as blame_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.cli.output import Row
    from mlmd.cli.reading import Store
    from mlmd.cli.settings import Settings
    from mlmd.moment import Moment
    from replay.differences import Diff
    from replay.things import Difference

DEFAULT_FROM: Final = "yesterday"
_TABLE: Final = ("", "thing", "type", "name", "change", "actor", "offset")
_FIELDS: Final = ("what", "kind", "thing", "type", "name", "fields", *RECORD_FIELDS)


@command(looks_back=True, lists=True)
@with_settings
@click.argument("since", metavar="[FROM]", type=When(), required=False)
@click.argument("until", metavar="[TO]", type=When(), required=False)
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    help="Only this type, its nodes and what links them; may be repeated.",
)
def diff(settings: Settings, since: Moment | None, until: Moment | None, types: tuple[str, ...]) -> None:
    """Tell what happened between two moments: what was added, changed field by field, linked, and by whom last.

    FROM is yesterday and TO is now, if they are not given. With FROM alone --at stands for TO, with neither for FROM. What was changed
    and changed back in between is no difference.

    Examples:
    evlog diff                        since yesterday
    evlog diff '#3' '#10'             what the records 3 to 9 did
    evlog diff 2h --type Trainer      of one type
    evlog --at '#6' diff now          from that moment until now
    evlog diff '#3' -o jsonl          a difference a line, for a program

    """
    first, last = _moments(settings, since, until)
    with store_of(settings) as store, progress_of(settings, "comparing") as progress:
        start, stop = sorted(min(offset_of(store.log, store.settled(one)), store.end) for one in (first, last))
        names = store.ask(Lookup.type_names)
        refuse_unknown_types(store, types)
        found = diff_between(store.log, store.view, start, stop, types=types or None, progress=progress)
        between = _between(store, start, stop)
    footer = f"{_counted(found)} {between}"
    if settings.form in WORDS:
        show_rows(settings, _lines(found, names), _TABLE, footer)
    else:
        show_rows(settings, (diff_row(one, names) for one in found.differences), _FIELDS)


def diff_row(one: Difference, type_names: dict[int, str]) -> Row:
    """Return a difference as a row; `type` is that of a node."""
    told = difference_row(one)
    fields = told.pop("fields")
    type_id = getattr(one.after, "type_id", None)
    named = {"type": None if type_id is None else type_names[type_id], "name": getattr(one.after, "name", None)}
    return told | named | {"fields": fields} | provenance_row(one.by)


def _lines(found: Diff, type_names: dict[int, str]) -> Iterator[Row]:
    """Yield the rows of a table: one for each field of what was changed, one for each other difference."""
    for one in found.differences:
        row = diff_row(one, type_names)
        if one.what == "changed":
            yield from (row | {"": "~", "change": line} for line in difference_in_words(one))
        else:
            yield row | {"": "+"}


def _moments(settings: Settings, since: Moment | None, until: Moment | None) -> tuple[Moment, Moment]:
    """Return the two moments that were asked for; the store itself is looked at as it is now. Raises UsageError for a third."""
    at, settings.at = settings.at, None
    if at is not None and until is not None:
        raise click.UsageError("--at names a third moment: give FROM and TO, or one of the two and --at")
    if since is None:
        return at or moment.parse(DEFAULT_FROM), moment.parse(moment.NOW)
    return since, until or at or moment.parse(moment.NOW)


def _counted(found: Diff) -> str:
    counts = Counter(one.what for one in found.differences)
    told = ", ".join(f"{counts[what]:,} {what}" for what in ("added", "changed", "linked"))
    return told + (f", {found.restored:,} put again and as before," if found.restored else "")


def _between(store: Store, start: int, stop: int) -> str:
    """Return which records lie between two offsets: a moment is understood when one sees what it holds."""
    if start == stop:
        return f"between #{start:,} and #{stop:,}: no record was put"
    times = [local_time(rfc3339(next(store.log.read(at, at + 1)).time_us)) for at in (start, stop - 1)]
    if stop - start == 1:
        return f"by record #{start:,}, {times[0]}"
    return f"by the records #{start:,} to #{stop - 1:,}, {times[0]} to {times[1]}"


@command(looks_back=True, lists=True)
@with_settings
@click.argument("thing", metavar="OBJECT")
def blame(settings: Settings, thing: str) -> None:
    """Tell for each field and property of a thing which record set it: who, when, through what, why.

    Examples:
    evlog blame art:2                 an artifact; others are run:1 (execution), ctx:1 (context), type:NAME
    evlog blame taxi-model@prod       as it is called: others are taxi:7, a URI
    evlog blame run:1 -o json         for a program
    evlog --at '#12' blame run:1      as it was

    """
    with store_of(settings) as store, progress_of(settings, "reading versions") as progress:
        named = thing_named(store.metadata, thing)
        refuse_unknown(store, named)
        found = blame_of(store.log, store.view, named, store.end, progress)
    rows = [{"id": one.id, "field": one.field, "value": plain(one.value)} | provenance_row(one.by) for one in found]
    several = ["id"] if len({one.id for one in found}) > 1 else []
    if settings.form == "table":  # Their ends tell fields apart, and a terminal is narrow.
        for row in rows:
            row["field"] = row["field"].removeprefix("custom_properties.")
    columns = [*several, "field", "value", "offset", "time", "actor", "application", "api", "reason"]
    show_rows(settings, rows, columns, f"{len(rows):,} fields")
