"""Records -> columns: what `apply` makes rows of. Pure: the same records give the same columns, in whichever process.

Nothing is done for a record or a value alone that can be done for a hundred at once: what Python interprets for each is what counts.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter, lt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec

from evlog.records import REMARKS, Change, NodePut, TypePut
from projections.duck import arrow
from projections.values import as_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import nanoarrow

    from evlog.records import Entry

    Placed = tuple[int, int, Change]  # The offset and the time of its record, and a change.

RECORDS: Final = "record"
_TAGS: Final[dict[type, str]] = {put: put.__struct_config__.tag for put in get_args(Change)}
# What has versions, and where those are rows.
_TABLES: Final[dict[type, str]] = {
    put: "types" if issubclass(put, TypePut) else f"{put.__struct_config__.tag}s"
    for put in get_args(Change)
    if issubclass(put, TypePut | NodePut)
}
VERSIONED: Final = tuple(dict.fromkeys(_TABLES.values()))
TAKEN_RECORDS: Final = 128  # Gathered at once: enough to save work, and few, for each may be large.
CHUNK_BYTES: Final = 8 * 1024 * 1024  # Handed on at once: some ten thousand records.
_BYTES: Final = 200  # Of a row, about, without its texts.
_encode: Final = msgspec.json.Encoder().encode


class Met(NamedTuple):
    """The ids of what was put into a table: the first, the highest, and whether each was higher than the one before."""

    first: int
    highest: int
    ascending: bool


class Columns(NamedTuple):
    """A batch as columns: what a process hands to another. start: no record in it has a lower offset.

    tables: the kinds of what there is, RECORDS among them, types before nodes, each with its columns; type_names: of the types among
    them, by id; met: by table of what has versions.
    """

    start: int
    tables: dict[str, nanoarrow.Array]
    type_names: dict[int, str]
    met: dict[str, Met]


class Batch:
    """Records and their changes, by kind, in columns. `size`: their bytes, about."""

    def __init__(self, start: int) -> None:
        self.size = 0
        self._start = start
        self._columns: defaultdict[str, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self._type_names: dict[int, str] = {}
        self._met: dict[str, Met] = {}

    def add(self, entries: Sequence[Entry]) -> None:
        """Take the records that come next."""
        if not entries:
            return
        changes = [entry.record.changes for entry in entries]
        envelopes = [entry.record.envelope for entry in entries]
        places = ([entry.offset for entry in entries], [entry.time_us for entry in entries])
        self._put(RECORDS, *places, envelopes)
        columns = self._columns[RECORDS]
        columns["counts"] += map(len, changes)
        columns["kinds"] += [_TAGS[change.__class__] for some in changes for change in some]
        columns["ids"] += [getattr(change, "id", None) for some in changes for change in some]
        placed: Sequence[Placed] = [
            (entry.offset, entry.time_us, change) for entry in entries for change in entry.record.changes
        ]
        if max(map(len, changes)) > 1:
            placed = _last_of_each(placed)
        kinds = {change.__class__ for _, _, change in placed}.difference(REMARKS)  # No facts about the store.
        for kind in kinds:
            self._put_kind(kind, [row for row in placed if row[2].__class__ is kind])

    def _put_kind(self, kind: type[Change], placed: Sequence[Placed]) -> None:
        """Add changes of one kind, and note what is known by them: names of types, and whether versions end."""
        offsets, times, puts = zip(*placed, strict=True)
        tag = _TAGS[kind]
        self._put(tag, offsets, times, puts)
        if kind not in _TABLES:
            return
        ids = [put.id for put in puts]
        self._meet(_TABLES[kind], ids)
        if issubclass(kind, TypePut):
            self._type_names.update(zip(ids, (put.name for put in puts), strict=True))

    def _put(self, kind: str, offsets: Sequence[int], times_us: Sequence[int], puts: Sequence[Any]) -> None:
        """Add fields of records or changes to their columns."""
        columns = self._columns[kind]
        columns["offset"] += offsets
        columns["time_us"] += times_us
        self.size += _BYTES * len(puts)
        for name, form in _FIELDS[kind].items():
            values = list(map(attrgetter(name), puts))
            if form == "properties":
                values = as_json_lines(values)
            elif form == "json":
                values = [_encode(value) if value else None for value in values]
            elif form == "message":  # An empty one says something else than none.
                values = [_encode(value) if value is not None else None for value in values]
            if form != "number":
                self.size += sum(map(len, filter(None, values)))
            columns[name] += values

    def _meet(self, table: str, ids: Sequence[int]) -> None:
        """Note what may be a new version of something."""
        first, last, ascending = self._met.get(table, (ids[0], ids[0] - 1, True))
        ascending = ascending and ids[0] > last and all(map(lt, ids, ids[1:]))
        self._met[table] = Met(first, max(last, *ids), ascending)

    def columns(self) -> Columns:
        """Return what was taken."""
        tables = {kind: arrow.table(self._made(kind)) for kind in sorted(self._columns, key=_is_node)}
        return Columns(self._start, tables, self._type_names, self._met)

    def _made(self, kind: str) -> dict[str, Any]:
        columns = self._columns[kind]
        fields = {"offset": "number", "time_us": "number", **_FIELDS[kind]}
        made = {name: _FORMS[form](columns[name]) for name, form in fields.items()}
        if kind == RECORDS:
            changes = {"kind": arrow.texts(columns["kinds"]), "id": arrow.numbers(columns["ids"])}
            made["changes"] = arrow.lists(columns["counts"], changes)
        return made


class Gathering:
    """Records taken one after the other, handed on in batches that are not too large."""

    def __init__(self, start: int, hand_on: Callable[[Batch, int], None]) -> None:
        """Begin at an offset. hand_on: given each batch, and the offset behind it."""
        self._hand_on = hand_on
        self._stop = start
        self._batch = Batch(start)
        self._taken: list[Entry] = []  # What the batch has yet to take.

    @property
    def is_empty(self) -> bool:
        """Tell whether all is handed on."""
        return not self._taken and not self._batch.size

    def take(self, entry: Entry) -> None:
        """Take the record that comes next."""
        self._taken.append(entry)
        self._stop = entry.offset + 1
        if len(self._taken) == TAKEN_RECORDS:
            self._gather()
            if self._batch.size > CHUNK_BYTES:
                self.end()

    def end(self) -> None:
        """Hand on what is left."""
        self._gather()
        if self._batch.size:
            batch, self._batch = self._batch, Batch(self._stop)
            self._hand_on(batch, self._stop)

    def _gather(self) -> None:
        taken, self._taken = self._taken, []
        self._batch.add(taken)


def _is_node(kind: str) -> bool:
    return not kind.endswith("_type")


def _last_of_each(placed: Sequence[Placed]) -> Sequence[Placed]:
    """Return the changes without those that the same record replaced: they were never to be seen."""
    return list(
        {
            (row[0], row[2].__class__, row[2].id) if isinstance(row[2], NodePut | TypePut) else id(row): row
            for row in placed
        }.values()
    )


def _fields(**named: str) -> dict[str, str]:
    """Return the form of each field, of the names of the fields of each form."""
    return {name: form for form, names in named.items() for name in names.split()}


_FORMS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "number": arrow.numbers, "text": arrow.texts, "blob": arrow.blobs, "json": arrow.blobs, "message": arrow.blobs, "properties": arrow.blobs,
}  # fmt: skip
_TYPE: Final = {"number": "id", "text": "name version description external_id base_type"}
_NODE: Final = {"number": "id type_id create_time_ms update_time_ms", "properties": "properties custom_properties"}
# The fields that rows are made of.
_FIELDS: Final[dict[str, dict[str, str]]] = {
    RECORDS: _fields(text="actor auth application host api reason", number="pid", blob="transaction"),
    "artifact_type": _fields(**_TYPE, json="properties"),
    "execution_type": _fields(**_TYPE, json="properties", message="input_type output_type"),
    "context_type": _fields(**_TYPE, json="properties"),
    "artifact": _fields(**_NODE, text="name external_id uri state"),
    "execution": _fields(**_NODE, text="name external_id state"),
    "context": _fields(**_NODE, text="name external_id"),
    "event": _fields(number="id artifact_id execution_id time_ms", text="type", json="path"),
    "attribution": _fields(number="context_id artifact_id"),
    "association": _fields(number="context_id execution_id"),
    "parent_context": _fields(number="id parent_id child_id"),
}
