"""What a program that reasons may ask of a store: a few questions, read-only, each answer with what it cites and whether it is all there is.

An answer is plain data: `answer`; `cite`, the log, how many of its records were looked at, and the root of their tree, by which anyone
can ask the same again (`at`: "#OFFSET") and check it; `complete`; and, where it is not, `rest`: how to get what is left out.
What cannot be answered is a Refusal, which says what to do.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mlmd import moment
from mlmd.changes import difference_in_words
from mlmd.cli.hindsight import diff_row
from mlmd.cli.history import refuse_unknown, refuse_unknown_types
from mlmd.cli.output import rfc3339
from mlmd.cli.proving import proof_row
from mlmd.cli.reading import Store
from mlmd.cli.refusal import Refusal
from mlmd.cli.showing import node_in_full
from mlmd.cli.status import status_of
from mlmd.cli.things import provenance_row
from mlmd.cli.tracing import graph_row
from mlmd.cli.typelist import type_rows
from mlmd.display.walk import lineage as lineage_of
from mlmd.engine import Engine
from mlmd.exchange.citation import Citation, cite
from mlmd.kinds import KIND_NAMED
from mlmd.marks import settled
from mlmd.names import name_of
from mlmd.opening import VIEWS_FOLDER, open_folder
from mlmd.plain import plain
from mlmd.proofs import prove
from mlmd.recorder import search as searches
from mlmd.recorder.references import thing_of
from mlmd.recorder.things import LOST, is_lost
from projections.sqlite.lookup import Lookup
from replay.asof import offset_of
from replay.differences import diff as diff_between
from replay.versions import history as history_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlmd.cli.output import Row
    from mlmd.moment import Moment
    from mlmd.recorder.things import Run
    from mlmd.store import MetadataStore
    from replay.things import Thing

Answer = dict[str, Any]  # Not for type checkers alone: the protocol's library reads what a question returns.
LIMIT_MAX: Final = 1_000
HOPS_MAX: Final = 100
_PART: Final = 100  # Of what belongs to one thing, such as its events.
_SQL_S: Final = 20.0
_SQL_BYTES: Final = 512 << 20


@dataclass
class _Look:
    """A store at one moment, and the answer to one question to it."""

    store: Store
    metadata: MetadataStore
    citation: Citation

    def named(self, text: str) -> Thing:
        """Return what a text names. Raises StatusError, Refusal for what is not there."""
        thing = thing_of(self.metadata, text)
        refuse_unknown(self.store, thing)
        return thing

    def answer(self, found: Any, rest: str | None = None) -> Answer:
        """Return an answer. rest: how to get what is left out, None where nothing is."""
        told: Answer = {"answer": found, "cite": msgspec.to_builtins(self.citation), "complete": rest is None}
        return told if rest is None else told | {"rest": rest}


class Questions:
    """The questions to the store in a folder. at: as of which moment they are answered, where they name none; never later."""

    def __init__(self, place: Path, at: Moment | None = None) -> None:
        self._place, self._at = place, at

    def status(self, at: str = "") -> Answer:
        """Tell what the store holds and how it is: counts, types with their properties, last put, size, signatures.

        at: a moment, as in all tools: "#31907" (the first 31,907 records), 2026-03-01T09:30Z, yesterday, 3d. Empty: now.
        """
        with self._look(at) as look:
            row = status_of(look.store)
            row["type_list"] = [
                {"type": one["name"], "kind": one["kind"], "nodes": one["nodes"], "properties": one["properties"]}
                for one in type_rows(look.store)
                if one["nodes"]
            ]
            return look.answer(row)

    def runs(
        self,
        filter: str = "",  # noqa: A002 - what a caller reads, here and below
        sort: str = "-created",
        type: str = "",  # noqa: A002
        limit: int = 20,
        skip: int = 0,
        at: str = "",
        state: str = "",
    ) -> Answer:
        """List runs (executions) with parameters, metrics and tags.

        filter: such as  m.acc > 0.9 and p.lr = 0.1 and state = FAILED and not tainted : m.KEY are metrics, p.KEY parameters, t.KEY tags;
        ML Metadata's own filter language is understood too. sort: m.KEY, p.KEY, id, created, updated; with a minus the highest first.
        type: only runs of this type. state: only those shown in it: LOST are those whose process ended without a word. skip: so many of them, as the answer before says in `rest`.
        """
        limit = _limited(limit, LIMIT_MAX)
        if skip < 0:
            raise Refusal(f"skip={skip}: a number from 0", "skip=0")
        with self._look(at) as look:
            found = searches.runs(look.metadata, filter, state=state or None, sort=sort, types=type or None)
            rows = [_run_row(one, now=not at and self._at is None) for one in found[skip : skip + limit]]
            total = len(found)
            told = {"runs": rows, "total": total}
            next_skip = skip + len(rows)
            more = f"the same with at=#{look.store.end} and skip={next_skip}"
            return look.answer(told, more if next_skip < total and rows else None)

    def show(self, object: str, at: str = "") -> Answer:  # noqa: A002
        """Show one thing with all that belongs to it: fields, properties, events, contexts, versions.

        object: art:2, run:1, ctx:7, type:NAME, a name with its version or alias (taxi:7, taxi@prod, taxi for the newest), or a URI.
        """
        with self._look(at) as look:
            thing = look.named(object)
            if thing[0] == "type":
                return look.answer([row for row in type_rows(look.store) if row["name"] == thing[1]])
            kind = KIND_NAMED[thing[0]]
            row = node_in_full(look.store, kind, int(thing[1]))
            cut = {key: len(value) for key, value in row.items() if isinstance(value, list) and len(value) > _PART}
            for key in cut:
                row[key] = row[key][-_PART:] if key == "versions" else row[key][:_PART]
            told = ", ".join(f"{count:,} {key}" for key, count in cut.items())
            rest = f"{_PART} of {told} are shown: history and lineage tell them all, or sql" if cut else None
            return look.answer(row, rest)

    def lineage(self, object: str, up: int = 3, down: int = 3, limit: int = 200, at: str = "") -> Answer:  # noqa: A002
        """Tell what a thing was made from (up) and what was made from it (down): nodes, and edges in the direction of the data.

        object: as for `show`, an artifact or a run. up, down: how many hops; one is from an artifact to a run, or back. limit: of nodes,
        the nearest first. `hidden` counts of a node its neighbours that are not here, such as other users of the same data.
        """
        limit = _limited(limit, LIMIT_MAX)
        for way, hops in (("up", up), ("down", down)):
            if not 0 <= hops <= HOPS_MAX:
                raise Refusal(f"{way}={hops}: a number of hops from 0 to {HOPS_MAX}", f"{way}=3")
        with self._look(at) as look:
            name = name_of(look.named(object))
            graph = lineage_of(look.metadata, name, up=up, down=down, nodes_max=limit)
            # Whatever is left out of the ways that were asked for, by hops or by the limit, is there if one looks a little further.
            more_up, more_down = (up and up + 1, down and down + 1) if up or down else (1, 1)
            further = lineage_of(look.metadata, name, up=more_up, down=more_down, nodes_max=limit + 1)
            told = graph_row(graph)
            del told["complete"]  # Of the picture, in which a neighbour that is no part of this lineage counts too.
            more = len(further.nodes) > len(graph.nodes)
            return look.answer(told, f"more hops, or a limit up to {LIMIT_MAX:,}: there is more" if more else None)

    def diff(self, since: str, until: str = "now", types: list[str] | None = None, limit: int = 200) -> Answer:
        """Tell what happened between two moments: what was added, changed field by field, linked, and by whom, why, in which record.

        since, until: moments, as for `status`. types: only these types, their nodes and what links them.
        """
        limit = _limited(limit, LIMIT_MAX)
        with self._look("" if until == moment.NOW else until) as look:
            store = look.store
            refuse_unknown_types(store, types or ())
            began = store.ask(lambda lookup: settled(lookup, _moment(since).at))
            start = min(offset_of(store.log, began), store.end)
            names = store.ask(Lookup.type_names)
            found = diff_between(store.log, store.view, start, store.end, types=types or None).differences
            rows = [diff_row(one, names) for one in islice(found, limit)]
            counted: Answer = {"since": f"#{start}", "until": f"#{store.end}", "differences": rows}
            left_out = len(found) - len(rows)
            rest = f"{left_out:,} more: name types, moments nearer to each other, or a limit up to {LIMIT_MAX:,}"
            return look.answer(counted, rest if left_out else None)

    def history(self, object: str, limit: int = 50, at: str = "") -> Answer:  # noqa: A002 - as above
        """Tell the life of a thing, the newest first: every version, event and link, each with the record that put it and who did.

        object: as for `show`.
        """
        limit = _limited(limit, LIMIT_MAX)
        with self._look(at) as look:
            store, thing = look.store, look.named(object)
            life = history_of(store.log, store.view, thing, store.end, newest_first=True)
            found = list(islice(life, limit + 1))
            rows = [provenance_row(one.by) | {"what": difference_in_words(one)} for one in found[:limit]]
            older = f"older ones: the same with at=#{found[-1].by.offset + 1}, or a limit up to {LIMIT_MAX:,}"
            rest = older if len(found) > limit else None
            return look.answer(rows, rest)

    def sql(self, query: str, limit: int = 100, at: str = "") -> Answer:
        """Ask in SQL (DuckDB): every version of everything ever put. Reads the store and nothing else; 20 s and 512 MiB at most.

        Begin with  show tables  and  describe executions . Current rows: where is_current.
        """
        # Imported here: who asks no SQL needs no DuckDB.
        from projections.duck.console import Answer as Rows  # noqa: PLC0415
        from projections.duck.console import SqlError, Task  # noqa: PLC0415
        from replay.analytics import bring_up  # noqa: PLC0415

        limit = _limited(limit, LIMIT_MAX)
        with self._look(at) as look:
            views = look.store.place / VIEWS_FOLDER
            bring_up(look.store.log, views)
            task = Task(str(views), query, {}, look.store.end, timeout_s=_SQL_S, memory_bytes=_SQL_BYTES)
            try:
                with Rows(task) as found:
                    rows = list(islice(found.rows(), limit + 1))
                    columns = found.columns
            except SqlError as error:
                raise Refusal(str(error), "show tables, and docs/sql.md") from error
            more = len(rows) > limit
            told = {"columns": columns, "rows": rows[:limit]}
            return look.answer(told, f"limit up to {LIMIT_MAX:,}, or LIMIT and OFFSET in the query" if more else None)

    def prove(self, object: str, at: str = "") -> Answer:  # noqa: A002 - as above
        """Return a proof that a record is in the log, which anyone can check without the store.

        Save `proof` as a file, then: evlog check FILE --root ROOT, the root as one has it from elsewhere, or --policy POLICY.

        object: as for `show`: the last record that put it; or "#31907": that record as a whole.
        """
        with self._look(at) as look:
            if object.startswith("#") and _moment(object).at >= look.store.end:  # type: ignore[operator] # It is an offset.
                raise Refusal(f"{object}: the store is looked at as of #{look.store.end}", f"#{look.store.end - 1}")
            thing = _moment(object).at if object.startswith("#") else look.named(object)
            made = prove(look.store.metadata, thing, sign=False)  # type: ignore[arg-type] # As above.
            told = proof_row(made) | {"proof": made.data.decode()}
            unsigned = "it is unsigned: it convinces who has this root from elsewhere" if made.unsigned else None
            return look.answer(told | ({"note": unsigned} if unsigned else {}))

    # The store at a moment ------------------------------------------------------------------------------------------

    @contextmanager
    def _look(self, at: str) -> Iterator[_Look]:
        """Open the store as of a moment, pinned: who puts meanwhile changes no answer."""
        engine = Engine(open_folder(self._place, writable=False))
        try:
            end = engine.review(lambda _log, _view, stop: stop)
            if self._at is not None:
                end = engine.offset_at(self._at.at)
            if at:
                asked = engine.offset_at(_moment(at).at)
                if self._at is not None and asked > end:
                    raise Refusal(f"{at}: this server looks at the store as of #{end}, and no later", f"at=#{end}")
                end = min(asked, end)
            store = Store(self._place, engine, end)
            yield _Look(store, store.metadata, cite(engine.log, end))
        finally:
            engine.close()


def _moment(text: str) -> Moment:
    try:
        return moment.parse(text)
    except ValueError as error:
        raise Refusal(str(error), f"a moment such as {moment.FORMS}") from None


def _limited(limit: int, most: int) -> int:
    if not 1 <= limit <= most:
        raise Refusal(f"limit={limit}: a number from 1 to {most:,}", f"limit={most}")
    return limit


def _run_row(run: Run, *, now: bool) -> Row:
    """Return a run in short. now: tell too whether the process of one that is running has died; of the past nobody knows."""
    row: Row = {
        "run": run.label,
        "type": run.type,
        "name": run.name,
        "state": run.state,
        "created": rfc3339(run.message.create_time_since_epoch * 1000),
        "params": plain(run.params),
        "metrics": plain(run.metrics),
        "tags": run.tags,
    }
    if run.tainted is not None:
        row["tainted"] = run.tainted
    if now and is_lost(run.message):
        row["state"] = LOST
    return row
