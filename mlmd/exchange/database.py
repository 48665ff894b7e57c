"""A database of ML Metadata, whatever holds it: checked at opening, then read in batches, each table in the order of its key."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mlmd.exchange.errors import SourceError
from mlmd.exchange.schema import (
    EVENT,
    EVENT_PATH,
    NODES,
    PARENT_CONTEXT,
    PROPERTIES,
    TABLES,
    VERSION_MAX,
    VERSION_MIN,
    VERSION_TABLE,
    Table,
)
from mlmd.exchange.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mlmd.exchange.sources import Row, Source

BATCH_ROWS: Final = 2_000
_encode: Final = msgspec.msgpack.Encoder().encode
_UPGRADE: Final = "open it once with ml-metadata 1.17.1: MetadataStore(config, enable_upgrade_migration=True)"


class Database:
    """An open database of ML Metadata. `version` is that of its schema."""

    def __init__(self, source: Source) -> None:
        """Check that the source is one. Raises SourceError."""
        self.source, self.name = source, source.name
        self._there = source.tables()
        self.version = self._version()
        self._check_schema()
        self.counts: dict[str, int] = dict.fromkeys((table.name for table in TABLES), 0)
        self._digests: dict[str, Any] = {table.name: sha256() for table in TABLES}

    @classmethod
    def open(cls, text: str) -> Database:
        """Open what a path or URL names. Raises SourceError."""
        source = open_source(text)
        try:
            return cls(source)
        except BaseException:
            source.close()
            raise

    def close(self) -> None:
        """Close it."""
        self.source.close()

    # What it is -----------------------------------------------------------------------------------------------------

    def _version(self) -> int:
        known = {table.name.lower() for table in TABLES} & self._there
        if VERSION_TABLE.lower() not in self._there:
            if {"type", "artifact", "execution"} <= known:
                raise SourceError(f"{self.name}: an MLMD database from before schema versions were kept: {_UPGRADE}")
            raise SourceError(f"{self.name}: no database of ML Metadata: it has no table {VERSION_TABLE}")
        rows = self.source.rows(f"select schema_version from {VERSION_TABLE}")
        if len(rows) != 1:
            raise SourceError(
                f"{self.name}: {VERSION_TABLE} holds {len(rows)} schema versions instead of one: its making or migration"
                " was interrupted; restore the database from a copy"
            )
        version: int = rows[0][0]
        if not isinstance(version, int) or version < VERSION_MIN:
            raise SourceError(
                f"{self.name}: schema version {version}; {VERSION_MIN} to {VERSION_MAX} can be imported: {_UPGRADE}"
            )
        if version > VERSION_MAX:
            raise SourceError(
                f"{self.name}: schema version {version}; {VERSION_MIN} to {VERSION_MAX} can be imported:"
                " it was written by a newer ML Metadata than any that is known here"
            )
        return version

    def _check_schema(self) -> None:
        for table in TABLES:
            if table.since > self.version:
                continue
            if table.name.lower() not in self._there:
                raise self._half_migrated(f"there is no table {table.name}")
            there = self.source.columns(table.name)
            for column in table.columns:
                if column.since <= self.version and column.name not in there:
                    raise self._half_migrated(f"{table.name} has no column {column.name}")

    def _half_migrated(self, what: str) -> SourceError:
        return SourceError(
            f"{self.name}: says that its schema is of version {self.version}, but {what}: its making or migration was"
            " interrupted; restore the database from a copy"
        )

    # Reading --------------------------------------------------------------------------------------------------------

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        if table.since > self.version:
            return 0
        found: int = self.source.rows(f"select count(*) from {table.name}")[0][0]
        return found

    def all(self, table: Table) -> list[Row]:
        """Return all rows of a table, for tables of types."""
        if table.since > self.version:
            return []
        return self._read(
            table, self.source.rows(f"select {self._columns(table)} from {table.name} order by {self._order(table)}")
        )

    def batches(self, table: Table, joined: Mapping[str, str] | None = None) -> Iterator[list[Row]]:
        """Yield the rows of a table with an id, BATCH_ROWS at most at a time, by ascending id.

        joined: columns -> tables of nodes; a row ends with one id for each, null where there is no such node.
        """
        joined = joined or {}
        columns = self._columns(table, "t.") + "".join(f", {name}.id" for name in joined.values())
        joins = "".join(f" left join {name} on {name}.id = t.{column}" for column, name in joined.items())
        sql = f"select {columns} from {table.name} t{joins} {{}} order by t.id limit {BATCH_ROWS}"
        rows = self._read(table, self.source.rows(sql.format("")))
        while rows:
            yield rows
            if len(rows) < BATCH_ROWS:
                return
            rows = self._read(table, self.source.rows(sql.format("where t.id > ?"), (rows[-1][0],)))

    def belonging(self, table: Table, after: int | None, last: int | None) -> list[Row]:
        """Return the rows that belong to nodes or events with ids in (after, last]; None: no bound."""
        bounds = [(">", after), ("<=", last)]
        conditions = [f"{table.key} {sign} ?" for sign, bound in bounds if bound is not None]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        order = f" order by {self._order(table)}" if self._order(table) else ""
        sql = f"select {self._columns(table)} from {table.name}{where}{order}"
        return self._read(table, self.source.rows(sql, [bound for _, bound in bounds if bound is not None]))

    def parent_contexts(self) -> Iterator[list[Row]]:
        """Yield pairs of a context and its parent, in the order of their making where the database keeps that."""
        if self.version >= PARENT_CONTEXT.since:
            rows = self.all(PARENT_CONTEXT)
            for start in range(0, len(rows), BATCH_ROWS):
                yield rows[start : start + BATCH_ROWS]

    def duplicates(self, table: Table, *columns: str) -> dict[Row, int]:
        """Return the values of columns that several rows share, none of them null, with the lowest id of those rows."""
        if any(table.columns[table.position(column)].since > self.version for column in columns):
            return {}
        listed = ", ".join(columns)
        there = " and ".join(f"{column} is not null" for column in columns)
        sql = f"select {listed}, min(id) from {table.name} where {there} group by {listed} having count(*) > 1"
        return {row[:-1]: row[-1] for row in self.source.rows(sql)}

    def existing(self, kind: str, ids: Iterable[int]) -> set[int]:
        """Return those ids that a node of a kind has."""
        wanted = sorted({one for one in ids if isinstance(one, int)})
        found: set[int] = set()
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ", ".join("?" * len(part))
            found.update(
                row[0] for row in self.source.rows(f"select id from {NODES[kind].name} where id in ({marks})", part)
            )
        return found

    def identities(self, table: Table, columns: Sequence[str], last: int) -> Iterator[list[Row]]:
        """Yield (id, columns) of the rows with ids up to `last`, in batches."""
        own = {column.name: column for column in table.columns}
        listed = ", ".join(["id", *(self._column(own[column]) for column in columns)])
        after: int | None = None
        while True:
            where = "id <= ?" if after is None else "id <= ? and id > ?"
            values = (last,) if after is None else (last, after)
            rows = self.source.rows(
                f"select {listed} from {table.name} where {where} order by id limit {BATCH_ROWS}", values
            )
            if not rows:
                return
            yield rows
            after = rows[-1][0]

    def digests(self) -> dict[str, str]:
        """Return for each table the SHA-256 over the rows read so far: each as a MessagePack array of its columns, in the order of reading."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    def _read(self, table: Table, rows: list[Row]) -> list[Row]:
        """Count rows and take them into their table's digest."""
        width = len(table.columns)
        own = rows if not rows or len(rows[0]) == width else [row[:width] for row in rows]
        self.counts[table.name] += len(rows)
        self._digests[table.name].update(b"".join(map(_encode, own)))
        return rows

    def _columns(self, table: Table, prefix: str = "") -> str:
        return ", ".join(self._column(column, prefix) for column in table.columns)

    def _column(self, column: Any, prefix: str = "") -> str:
        return f"{prefix}{column.name}" if column.since <= self.version else column.before

    def _order(self, table: Table) -> str:
        """Return what orders rows: the key, and below it the order of their making, or the name of a property."""
        physical = self.source.physical
        if table is EVENT_PATH:
            # MySQL has no name for it, and sorting by the key might mix the steps: an index, or the table, gives them in order.
            return f"event_id, {physical}" if physical else ""
        if table is PARENT_CONTEXT and physical:
            return physical
        if table in PROPERTIES.values():
            return f"{table.key}, name, is_custom_property"
        return table.key


EVENT_NODES: Final = {"artifact_id": NODES["artifact"].name, "execution_id": NODES["execution"].name}
assert {column.name for column in EVENT.columns} >= EVENT_NODES.keys(), "an event joins two nodes"
