"""Records -> rows, many at a time: Python makes a line of JSON of each record and each change, DuckDB makes rows of the lines.

No value of a change is touched in Python. That is half of what the appender costs it, and the other half of the work, DuckDB's, needs no
lock of Python: it is done while the next records are read. Pure: the same records give the same rows, in batches of any size.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec

from evlog.records import REMARKS, Change, NodePut, TypePut
from projections.query import KINDS
from projections.values import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

    from evlog.records import Entry, Envelope

_encode: Final = msgspec.json.Encoder(enc_hook=lambda _unknown: None).encode
_TAGS: Final[dict[type, str]] = {put: put.__struct_config__.tag for put in get_args(Change)}
# What has versions, and where those are rows.
_TABLES: Final[dict[type, str]] = {
    put: "types" if issubclass(put, TypePut) else f"{put.__struct_config__.tag}s"
    for put in get_args(Change)
    if issubclass(put, TypePut | NodePut)
}
VERSIONED: Final = tuple(dict.fromkeys(_TABLES.values()))
# Where a line has one of these, a value may be among its properties that JSON has no word for: null stands for NaN and infinity.
_NULL, _STRUCT, _PROTO = b"null", b'"t":"struct"', b'"t":"proto"'


class _Line(msgspec.Struct, gc=False, omit_defaults=True):
    """A change in its record, or the record's envelope with the kinds and ids of its changes."""

    offset: int
    time_us: int
    put: Change | dict[str, Any] | Envelope
    type: str | None = None  # Of a node: the name of its type, which its record does not hold.
    changes: list[dict[str, Any]] = []


class Known(NamedTuple):
    """What a view remembers of the records before a batch, so that nothing has to be looked up; a batch adds its own.

    None of it is wrong if a batch is rolled back: a type's name never changes, and ids that seem to have been put are looked up.
    """

    type_names: dict[int, str]  # By the id of the type.
    last_ids: dict[str, int]  # By table: what has a higher id was never put.


class Batch:
    """Records as lines, for `load`. `size`: their bytes."""

    def __init__(self, start: int, known: Known) -> None:
        self.size = 0
        self.start = start  # No record in it has a lower offset.
        self.records: list[bytes] = []
        self.puts: defaultdict[str, list[bytes]] = defaultdict(list)  # By the tag of the change.
        self.replaced: set[str] = set()  # Tables in which a version may end.
        self._type_names, self._last_ids = known

    def add(self, entry: Entry) -> None:
        """Take one record."""
        offset, time_us, record = entry.offset, entry.time_us, entry.record
        changes = record.changes
        named = [{"kind": _TAGS[change.__class__], "id": getattr(change, "id", None)} for change in changes]
        line = _encode(_Line(offset, time_us, record.envelope, None, named))
        self.records.append(line)
        size = len(line)
        for change in changes if len(changes) == 1 else _last_of_each(changes):
            if isinstance(change, NodePut):
                self._meet(change)
                type_name = self._type_names.get(change.type_id)
                line = _encode(_Line(offset, time_us, change, type_name))
                if _NULL in line or _STRUCT in line or _PROTO in line:
                    line = _encode(_Line(offset, time_us, _spelled(change), type_name))
            elif isinstance(change, REMARKS):
                continue  # No fact about the store; `records` tells of it.
            else:
                if isinstance(change, TypePut):
                    self._meet(change)
                    self._type_names[change.id] = change.name
                line = _encode(_Line(offset, time_us, change))
            self.puts[_TAGS[change.__class__]].append(line)
            size += len(line)
        self.size += size

    def _meet(self, change: NodePut | TypePut) -> None:
        """Note whether this may be a new version of something."""
        table = _TABLES[change.__class__]
        if change.id > self._last_ids[table]:
            self._last_ids[table] = change.id
        else:
            self.replaced.add(table)


def _last_of_each(changes: Iterable[Change]) -> Iterable[Change]:
    """Return the changes without those that the same record replaced: they were never to be seen."""
    return {
        (change.__class__, change.id) if isinstance(change, NodePut | TypePut) else id(change): change
        for change in changes
    }.values()


def _spelled(change: NodePut) -> dict[str, Any]:
    """Return a change with its properties as `values` writes them."""
    fields: dict[str, Any] = {name: getattr(change, name) for name in change.__struct_fields__}
    for name in ("properties", "custom_properties"):
        fields[name] = msgspec.Raw(as_json(fields[name]) or b"null")
    return fields


# Rows -----------------------------------------------------------------------------------------------------------------

_LINES: Final = "select from_json(unnest(string_split($1, chr(10))), '{form}') as line"
_ENVELOPE: Final = dict.fromkeys(
    ("transaction", "api", "actor", "auth", "application", "host", "reason"), "VARCHAR"
) | {"pid": "BIGINT"}
_PLACE: Final = {"offset": "BIGINT", "time_us": "BIGINT"}
_SQL: Final = {"text": "VARCHAR", "number": "BIGINT", "tree": "JSON"}


def _from_lines(**fields: str) -> str:
    """Return what stands behind FROM for lines whose `put` has these fields, by form; "offset", time, type and put are its columns."""
    form = {name: _SQL[kind] for kind, names in fields.items() for name in names.split()}
    lines = _LINES.format(form=_encode({**_PLACE, "type": "VARCHAR", "put": form}).decode())
    time = "make_timestamptz(line.time_us) as time"
    return f'(select line.offset as "offset", {time}, line.type as type, line.put as put from ({lines}))'


