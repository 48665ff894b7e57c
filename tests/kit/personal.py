"""A store with personal values in it: runs of a Trainer, each by an operator, whom a pseudonym names."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from evlog.author import Author
from evlog.records import Erased, ExecutionPut, Record
from evlog.sealing import Cipher, Context
from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.log import Log
    from evlog.records import Change, Value

NAME, AGE = "Ana Smith of 12 Elm Street", 41
RULES = [
    {"kind": "execution", "type": "Trainer", "property": "operator", "subject_property": "user"},
    {"property": "age", "subject_property": "user"},
    {"property": "note_*"},
]
PROPERTIES = {"operator": pb.STRING, "age": pb.INT, "user": pb.STRING, "epochs": pb.INT}
AUTHOR = Author(actor="test", application="tests", reason=None)


def opened(place: Path | None) -> MetadataStore:
    """Open a store, in memory if there is no place."""
    if place is None:
        return MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


def declared(place: Path | None) -> MetadataStore:
    """Open a store and say what is personal in it."""
    store = opened(place)
    store.put_execution_type(pb.ExecutionType(name="Trainer", properties=PROPERTIES))
    store.declare_personal(RULES)
    return store


def run(
    store: MetadataStore, user: str | None = "u-17", *, custom: dict[str, Any] | None = None, **values: Any
) -> pb.Execution:
    """Return a run, not put yet."""
    made = pb.Execution(type_id=store.get_execution_type("Trainer").id)
    for fields, given in (
        (made.properties, {**({"user": user} if user else {}), **values}),
        (made.custom_properties, custom or {}),
    ):
        for name, value in given.items():
            setattr(fields[name], "int_value" if isinstance(value, int) else "string_value", value)
    return made


def put(store: MetadataStore, user: str | None = "u-17", *, custom: dict[str, Any] | None = None, **values: Any) -> int:
    """Put a run; return its id."""
    [made] = store.put_executions([run(store, user, custom=custom, **(values or {"operator": NAME, "age": AGE}))])
    return made


def values(node: pb.Execution) -> dict[str, Any]:
    """Return the properties of a node, those of both maps."""
    found = {}
    for fields in (node.properties, node.custom_properties):
        for name, value in fields.items():
            found[name] = getattr(value, str(value.WhichOneof("value")))
    return found


def seen(store: MetadataStore, number: int = 1) -> dict[str, Any]:
    """Return the properties of a run as a get answers them."""
    [node] = store.get_executions_by_id([number])
    return values(node)


def seal_for(place: Path, subject: str) -> None:
    """Put a value for a subject into any store."""
    with closing(opened(place)) as store:
        store.put_execution_type(pb.ExecutionType(name="Sealed", properties={"operator": pb.STRING}))
        store.declare_personal([{"type": "Sealed", "property": "operator", "subject": subject}])
        node = pb.Execution(type_id=store.get_execution_type("Sealed").id)
        node.properties["operator"].string_value = NAME
        store.put_executions([node])


# The log alone --------------------------------------------------------------------------------------------------------


def append(log: Log, *changes: Change, sealed: bool = False) -> int:
    """Append a record; return its offset."""
    with log.claim() as group:
        entry = group.add(Record(AUTHOR.envelope("Test", 1, sealed=sealed), list(changes)))
        group.commit()
    return entry.offset


def append_sealed(log: Log, subject: str, value: Value = NAME, number: int = 1) -> bytes:
    """Append a run whose operator is sealed; return the id of the key."""
    with log.claim() as group:
        key = log.subject_keys.for_subject(subject)
        context = Context(log.id, "execution", number, "properties", "operator")
        sealed = Cipher(key.key_id, key.key).seal(value, context)
        change = ExecutionPut(number, 1, 1, 1, properties={"operator": sealed, "plain": "p"})
        group.add(Record(AUTHOR.envelope("Test", 1, sealed=True), [change]))
        group.commit()
    return key.key_id


def operators(log: Log) -> list[object]:
    """Return the operators of all runs in a log, in order."""
    changes = [change for entry in log.read(0) for change in entry.record.changes]
    return [change.properties.get("operator") for change in changes if isinstance(change, ExecutionPut)]


def erasures(log: Log) -> list[Erased]:
    """Return what records of a log erased."""
    return [change for entry in log.read(0) for change in entry.record.changes if isinstance(change, Erased)]


def holds(folder: Path, *secrets: bytes) -> list[str]:
    """Return the files below a folder in which one of these is."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [path.relative_to(folder).as_posix() for path in files if any(one in path.read_bytes() for one in secrets)]
