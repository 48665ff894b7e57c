"""`export`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import store_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import When
from mlmd.cli.things import object_of
from mlmd.exchange.errors import ExchangeError
from mlmd.kinds import EXECUTION
from replay import erasure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.cli.reading import Store
    from mlmd.cli.settings import Settings
    from mlmd.exchange.citation import Citation
    from mlmd.moment import Moment
    from replay.things import Thing

_OF_ONE: Final = frozenset({"prov", "rocrate"})  # Formats that one thing can be asked for in.
_PROOF_FILE: Final = "run.tlog-proof"
_LINEAGE_FILE: Final = "lineage.prov.json"
_OF_CRATES: Final = frozenset({"proof", "lineage"})
_FLAGS: Final = {"start": "from", "following": "follow", "state_file": "state"}


class Asked(NamedTuple):
    """What was asked for. thing: of what alone; target: the file, folder or URL; start to namespace: of events; proof, lineage: of a crate."""

    settings: Settings
    thing: str | None
    target: str
    started: float
    start: Moment | None = None
    following: bool = False
    state_file: Path | None = None
    namespace: str | None = None
    proof: bool = False
    lineage: bool = False

    @property
    def path(self) -> Path:
        """Return the target as a path."""
        return Path(self.target)

    def thing_in(self, store: Store) -> Thing | None:
        """Return the thing in a store. Raises Refusal, NotFoundError for a name that names nothing."""
        if self.thing is None:
            return None
        kind, number = object_of(store.metadata, self.thing)
        return (kind.name, number)


@command(looks_back=True)
@with_settings
@click.argument(
    "what", metavar="mlmd|prov|openlineage|rocrate", type=click.Choice(["mlmd", "prov", "openlineage", "rocrate"])
)
@click.argument("words", metavar="[OBJECT] FILE|URL|FOLDER", nargs=-1, required=True)
@click.option(
    "--from", "start", type=When(), metavar="WHEN", help="openlineage: begin there; else with the first record."
)
@click.option(
    "-f", "--follow", "following", is_flag=True, help="openlineage: then each record as it is put, until Ctrl-C."
)
@click.option(
    "--state",
    "state_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="openlineage: keep there up to where events were taken, and go on there next time.",
)
@click.option("--proof", is_flag=True, help="rocrate: with the proof of the run's record.")
@click.option("--lineage", is_flag=True, help="rocrate: with the run's lineage, as PROV-JSON.")
@click.option("--namespace", metavar="NAME", help="openlineage: of jobs and data; else evlog://LOGID.")
def export(settings: Settings, /, what: str, words: tuple[str, ...], **options: Any) -> None:
    """Export the store, now or as it was: for ML Metadata, as W3C PROV, events of OpenLineage, or an RO-Crate.

    mlmd is a SQLite database, schema version 10; prov is PROV-JSON, of everything or of the lineage of OBJECT (art:2, run:1, taxi-model:31, taxi-model@prod); openlineage is what each
    record did to runs, to a file of lines, to standard output (-), or to who takes events at a URL, such as Marquez; rocrate is a folder that
    describes one run. A file must not be there yet, unless --follow adds to it. What a format cannot hold is listed.

    Examples:
    evlog export mlmd metadata.db
    evlog --at 2026-03-01 export mlmd march.db
    evlog export prov store.json                 everything
    evlog export prov art:2 model.json           what a model was made from, and what was made from it
    evlog export openlineage events.jsonl
    evlog export openlineage http://localhost:5000 --follow --state marquez.state
    evlog export rocrate run:3 crate --proof --lineage

    """
    *named, target = words
    if len(named) > (what in _OF_ONE):
        raise click.UsageError(f"export {what}: {' '.join(words)!r} is too much: name one file to make")
    for name, value in options.items():
        if value and what != ("rocrate" if name in _OF_CRATES else "openlineage"):
            raise click.UsageError(f"--{_FLAGS.get(name, name)} is not for {what}: evlog export --help says for what")
    thing = named[0] if named else None
    try:
        _EXPORTS[what](Asked(settings, thing, target, time.perf_counter(), **options))
    except ExchangeError as error:
        raise Refusal(str(error), error.hint) from error


def _mlmd(asked: Asked) -> None:
    from mlmd.exchange.exporting import export_mlmd  # noqa: PLC0415 - each format costs its own alone

    settings, file = asked.settings, asked.path
    with store_of(settings) as store, progress_of(settings, "exporting", "rows") as progress:
        note_copy(settings, store.place, erasure.EXPORT, file)
        report = store.ask(lambda lookup: export_mlmd(lookup, file, progress))
        end = store.end
    notes = [
        {"table": table, "values": values, "what": what, "first": report.first[table, what]}
        for (table, what), values in sorted(report.notes.items())
    ]
    rows = [{"table": table, "rows": rows} for table, rows in report.rows.items()]
    if settings.form == "json":
        show_one(settings, {"file": str(file), "format": "mlmd", "end": end, "tables": rows, "notes": notes})
    else:
        show_rows(settings, rows, list(rows[0]))
    if settings.form == "table":
        for one in notes:
            click.echo(f"{one['values']:,} in {one['table']} ({one['first']}): {one['what']}")
    _tell(asked, f"{sum(report.rows.values()):,} rows", end)


def _prov(asked: Asked) -> None:
    from mlmd.exchange import prov  # noqa: PLC0415 - as above
    from mlmd.exchange.newfile import fresh  # noqa: PLC0415
    from mlmd.exchange.selection import select  # noqa: PLC0415

    settings, file = asked.settings, asked.path
    with (
        fresh(file, "evlog export prov NEW-FILE.json") as temporary,
        store_of(settings) as store,
        progress_of(settings, "reading records") as progress,
    ):
        note_copy(settings, store.place, erasure.EXPORT, file)
        found = select(store.log, store.view, store.end, asked.thing_in(store), progress)
        made = prov.document(found)
        temporary.write_text(prov.as_json(made), encoding="utf-8")
    _show_made(asked, "prov", found.citation, prov.counts(made))


def _openlineage(asked: Asked) -> None:
    from mlmd.cli.emitting import emit  # noqa: PLC0415 - as above

    told = emit(asked)
    if asked.target != "-":
        show_one(asked.settings, {"target": asked.target, "format": "openlineage", **told})
    _tell(asked, f"{told['events']:,} events", told["end"])


def _rocrate(asked: Asked) -> None:
    from mlmd.exchange import rocrate  # noqa: PLC0415
    from mlmd.exchange.newfile import fresh  # noqa: PLC0415
    from mlmd.exchange.selection import select  # noqa: PLC0415

    settings = asked.settings
    files: dict[str, str] = {}
    with fresh(asked.path, "evlog export rocrate run:1 NEW-FOLDER") as temporary:
        temporary.mkdir()
        with store_of(settings) as store, progress_of(settings, "reading records") as progress:
            thing = asked.thing_in(store)
            if thing is None or thing[0] != EXECUTION.name:
                raise click.UsageError("a crate is of one run: evlog export rocrate run:1 FOLDER")
            number = int(thing[1])
            note_copy(settings, store.place, erasure.EXPORT, asked.path)
            found = select(store.log, store.view, store.end, thing, progress)
        if asked.lineage:
            from mlmd.exchange import prov  # noqa: PLC0415

            files[_LINEAGE_FILE] = "What the run's data was made from, and what was made from it: PROV-JSON"
            (temporary / _LINEAGE_FILE).write_text(prov.as_json(prov.document(found)), encoding="utf-8")
        if asked.proof:
            from mlmd.cli.proving import proof_of  # noqa: PLC0415

            made = proof_of(settings, f"run:{number}")
            files[_PROOF_FILE] = "The proof that the run's record is in the log: evlog check FILE"
            (temporary / _PROOF_FILE).write_bytes(made.data)
        crate = rocrate.metadata(found, number, files)
        text = json.dumps(crate, indent=1, ensure_ascii=False)
        (temporary / rocrate.METADATA).write_text(text, encoding="utf-8")
    counted = {"entities": len(crate["@graph"]), "files": len(files) + 1}
    _show_made(asked, "rocrate", found.citation, counted)


def _show_made(asked: Asked, form: str, citation: Citation, counted: dict[str, int]) -> None:
    """Tell what a document holds, and what it cites."""
    settings = asked.settings
    cited = {"log": citation.log, "offset": citation.offset, "root": citation.root}
    if settings.form == "json":
        show_one(settings, {"file": asked.target, "format": form, **cited, "records": counted})
    else:
        show_rows(settings, [{"what": what, "count": count} for what, count in counted.items()], ("what", "count"))
    _tell(asked, f"{sum(counted.values()):,} statements", citation.offset)


def _tell(asked: Asked, what: str, end: int) -> None:
    talk(asked.settings, f"{what} as of #{end:,} in {asked.target}; {time.perf_counter() - asked.started:.1f} s")


_EXPORTS: Final[dict[str, Callable[[Asked], None]]] = {
    "mlmd": _mlmd,
    "prov": _prov,
    "openlineage": _openlineage,
    "rocrate": _rocrate,
}
