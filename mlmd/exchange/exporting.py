"""A store out to an MLMD database: a SQLite file of schema version 10, with the same ids, names and times.

The file is written under another name, made durable and renamed, so it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlmd.convert import unframed
from mlmd.exchange import encode
from mlmd.exchange.errors import TargetError
from mlmd.exchange.newfile import fresh
from mlmd.exchange.schema import NODES, PROPERTIES, VERSION_MAX
from mlmd.kinds import KINDS
from mlmd.proto import metadata_store_pb2 as pb
from projections.query import After, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlmd.exchange.sources import Row
    from mlmd.kinds import Kind, Type
    from projections.sqlite.lookup import Lookup
    from replay.follow import Progress

_SCHEMA: Final = Path(__file__).with_name("schema10.sql").read_text(encoding="utf-8")
_INDEXES: Final = re.findall(r"create index [^;]+;", _SCHEMA)
_TABLES: Final = re.sub(r"create index [^;]+;", "", _SCHEMA)
_PAGE: Final = 1_000
EXTERNAL_ID_TAKEN: Final = (
    "the external_id of a type of another kind, which ML Metadata has once for all kinds: left out"
)


@dataclass
class Report:
    """What an export wrote. rows: of each table. notes: (table, what is wrong) -> how often; first: an example of each."""

    rows: Counter[str] = field(default_factory=Counter)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, table: str, node_id: int, about: str, wrong: str) -> None:
        """Note what ML Metadata cannot hold."""
        self.notes[table, wrong] += 1
        self.first.setdefault((table, wrong), f"id {node_id}, {about}")


def export_mlmd(lookup: Lookup, path: Path, progress: Progress | None = None) -> Report:
    """Write what a store holds to a new file. Raises TargetError."""
    with fresh(path, "evlog export mlmd NEW-FILE.db") as temporary:
        try:
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection, lookup.snapshot():
                report = _Export(lookup, connection, progress).run()
        except sqlite3.Error as error:
            raise TargetError(f"{path}: {error}") from error
    return report


class _Export:
    """One run."""

    def __init__(self, lookup: Lookup, connection: sqlite3.Connection, progress: Progress | None) -> None:
        self._lookup, self._connection, self._progress = lookup, connection, progress
        counted = ("type", *NODES, "event", "attribution", "association", "parent_context")
        self._total = sum(lookup.count(table) for table in counted)
        self._done = 0
        self.report = Report()

    def run(self) -> Report:
        """Write all tables in one transaction, then the indexes."""
        execute = self._connection.execute
        execute("pragma journal_mode = off")  # The file is nobody's yet, and thrown away if anything fails.
        execute("pragma synchronous = off")
        self._connection.executescript(_TABLES)
        execute("begin")
        self._insert("MLMDEnv", [(VERSION_MAX,)])
        self._types()
        for kind in KINDS:
            self._nodes(kind)
        self._events()
        self._links("Attribution", "attribution")
        self._links("Association", "association")
        self._insert("ParentContext", self._counted(self._lookup.as_put("parent_context")))
        for statement in _INDEXES:
            execute(statement)
        execute("commit")
        return self.report

    def _types(self) -> None:
        types: list[tuple[Kind, Type]] = [
            (kind, kind.type_message.FromString(unframed(body)))
            for kind in KINDS
            for body in self._lookup.types(kind.name)
        ]
        types.sort(key=lambda one: one[1].id)
        ids = {(kind.name, message.name): message.id for kind, message in types if not message.version}
        external_ids: set[str] = set()
        for kind, message in types:
            note = partial(self.report.note, "Type", message.id)
            row = encode.type_row(kind, message, note)
            if row[-1] in external_ids:
                note("external_id", EXTERNAL_ID_TAKEN)
                row = (*row[:-1], None)
            elif row[-1] is not None:
                external_ids.add(row[-1])
            self._insert("Type", [row])
            self._insert(
                "TypeProperty", ((message.id, key, number) for key, number in sorted(message.properties.items()))
            )
            if message.base_type:
                self._insert("ParentType", [(message.id, ids[kind.name, kind.base_types[message.base_type]])])
        self._tell(len(types))

    def _nodes(self, kind: Kind) -> None:
        table = NODES[kind.name].name
        after: After | None = None
        while page := self._lookup.page(Listing(kind.name, after=after, limit=_PAGE)):
            messages = [kind.message.FromString(unframed(listed.body)) for listed in page]
            notes = [partial(self.report.note, table, message.id) for message in messages]
            pairs = list(zip(messages, notes, strict=True))
            self._insert(table, (encode.node_row(kind, message, note) for message, note in pairs), _COLUMNS[kind.name])
            rows = chain.from_iterable(encode.property_rows(message, note) for message, note in pairs)
            self._insert(PROPERTIES[kind.name].name, rows)
            after = After(page[-1].value, page[-1].id)
            self._tell(len(page))

    def _events(self) -> None:
        for event_id, body in self._lookup.as_put("event"):
            event = pb.Event.FromString(unframed(body))
            row = (event_id, event.artifact_id, event.execution_id, event.type, event.milliseconds_since_epoch)
            self._insert("Event", [row])
            self._insert("EventPath", encode.path_rows(event_id, event))
            self._tell(1)

    def _links(self, table: str, name: str) -> None:
        rows = enumerate(self._counted(self._lookup.as_put(name)), start=1)
        self._insert(table, ((number, *ends) for number, ends in rows))

    def _insert(self, table: str, rows: Iterable[Row], columns: str = "") -> None:
        """Insert rows, whose length is that of the first."""
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        sql = f"insert into {table} {columns} values ({', '.join('?' * len(first))})"
        self.report.rows[table] += self._connection.executemany(sql, chain([first], rows)).rowcount

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield row
            self._tell(1)

    def _tell(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None and (rows > 1 or self._done % _PAGE == 0):
            self._progress(self._done, self._total)


_SHARED: Final = "name, external_id, create_time_since_epoch, last_update_time_since_epoch"
_COLUMNS: Final[dict[str, str]] = {  # In the order of `encode.node_row`.
    "artifact": f"(id, type_id, uri, state, {_SHARED})",
    "execution": f"(id, type_id, last_known_state, {_SHARED})",
    "context": f"(id, type_id, {_SHARED})",
}
