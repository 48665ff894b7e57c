"""`log`."""

from __future__ import annotations

import contextlib
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

import click

from evlog.errors import FutureError
from mlmd import names
from mlmd.changes import difference_in_words, difference_row, in_short, plain_change
from mlmd.cli.command import command, with_settings
from mlmd.cli.following import Feed, feed_reader
from mlmd.cli.output import WORDS, in_words, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import Store, log_of, metadata_of, settled, store_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import Number, When
from mlmd.cli.stream import RowStream
from mlmd.cli.things import provenance_row, record_row, thing_named
from mlmd.places import command_of
from projections.sqlite.lookup import Lookup
from replay.asof import first_since, offset_of
from replay.differences import records_of_types
from replay.reading import read_backward
from replay.things import things_of
from replay.versions import history, was_there

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from evlog.records import Entry, Envelope
    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from mlmd.moment import Moment
    from replay.follow import Progress
    from replay.things import Difference, Provenance, Thing

_REPORT_RECORDS: Final = 1_000

_COLUMNS: Final = ("offset", "time", "actor", "application", "api", "changes", "reason")


@command(looks_back=True, lists=True)
@with_settings
@click.argument("thing", metavar="[OBJECT]", required=False)
@click.option("-n", "--limit", type=Number(min=0), default=20, show_default=True, help="0: no limit.")
@click.option("--since", type=When(), metavar="WHEN", help="Only records put from then on.")
@click.option("--until", type=When(), metavar="WHEN", help="Only records put before.")
@click.option("--by", metavar="WHO", help="Only records of this actor.")
@click.option("--api", metavar="CALL", help="Only records of this call, such as PutArtifacts or Restore.")
@click.option("--reason", metavar="TEXT", help="Only records whose reason has this in it.")
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    help="Only records of this type, its nodes and what links them; may be repeated.",
)
@click.option("--reverse", is_flag=True, help="The oldest first.")
@click.option(
    "-f", "--follow", "following", is_flag=True, help="Then each record as it is put, until Ctrl-C; the oldest first."
)
def log(
    settings: Settings,
    thing: str | None,
    limit: int,
    since: Moment | None,
    until: Moment | None,
    by: str | None,
    api: str | None,
    reason: str | None,
    types: tuple[str, ...],
    reverse: bool,
    following: bool,
) -> None:
    """Show the records, the newest first: who put what, when, through what, why; of a thing, every version and what changed.

    Examples:
    evlog log -n 5                      the last five
    evlog log run:1                     the life of a run: every version, field by field, and every link
    evlog log taxi-model@prod           what became of what it stands for; others are taxi:7, a URI, art:3
    evlog log type:Trainer --reverse    what became of a type, from its first record
    evlog log --since yesterday --by ana
    evlog log --type DataSet --api PutArtifacts
    evlog log -n 0 -o jsonl             every record in full, one a line
    evlog log -f --by ana               the last ones of ana, and each as she puts it

    """

    def wanted(said: Envelope | Provenance) -> bool:
        stated = reason is None or reason.casefold() in (said.reason or "").casefold()
        return stated and by in (None, said.actor) and api in (None, said.api)

    if following:
        if until is not None or settings.at is not None:
            raise click.UsageError("-f is for what comes, --until and --at are for what was")
        if types:
            raise click.UsageError("--type looks at what was put before; -f takes an object, --by, --api and --reason")
        _follow(settings, None if thing is None else _thing(settings, thing), limit, since, wanted)
        return
    if thing is not None and types:
        raise click.UsageError("--type is for the records of all things, and one is named")
    with store_of(settings) as store, progress_of(settings, "reading records") as progress:
        start, stop = _range(store, since, until)
        if thing is not None:
            told = _life(
                store, thing_named(store.metadata, thing), start, stop, newest_first=not reverse, progress=progress
            )
            of_thing = list(islice((one for one in told if wanted(one[0].by)), limit or None))
            rows = [_life_row(differences) for differences in of_thing]
        else:
            refuse_unknown_types(store, types)
            found = read_backward(store.log, start, stop) if not reverse else store.log.read(start, max(start, stop))
            asked = (one for one in _reported(found, stop - start, progress) if wanted(one.record.envelope))
            of_types = records_of_types(store.view, asked, types) if types else asked
            entries = list(islice(of_types, limit or None))
            rows = [record_row(entry) for entry in entries]
    shown = rows
    if settings.form in WORDS:
        words = (
            map(_life_in_words, of_thing)
            if thing is not None
            else ([in_short(entry.record.changes)] for entry in entries)
        )
        shown = [row | {"changes": line} for row, lines in zip(rows, words, strict=True) for line in lines]
    show_rows(settings, shown, _COLUMNS, f"{len(rows):,} of {store.end:,} records")
    if settings.form != "table" and limit and len(rows) == limit:
        talk(settings, f"{limit:,} records, which is the limit: -n 0 for all")


