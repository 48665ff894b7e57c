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

from evlog.tlog import evidence
from mlmd import moment
from mlmd.cli.hindsight import diff_row
from mlmd.cli.history import refuse_unknown, refuse_unknown_types
from mlmd.cli.proving import proof_of, shown_by
from mlmd.cli.reading import Store
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import Settings
from mlmd.cli.showing import node_in_full
from mlmd.cli.status import status_of
from mlmd.cli.things import difference_in_words, node_row, parse_named, provenance_row
from mlmd.cli.typelist import type_rows
from mlmd.engine import Engine
from mlmd.exchange.citation import Citation, cite
from mlmd.kinds import ARTIFACT, EVENT_TYPES, EXECUTION, KINDS
from mlmd.marks import settled
from mlmd.names import SHORT, name_of
from mlmd.opening import VIEWS_FOLDER, open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from projections.sqlite.lookup import Lookup
from replay.asof import offset_of
from replay.differences import diff as diff_between
from replay.versions import history as history_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlmd.moment import Moment
    from replay.things import Thing

Answer = dict[str, Any]  # Not for type checkers alone: the protocol's library reads what a question returns.
LIMIT_MAX: Final = 1_000
HOPS_MAX: Final = 100
_PAGE_MAX: Final = 100  # Of MLMD's lists.
_PART: Final = 100  # Of what belongs to one thing, such as its events.
_SQL_S: Final = 20.0
_SQL_BYTES: Final = 512 << 20
_WAYS: Final = {"up": pb.LineageSubgraphQueryOptions.UPSTREAM, "down": pb.LineageSubgraphQueryOptions.DOWNSTREAM}


@dataclass
class _Look:
    """A store at one moment, and the answer to one question to it."""

    store: Store
    citation: Citation

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

    def runs(self, filter: str = "", type: str = "", limit: int = 20, page: str = "", at: str = "") -> Answer:  # noqa: A002 - what a caller reads
        """List runs (executions), the newest first.

        filter: a filter query of ML Metadata, such as  type = "Trainer" AND last_known_state = FAILED  or
        custom_properties.`m.acc`.double_value > 0.9 . type: only runs of this type. page: as the answer before says in `rest`.
        Parameters are custom properties p.NAME, metrics m.NAME, tags t.NAME.
        """
        limit = _limited(limit, _PAGE_MAX)
        with self._look(at) as look:
            parts = [f"({filter})"] if filter.strip() else []
            parts += [f"type = {_quoted(type)}"] if type else []
            options = pb.ListOperationOptions(max_result_size=limit, filter_query=" AND ".join(parts))
            options.order_by_field.field = options.order_by_field.CREATE_TIME
            options.order_by_field.is_asc = False
            if page:
                options.next_page_token = page
            found = look.store.get("GetExecutions", options=options)
            rows = [{"run": f"run:{one.id}", **node_row(EXECUTION, one)} for one in found.executions]
            token = found.next_page_token
            return look.answer(rows, f"the same with at=#{look.store.end} and page={token}" if token else None)

    def show(self, object: str, at: str = "") -> Answer:  # noqa: A002 - as above
        """Show one thing with all that belongs to it: fields, properties, events, contexts, versions.

        object: art:2, run:1, ctx:7 or type:NAME.
        """
        with self._look(at) as look:
            thing = self._named(look, object)
            if thing[0] == "type":
                return look.answer([row for row in type_rows(look.store) if row["name"] == thing[1]])
            kind = next(one for one in KINDS if one.name == thing[0])
            row = node_in_full(look.store, kind, int(thing[1]))
            cut = {key: len(value) for key, value in row.items() if isinstance(value, list) and len(value) > _PART}
            for key in cut:
                row[key] = row[key][-_PART:] if key == "versions" else row[key][:_PART]
            told = ", ".join(f"{count:,} {key}" for key, count in cut.items())
            rest = f"{_PART} of {told} are shown: history and lineage tell them all, or sql" if cut else None
            return look.answer(row, rest)

    def lineage(self, object: str, up: int = 3, down: int = 3, limit: int = 200, at: str = "") -> Answer:  # noqa: A002 - as above
        """Tell what a thing was made from (up) and what was made from it (down): nodes, and edges in the direction of the data.

        object: art:2 or run:1. up, down: how many hops; one is from an artifact to a run, or back. limit: of nodes, the nearest first.
        """
        limit = _limited(limit, LIMIT_MAX)
        with self._look(at) as look:
            thing = self._named(look, object)
            if thing[0] not in (ARTIFACT.name, EXECUTION.name):
                raise Refusal(f"{object}: a lineage is of an artifact or a run", "lineage of art:2 or run:1")
            walk = _Walk(look.store, thing)
            more = [way for way, hops in (("up", up), ("down", down)) if walk.walk(way, hops)]
            found, left_out = walk.graph(limit)
            told = [f"there is more {way}: ask with a larger {way}" for way in more]
            told += [f"{left_out:,} more nodes are left out: ask with fewer hops or a larger limit"] if left_out else []
            return look.answer(found, "; ".join(told) or None)

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

        object: art:2, run:1, ctx:7 or type:NAME.
        """
        limit = _limited(limit, LIMIT_MAX)
        with self._look(at) as look:
            store, thing = look.store, self._named(look, object)
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

        object: art:2, run:1, ctx:7, type:NAME: the last record that put it; or "#31907": that record as a whole.
        """
        with self._look(at) as look:
            if object.startswith("#") and _moment(object).at >= look.store.end:  # type: ignore[operator] # It is an offset.
                raise Refusal(f"{object}: the store is looked at as of #{look.store.end}", f"#{look.store.end - 1}")
            settings = Settings(store=self._place, at=moment.Moment(at, look.store.end), quiet=True)
            entry, made = proof_of(settings, object, sign=False)
            told = shown_by(entry, made) | {"proof": evidence.pack(made).decode()}
            unsigned = "it is unsigned: it convinces who has this root from elsewhere" if made.signed.unsigned else None
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
            yield _Look(Store(self._place, engine, end), cite(engine.log, end))
        finally:
            engine.close()

    def _named(self, look: _Look, text: str) -> Thing:
        thing = parse_named(text)
        refuse_unknown(look.store, thing)
        return thing