def _time(field: str) -> str:
    """Return the time of a number of milliseconds; before and after every calendar, the infinities."""
    bound = 9_223_372_000_000_000
    return (
        f"case when {field} > {bound} then 'infinity'::timestamptz when {field} < -{bound} then '-infinity'::timestamptz"
        f" else make_timestamptz({field} * 1000) end"
    )


_RECORD_COLUMNS: Final = (
    *(f"line.put.{name}" for name in ("actor", "auth", "application", "host", "pid", "api", "reason")),
    "try_cast(hex(from_base64(line.put.transaction)) as uuid)",
    "line.changes",
)
_RECORD_FORM: Final = _encode({**_PLACE, "put": _ENVELOPE, "changes": [{"kind": "VARCHAR", "id": "BIGINT"}]}).decode()
_RECORDS: Final = (
    f"insert into records select line.offset, make_timestamptz(line.time_us), {', '.join(_RECORD_COLUMNS)}"
    f" from ({_LINES.format(form=_RECORD_FORM)})"
)


def _node(kind: str, *own: str) -> str:
    columns = [
        "put.id",
        "type",
        *(f"put.{name}" for name in ("type_id", "name", "external_id")),
        *own,
        _time("put.create_time_ms"),
        _time("put.update_time_ms"),
        "put.properties::variant",
        "put.custom_properties::variant",
    ]
    lines = _from_lines(
        text="name external_id uri state",
        number="id type_id create_time_ms update_time_ms",
        tree="properties custom_properties",
    )
    return f'insert into {kind}s select {", ".join(columns)}, "offset", null, time, null from {lines}'


def _type(kind: str) -> str:
    columns = [
        "put.id",
        f"'{kind}'",
        *(f"put.{name}" for name in ("name", "version", "description", "external_id", "base_type")),
        "coalesce(put.properties, '{}')::map(varchar, varchar)",
        "put.input_type::variant",
        "put.output_type::variant",
    ]
    lines = _from_lines(
        text="name version description external_id base_type", number="id", tree="properties input_type output_type"
    )
    return f'insert into types select {", ".join(columns)}, "offset", null, time, null from {lines}'


def _link(table: str, columns: str, **fields: str) -> str:
    return f'insert into {table} select {columns}, "offset", time from {_from_lines(**fields)}'


_EVENT: Final = (
    f"put.id, put.artifact_id, put.execution_id, put.type, not put.type like '%INPUT', {_time('put.time_ms')}"
)
# By tag: the table, and what makes its rows of lines.
_INSERTS: Final[dict[str, tuple[str, str]]] = {
    **{f"{kind}_type": ("types", _type(kind)) for kind in KINDS},
    "artifact": ("artifacts", _node("artifact", "coalesce(put.uri, '')", "put.state")),
    "execution": ("executions", _node("execution", "put.state")),
    "context": ("contexts", _node("context")),
    "event": (
        "events",
        _link(
            "events",
            f"{_EVENT}, put.time_ms, put.path::variant",
            text="type",
            number="id artifact_id execution_id time_ms",
            tree="path",
        ),
    ),
    "attribution": (
        "attributions",
        _link("attributions", "put.context_id, put.artifact_id", number="context_id artifact_id"),
    ),
    "association": (
        "associations",
        _link("associations", "put.context_id, put.execution_id", number="context_id execution_id"),
    ),
    "parent_context": (
        "parent_contexts",
        _link("parent_contexts", "put.id, put.parent_id, put.child_id", number="id parent_id child_id"),
    ),
}


def _close(table: str) -> str:
    """Return the statement that ends the versions which others, of the records from $1 on, replaced."""
    return f"""
update {table} set valid_to_offset = ended.to_offset, valid_to = ended.to_time
from (
    select id, valid_from_offset, lead(valid_from_offset) over later as to_offset, lead(valid_from) over later as to_time
    from {table}
    where valid_to_offset is null and id in (select id from {table} where valid_from_offset >= $1)
    window later as (partition by id order by valid_from_offset)
    qualify to_offset is not null
) ended
where {table}.id = ended.id and {table}.valid_from_offset = ended.valid_from_offset
"""


_CLOSES: Final = {table: _close(table) for table in VERSIONED}


def load(connection: duckdb.DuckDBPyConnection, batch: Batch) -> bool:
    """Turn a batch into rows, in the transaction that the caller holds; return whether types are among them."""
    if not batch.records:
        return False
    connection.execute(_RECORDS, [_text(batch.records)]).fetchall()
    tables = set()
    for tag, (table, insert) in _INSERTS.items():
        if tag in batch.puts:
            connection.execute(insert, [_text(batch.puts[tag])]).fetchall()
            tables.add(table)
    for table in sorted(batch.replaced):
        connection.execute(_CLOSES[table], [batch.start]).fetchall()
    return "types" in tables


def _text(lines: list[bytes]) -> str:
    return b"\n".join(lines).decode()


def known_of(connection: duckdb.DuckDBPyConnection) -> Known:
    """Return what there is to remember of a view."""
    names = connection.execute("select distinct id, name from types").fetchall()
    tops = [connection.execute(f"select coalesce(max(id), 0) from {table}").fetchall()[0][0] for table in VERSIONED]
    return Known(dict(names), dict(zip(VERSIONED, tops, strict=True)))