def _reported(found: Iterable[Entry], total: int, progress: Progress | None) -> Iterator[Entry]:
    """Yield records, and tell how many."""
    for done, entry in enumerate(found):
        if progress is not None and done % _REPORT_RECORDS == 0:
            progress(done, total)
        yield entry


def _range(store: Store, since: Moment | None, until: Moment | None) -> tuple[int, int]:
    """Return the records [start, stop) that were asked for. Raises FutureError for a start that the log has not reached."""
    stop = store.end
    if until is not None:
        with contextlib.suppress(FutureError):  # Nothing was put in the future: until then is until now.
            stop = min(stop, offset_of(store.log, store.settled(until)))
    return 0 if since is None else first_since(store.log, store.settled(since)), stop


def _thing(settings: Settings, text: str) -> Thing:
    """Return what a text names; only for a name has the store to be opened. Raises Refusal, NotFoundError."""
    try:
        return names.parse(text)
    except ValueError:
        with metadata_of(settings) as metadata:
            return thing_named(metadata, text)


def _follow(
    settings: Settings, thing: Thing | None, limit: int, since: Moment | None, wanted: Callable[[Envelope], bool]
) -> None:
    """Show the last records that are wanted, all if `limit` is 0, then each that is put, in full."""

    def row_of(entry: Entry) -> Row | None:
        if not wanted(entry.record.envelope):
            return None
        if thing is not None and not any(thing in things_of(change) for change in entry.record.changes):
            return None
        return record_row(entry) | ({"changes": in_short(entry.record.changes)} if settings.form == "table" else {})

    with log_of(settings) as log:
        start, end = 0 if since is None else first_since(log, settled(settings, since)), log.end
        stream = RowStream(settings, _COLUMNS)
        if limit:
            found = (row for entry in read_backward(log, start, end) if (row := row_of(entry)) is not None)
            stream.write([*islice(found, limit)][::-1])
            start = end
        try:
            feed_reader(log, Feed(lambda row: stream.write([row]), row_of, start, log.leaf_prefix(start)))
        except KeyboardInterrupt:
            stream.end()
            raise


def _life(
    store: Store, thing: Thing, start: int, stop: int, *, newest_first: bool, progress: Progress | None
) -> Iterator[list[Difference]]:
    """Yield what became of a thing, record by record. Raises Refusal for a thing that was not there."""
    refuse_unknown(store, thing)
    found = history(store.log, store.view, thing, stop, start=start, newest_first=newest_first, progress=progress)
    for _, group in groupby(found, lambda one: one.by.offset):
        yield list(group)[:: -1 if newest_first else 1]


def _life_row(differences: list[Difference]) -> Row:
    """Return what a record made of a thing as a row: the changes in full, and what they changed."""
    return provenance_row(differences[0].by) | {
        "changes": [plain_change(one.after) for one in differences],
        "differences": [difference_row(one) for one in differences],
    }


def _life_in_words(differences: list[Difference]) -> list[str]:
    return [words for one in differences for words in difference_in_words(one)]


def refuse_unknown_types(store: Store, types: Collection[str]) -> None:
    """Raise Refusal for names that no type bears."""
    if unknown := sorted(set(types) - set(store.ask(Lookup.type_names).values())):
        raise Refusal(f"there is no type {unknown[0]!r}", f"{command_of(store.place)} types")


def refuse_unknown(store: Store, thing: Thing) -> None:
    """Raise Refusal for a thing that was not there at the moment the store is looked at."""
    if not was_there(store.view, thing, store.end):
        kind, _ = thing
        raise Refusal(f"there is no {in_words('', names.name_of(thing))}", f"{command_of(store.place)} {kind}s")