class _Walk:
    """A lineage, walked one way after the other from one thing."""

    def __init__(self, store: Store, thing: Thing) -> None:
        self._store, self._thing = store, thing
        self._nodes: dict[str, Answer] = {}  # The nearest first.
        self._edges: dict[tuple[str, str, str], Answer] = {}

    def walk(self, way: str, hops: int) -> bool:
        """Walk; tell whether there is more beyond."""
        if not 0 <= hops <= HOPS_MAX:
            raise Refusal(f"{way}={hops}: a number of hops from 0 to {HOPS_MAX}", f"{way}=3")
        before = -1
        for reach in range(hops + 1):
            graph = self._graph(way, reach)
            self._add(graph)
            if len(graph.artifacts) + len(graph.executions) == before:
                return False  # Nothing new: here it ends.
            before = len(graph.artifacts) + len(graph.executions)
            if before > LIMIT_MAX:
                return True
        beyond = self._graph(way, hops + 1)
        return len(beyond.artifacts) + len(beyond.executions) > before

    def graph(self, limit: int) -> tuple[Answer, int]:
        """Return at most so many nodes and the edges among them, and how many nodes are left out."""
        kept = dict(islice(self._nodes.items(), limit))
        edges = [edge for edge in self._edges.values() if edge["from"] in kept and edge["to"] in kept]
        return {"of": name_of(self._thing), "nodes": list(kept.values()), "edges": edges}, len(self._nodes) - len(kept)

    def _graph(self, way: str, hops: int) -> pb.LineageGraph:
        kind, number = self._thing
        options = pb.LineageSubgraphQueryOptions(max_num_hops=hops, direction=_WAYS[way])
        getattr(options, f"starting_{kind}s").filter_query = f"id = {number}"
        graph: pb.LineageGraph = self._store.lineage(options)
        return graph

    def _add(self, graph: pb.LineageGraph) -> None:
        for kind, nodes in ((ARTIFACT, graph.artifacts), (EXECUTION, graph.executions)):
            for node in nodes:
                name = f"{SHORT[kind.name]}:{node.id}"
                if name not in self._nodes:
                    row = node_row(kind, node)
                    told = {key: row[key] for key in ("type", "name", "state", "uri") if row.get(key)}
                    taint = row["custom_properties"].get(words.TAINTED)
                    self._nodes[name] = {"node": name, **told, **({"tainted": taint} if taint is not None else {})}
        for event in graph.events:
            artifact, run = f"art:{event.artifact_id}", f"run:{event.execution_id}"
            given = EVENT_TYPES[event.type].endswith("INPUT")
            source, target = (artifact, run) if given else (run, artifact)
            edge = {"from": source, "to": target, "event": EVENT_TYPES[event.type]}
            self._edges.setdefault((source, target, edge["event"]), edge)


def _moment(text: str) -> Moment:
    try:
        return moment.parse(text)
    except ValueError as error:
        raise Refusal(str(error), f"a moment such as {moment.FORMS}") from None


def _limited(limit: int, most: int) -> int:
    if not 1 <= limit <= most:
        raise Refusal(f"limit={limit}: a number from 1 to {most:,}", f"limit={most}")
    return limit


def _quoted(text: str) -> str:
    """Return a text as the filter language has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
