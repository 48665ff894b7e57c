"""Records -> columns: what `apply` makes rows of. A value is touched once, to stand in its column; properties stand there as JSON.

Pure: the same records give the same columns.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec

from evlog.records import REMARKS, Change, NodePut, TypePut
from projections.duck.arrow import blobs, lists, numbers, table, texts
from projections.values import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import nanoarrow

    from evlog.records import Entry, Envelope

    Column = Callable[[Sequence[Any]], Any]

_TAGS: Final[dict[type, str]] = {put: put.__struct_config__.tag for put in get_args(Change)}
# What has versions, and where those are rows.
_TABLES: Final[dict[type, str]] = {
    put: "types" if issubclass(put, TypePut) else f"{put.__struct_config__.tag}s"
    for put in get_args(Change)
    if issubclass(put, TypePut | NodePut)
}
VERSIONED: Final = tuple(dict.fromkeys(_TABLES.values()))
_BYTES: Final = 200  # Of a record or change, about, without what may be long.
_json: Final = msgspec.json.Encoder().encode


class Known(NamedTuple):
    """What a view remembers of the records before a batch, so that nothing has to be looked up; a batch adds its own.

    None of it is wrong if a batch is rolled back: a type's name never changes, and ids that seem to have been put are looked up.
    """

    type_names: dict[int, str]  # By the id of the type.
    last_ids: dict[str, int]  # By table: what has a higher id was never put.


class Batch:
    """Records as they come, and their changes by kind. `size`: their bytes, about."""

    def __init__(self, start: int, known: Known) -> None:
        self.size = 0
        self.start = start  # No record in it has a lower offset.
        self.replaced: set[str] = set()  # Tables in which a version may end.
        self._records: list[tuple[int, int, Envelope, int]] = []  # Offset, time, envelope, number of changes.
        self._changes: list[tuple[str, int | None]] = []  # Kind and id of each change of each record.
        # By kind: offset, time, change; of nodes then the name of the type, which the record does not hold, and properties as JSON.
        self._puts: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._type_names, self._last_ids = known

    def add(self, entry: Entry) -> None:
        """Take one record."""
        offset, time_us, record = entry.offset, entry.time_us, entry.record
        envelope, changes = record.envelope, record.changes
        self._records.append((offset, time_us, envelope, len(changes)))
        self._changes += [(_TAGS[change.__class__], getattr(change, "id", None)) for change in changes]
        size = _BYTES + len(envelope.actor) + len(envelope.application) + len(envelope.reason or "")
        for change in changes if len(changes) == 1 else _last_of_each(changes):
            row: tuple[Any, ...] = (offset, time_us, change)
            size += _BYTES
            if isinstance(change, NodePut):
                self._meet(change)
                own, custom = as_json(change.properties), as_json(change.custom_properties)
                row = (*row, self._type_names.get(change.type_id), own, custom)
                size += len(own or b"") + len(custom or b"") + len(getattr(change, "uri", ""))
            elif isinstance(change, TypePut):
                self._meet(change)
                self._type_names[change.id] = change.name
            elif isinstance(change, REMARKS):
                continue  # No fact about the store; `records` tells of it.
            self._puts[_TAGS[change.__class__]].append(row)
        self.size += size

    def _meet(self, change: NodePut | TypePut) -> None:
        """Note whether this may be a new version of something."""
        name = _TABLES[change.__class__]
        if change.id > self._last_ids[name]:
            self._last_ids[name] = change.id
        else:
            self.replaced.add(name)

    def tables(self) -> Iterator[tuple[str, nanoarrow.Array]]:
        """Yield what there is of "record" and of each kind of change, as a table."""
        if not self._records:
            return
        yield "record", self._record_table()
        for tag, rows in self._puts.items():
            offsets, times, puts, *settled = zip(*rows, strict=True)
            columns = {"offset": numbers(offsets), "time_us": numbers(times), **_columns(_PUTS[tag], puts)}
            for name, form, values in zip(_SETTLED, _SETTLED.values(), settled, strict=False):
                columns[name] = form(values)
            yield tag, table(columns)

    def _record_table(self) -> nanoarrow.Array:
        offsets, times, envelopes, counts = zip(*self._records, strict=True)
        kinds, ids = zip(*self._changes, strict=True) if self._changes else ((), ())
        changes = lists(counts, {"kind": texts(kinds), "id": numbers(ids)})
        place = {"offset": numbers(offsets), "time_us": numbers(times)}
        return table({**place, **_columns(_ENVELOPE, envelopes), "changes": changes})


def _last_of_each(changes: Iterable[Change]) -> Iterable[Change]:
    """Return the changes without those that the same record replaced: they were never to be seen."""
    return {
        (change.__class__, change.id) if isinstance(change, NodePut | TypePut) else id(change): change
        for change in changes
    }.values()


# Columns --------------------------------------------------------------------------------------------------------------


def _jsons(values: Sequence[Any]) -> Any:
    """Return a column of what each value is in JSON, null where there is nothing in it."""
    return blobs([_json(value) if value else None for value in values])


def _columns(forms: dict[str, Column], puts: Sequence[Any]) -> dict[str, Any]:
    """Return fields of records or changes as columns."""
    return {name: form(list(map(attrgetter(name), puts))) for name, form in forms.items()}


def _forms(**named: str) -> dict[str, Column]:
    """Return the form of each field, of the names of the fields of each form."""
    forms: dict[str, Column] = {"number": numbers, "text": texts, "blob": blobs, "json": _jsons}
    return {name: forms[form] for form, names in named.items() for name in names.split()}


_ENVELOPE: Final = _forms(text="actor auth application host api reason", number="pid", blob="transaction")
_TYPE: Final = {"number": "id", "text": "name version description external_id base_type"}
_NODE: Final = {"number": "id type_id create_time_ms update_time_ms"}
# Of each kind of change, the fields that its rows are made of.
_PUTS: Final[dict[str, dict[str, Column]]] = {
    "artifact_type": _forms(**_TYPE, json="properties"),
    "execution_type": _forms(**_TYPE, json="properties input_type output_type"),
    "context_type": _forms(**_TYPE, json="properties"),
    "artifact": _forms(**_NODE, text="name external_id uri state"),
    "execution": _forms(**_NODE, text="name external_id state"),
    "context": _forms(**_NODE, text="name external_id"),
    "event": _forms(number="id artifact_id execution_id time_ms", text="type", json="path"),
    "attribution": _forms(number="context_id artifact_id"),
    "association": _forms(number="context_id execution_id"),
    "parent_context": _forms(number="id parent_id child_id"),
}
# Of nodes, what stands beside the change in a row.
_SETTLED: Final[dict[str, Column]] = {"type": texts, "properties": blobs, "custom_properties": blobs}
