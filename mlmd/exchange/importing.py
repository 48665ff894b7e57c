"""An MLMD database into a store: what the store lacks or has otherwise is appended, so run again it goes on, or finds nothing to do.

A record holds some thousand rows, in the order types, nodes, events, links: nothing in a store ever lacks what it points to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from evlog.author import Author
from evlog.records import ParentContextPut, TypePut
from mlmd.convert import stored_put, unframed
from mlmd.exchange.database import EVENT_NODES, Database
from mlmd.exchange.decode import Decoder
from mlmd.exchange.decode_types import TypeDecoder
from mlmd.exchange.errors import DivergedError
from mlmd.exchange.kept import Kept
from mlmd.exchange.schema import (
    ASSOCIATION,
    ATTRIBUTION,
    EVENT,
    EVENT_PATH,
    NODES,
    PARENT_CONTEXT,
    PARENT_TYPE,
    PROPERTIES,
    TABLES,
    TYPE,
    TYPE_PROPERTY,
)
from mlmd.exchange.target import Target, mark_of
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS
from mlmd.opening import BODIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from evlog.records import ForeignRowKept
    from mlmd.exchange.schema import Table
    from mlmd.exchange.sources import Row
    from mlmd.kinds import Kind
    from replay.follow import Progress

_ANOTHER: Final = "evlog -s NEW-FOLDER import SOURCE"


@dataclass
class TableReport:
    """What became of a table. rows: in the database; kept: changes that hold rows, or what is wrong with them; digest: SHA-256 of the rows.

    new, changed, same: of what the store holds; None for tables whose rows are parts of others' things.
    """

    table: str
    rows: int = 0
    new: int | None = None
    changed: int | None = None
    same: int | None = None
    kept: int = 0
    digest: str = ""


@dataclass
class Report:
    """What an import did. kept: (table, why) -> rows, those of earlier runs included. records: appended by this run."""

    source: str
    schema_version: int
    records: int = 0
    digest: str = ""
    tables: dict[str, TableReport] = field(default_factory=dict)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)


def import_database(source: Database, place: Path, progress: Progress | None = None) -> Report:
    """Import a database into the store at `place`, and return what was done. Raises ExchangeError, LogError, ViewError."""
    target = Target(place, progress)
    try:
        report = _Import(source, target, progress).run()
    except BaseException:
        target.close()
        raise
    target.finish()
    return report


class _Import:
    """One run. Tables are read in an order in which whatever a row needs has been put before."""

    def __init__(self, source: Database, target: Target, progress: Progress | None) -> None:
        self._source, self._target, self._progress = source, target, progress
        self._kept = Kept()
        self._type_decoder = TypeDecoder(self._kept)
        self._types = self._type_decoder.types
        self._decoder = Decoder(self._kept, self._types, proto_in_base64=source.source.proto_in_base64)
        asked = Author().reason
        self._reason = f"{asked}: " * bool(asked) + f"import of {source.name}, schema {source.version}"
        self._total = sum(source.count(table) for table in TABLES)
        tables = {table.name: TableReport(table.name) for table in TABLES}
        self.report = Report(source.name, source.version, tables=tables)
        self._marks: Counter[bytes] = Counter()  # Of rows in this run, by their marks.

    def run(self) -> Report:
        """Import everything."""
        source = self._source
        types = self._type_decoder.read(source.all(TYPE), source.all(TYPE_PROPERTY), source.all(PARENT_TYPE))
        if not self._target.empty:
            self._check_types()
            for table, columns in _FIXED.items():
                self._check_identities(table, columns)
        self._put(TYPE, types, lambda one: self._target.lookup.type(_KIND_OF_TYPE[type(one)], one.id), BODIES.type)
        for kind in KINDS:
            self._nodes(kind)
        self._events()
        for kind in (ARTIFACT, EXECUTION):
            self._links(kind)
        self._parents()
        return self._summed_up()

    # Is it the same history? ----------------------------------------------------------------------------------------

    def _check_types(self) -> None:
        """Raise DivergedError for a type of the store that the database does not have under its id."""
        lookup, types = self._target.lookup, self._types
        for type_id, kind, name, version in lookup.identities("type", 0, 2**63 - 1):
            found = types.get(type_id)
            if found is None or (_KIND_OF_TYPE[type(found)], found.name, found.version or "") != (kind, name, version):
                there = f"{found.name!r}" if found is not None else "no such type"
                raise self._diverged(f"type {type_id} is {name!r} in the store and {there} in {self._source.name}")

    def _check_identities(self, table: Table, columns: Sequence[str]) -> None:
        """Raise DivergedError for a row of the store that the database does not have, or has as another."""
        name, lookup = table.name.lower(), self._target.lookup
        last = lookup.last_id(name)
        before = 0
        for rows in self._source.identities(table, columns, last):
            there = {row[0]: row for row in rows}
            self._check_range(table, there, before + 1, rows[-1][0])
            before = max(before, rows[-1][0])
        self._check_range(table, {}, before + 1, last)

    def _check_range(self, table: Table, there: dict[int, Row], low: int, high: int) -> None:
        name = table.name.lower()
        for row in self._target.lookup.identities(name, low, high):
            found = there.get(row[0])
            if found != row:
                what = "is not there" if found is None else "is another one"
                raise self._diverged(f"{name} {row[0]} of the store {what} in {self._source.name}")

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what}: the store was imported from another database, or rows of this one were removed", _ANOTHER
        )

    # Table by table -------------------------------------------------------------------------------------------------

    def _nodes(self, kind: Kind) -> None:
        source, decoder = self._source, self._decoder
        table, properties, types = NODES[kind.name], PROPERTIES[kind.name], self._types
        same_names = source.duplicates(table, "type_id", "name")
        same_external_ids = source.duplicates(table, "external_id")
        after: int | None = None
        lookup = self._target.lookup
        for rows in source.batches(table):
            last = rows[-1][0]
            belonging = source.belonging(properties, after, last)
            self._put(
                table,
                decoder.nodes(kind, rows, belonging, same_names, same_external_ids),
                lambda one: lookup.node(kind.name, one.id),
                lambda one: BODIES.node(one, types[one.type_id].name),
            )
            after = last
        decoder.nodes(kind, [], source.belonging(properties, after, None), {}, {})
        self._append(table, [])

    def _events(self) -> None:
        source, decoder = self._source, self._decoder
        same = source.duplicates(EVENT, "artifact_id", "execution_id", "type")
        after: int | None = None
        for rows in source.batches(EVENT, EVENT_NODES):
            last = rows[-1][0]
            self._put(EVENT, decoder.events(rows, source.belonging(EVENT_PATH, after, last), same))
            after = last
        decoder.events([], source.belonging(EVENT_PATH, after, None), {})
        self._append(EVENT, [])

    def _links(self, kind: Kind) -> None:
        table = ATTRIBUTION if kind is ARTIFACT else ASSOCIATION
        column, lookup = f"{kind.name}_id", self._target.lookup
        same = self._source.duplicates(table, "context_id", column)
        joined = {"context_id": NODES["context"].name, column: NODES[kind.name].name}
        for rows in self._source.batches(table, joined):
            links = self._decoder.links(kind, rows, same)
            new = self._lacking(links, lambda one: lookup.has_link(kind.name, one.context_id, getattr(one, column)))
            self._append(table, new, same=len(links) - len(new))

    def _parents(self) -> None:
        source, lookup = self._source, self._target.lookup
        next_id = lookup.last_id("parent_context") + 1
        for rows in source.parent_contexts():
            pairs = self._decoder.parents(rows, source.existing("context", {one for row in rows for one in row}))
            new = self._lacking(pairs, lambda pair: lookup.has_parent(pair[1], pair[0]))
            puts = [ParentContextPut(number, *pair) for number, pair in enumerate(new, next_id)]
            self._append(PARENT_CONTEXT, puts, same=len(pairs) - len(new))
            next_id += len(puts)

    # Putting --------------------------------------------------------------------------------------------------------

    def _put(
        self,
        table: Table,
        changes: Sequence[Any],
        stored: Callable[[Any], bytes | None] | None = None,
        body: Callable[[Any], bytes] | None = None,
    ) -> None:
        """Append those changes that the store lacks, or has otherwise. stored, body: what it has, and would have; None: it never changes."""
        if not changes or self._target.empty:
            self._append(table, changes)
            return
        known = {row[0] for row in self._target.lookup.identities(table.name.lower(), changes[0].id, changes[-1].id)}
        new = [one for one in changes if one.id not in known]
        changed = [
            one
            for one in changes
            if one.id in known and stored is not None and body is not None and stored(one) != body(one)
        ]
        same = len(changes) - len(new) - len(changed)
        freed = self._freed(new, changed)
        self._append(
            table, sorted([*new, *changed], key=lambda one: one.id), first=freed, changed=len(changed), same=same
        )

    def _freed(self, new: Sequence[Any], changed: Sequence[Any]) -> list[Any]:
        """Return what has to be put first: those whose names and external ids others have now, without them.

        They are in the database as something else, and become that when it is their turn.
        """
        freed: dict[int, Any] = {}
        lookup = self._target.lookup
        for one in (*new, *changed):
            kind = _KIND_OF_PUT.get(type(one))
            if kind is None:
                continue
            holders = [
                lookup.id_external(kind.name, one.external_id) if one.external_id is not None else None,
                lookup.id_named(kind.name, one.type_id, one.name) if one.name is not None else None,
            ]
            freed |= {holder: self._bare(kind, holder) for holder in holders if holder not in (None, one.id)}
        types = [replace(one, external_id=None) for one in changed if isinstance(one, TypePut)]
        return [*types, *freed.values()]

    def _bare(self, kind: Kind, node_id: Any) -> Any:
        """Return a node of the store without external id, and without name, or as a context with another."""
        body = self._target.lookup.node(kind.name, node_id)
        assert body is not None, "it was found by its name"
        stored = stored_put(kind, kind.message.FromString(unframed(body)))
        return replace(stored, external_id=None, name=f"{stored.name} (id {node_id})" if kind is CONTEXT else None)

    def _lacking(self, links: Sequence[Any], is_there: Callable[[Any], bool]) -> Sequence[Any]:
        """Return those links that the store lacks."""
        return links if self._target.empty else [one for one in links if not is_there(one)]

    def _append(
        self, table: Table, changes: Sequence[Any], *, first: Sequence[Any] = (), changed: int = 0, same: int = 0
    ) -> None:
        """Append changes, and the rows that were kept since; count them, and tell the progress. first: to go before, not counted."""
        report = self.report.tables[table.name]
        report.new = (report.new or 0) + len(changes) - changed
        report.changed = (report.changed or 0) + changed
        report.same = (report.same or 0) + same
        fresh = [one for one in self._kept.take() if self._is_fresh(one)]
        if changes or fresh:
            self.report.records += self._target.append([*first, *changes, *fresh], self._reason)
        if self._progress is not None:
            self._progress(sum(self._source.counts.values()), self._total)

    def _is_fresh(self, kept: ForeignRowKept) -> bool:
        """Count a kept row; return whether the log does not hold it yet. Of equal rows it holds as many as there are."""
        self.report.kept[kept.table, kept.why] += 1
        self.report.tables[kept.table].kept += 1
        mark = mark_of(kept)
        self._marks[mark] += 1
        return self._marks[mark] > self._target.kept[mark]

    def _summed_up(self) -> Report:
        """Complete the report, and put on record that the import is complete, unless the last record says so."""
        report, source = self.report, self._source
        total = sha256()
        for name, digest in source.digests().items():
            table = report.tables[name]
            table.rows, table.digest = source.counts[name], digest
            total.update(bytes.fromhex(digest))
        report.digest = total.hexdigest()
        complete = f"complete, digest {report.digest}"
        if report.records or not (self._target.last_reason or "").endswith(complete):
            report.records += self._target.append([], f"{self._reason}, {complete}")
        return report


# What never changes of a row, beside its id: `Lookup.identities` says the same of the store.
_FIXED: Final[dict[Any, tuple[str, ...]]] = {
    **dict.fromkeys(NODES.values(), ("type_id", "create_time_since_epoch")),
    EVENT: ("artifact_id", "execution_id"),
}
_KIND_OF_PUT: Final[dict[Any, Kind]] = {kind.put: kind for kind in KINDS}
_KIND_OF_TYPE: Final = {kind.type_put: kind.name for kind in KINDS}
