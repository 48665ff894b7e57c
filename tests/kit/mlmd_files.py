"""Databases that the reference writes, of every schema version it can make, and a comparison of every read on one with ours."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from check import check_store
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct
from raw import RawStore
from strategies import Call, Walk

from mlmd import exchange
from mlmd.engine import Engine
from mlmd.exchange.database import Database
from mlmd.exchange.importing import import_database
from mlmd.kinds import KINDS
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from client import Reference

    from mlmd.exchange.importing import Report

# Run by the reference's interpreter: downgrade or upgrade the database of a serialized config.
_MIGRATE: Final = """
import sys
import ml_metadata
from ml_metadata.proto import metadata_store_pb2
config = metadata_store_pb2.ConnectionConfig.FromString(bytes.fromhex(sys.argv[1]))
if sys.argv[2] == "up":
    ml_metadata.MetadataStore(config, enable_upgrade_migration=True)
else:
    ml_metadata.downgrade_schema(config, int(sys.argv[2]))
"""


def sqlite_config(path: Path) -> pb.ConnectionConfig:
    """Return the config of a SQLite file of the reference, made if it is not there."""
    mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(path), connection_mode=mode))


def write(reference: Reference, config: pb.ConnectionConfig, calls: Sequence[Call]) -> None:
    """Send puts to the reference; a refused one is no matter."""
    handle = reference.open(config.SerializeToString())
    for call in calls:
        reference.call(handle, call.method, call.request.SerializeToString())
    reference.close(handle)


def migrate(reference: Reference, config: pb.ConnectionConfig, to: int | None) -> None:
    """Let the reference downgrade a database to a version, or upgrade it to its own if None."""
    words = [config.SerializeToString().hex(), "up" if to is None else str(to)]
    done = subprocess.run(
        [reference.python, "-c", _MIGRATE, *words], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def _conformance() -> Any:
    """Return the module of the comparison with the reference."""
    path = Path(__file__).parents[1] / "mlmd" / "test_conformance.py"
    spec = importlib.util.spec_from_file_location("conformance", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


conformance: Final = _conformance()


class SameReads(conformance.Pair):
    """An open database of the reference and a store of ours that should answer alike, times included."""

    def __init__(self, reference: Reference, config: pb.ConnectionConfig, ours: RawStore) -> None:
        self.reference, self.handle = reference, reference.open(config.SerializeToString())
        self.ours = ours
        self.clock = conformance.Clock()
        self.parted = False
        self.tokens_seen = []
        # The servers give rows in no order where none is asked for, and in MySQL a type that is asked for by name lacks its external_id.
        self.unordered = config.WhichOneof("config") != "sqlite"

    def normalise(self, call: Call, response: Any) -> None:
        """Make equal what may differ."""
        super().normalise(call, response)
        asked = "options" in call.request.DESCRIPTOR.fields_by_name and call.request.HasField("options")
        if not self.unordered or asked:
            return
        for message in (response, getattr(response, "lineage_subgraph", None)):
            for field, value in message.ListFields() if message is not None else ():
                if field.message_type and hasattr(value, "sort"):
                    value.sort(key=lambda one: one.SerializeToString(deterministic=True))
                elif call.method.endswith("Type"):
                    value.ClearField("external_id")

    def compare(self, more: Sequence[Any] = ()) -> int:
        """Ask both everything; return how many questions that were."""
        asked = [*questions(self.ours), *more]
        for question in asked:
            self.do(question)
        return len(asked)


def same_reads(reference: Reference, config: pb.ConnectionConfig, ours: RawStore, more: Sequence[Any] = ()) -> int:
    """Fail unless every read says the same in the reference's database and in our store; return how many were asked."""
    pair = SameReads(reference, config, ours)
    try:
        return pair.compare(more)
    finally:
        reference.close(pair.handle)


def imported(source: str | Path, place: Path) -> Report:
    """Import a database into the store at a place."""
    database = Database.open(str(source))
    try:
        return import_database(database, place)
    finally:
        database.close()


def same_store(reference: Reference, config: pb.ConnectionConfig, place: Path, more: Sequence[Any] = ()) -> int:
    """Fail unless an imported store is sound and answers as the reference's database; return how many questions were asked."""
    engine = Engine(open_folder(place))
    try:
        check_store(engine, imported=True)
        return same_reads(reference, config, RawStore(engine), more)
    finally:
        engine.close()


# Questions -----------------------------------------------------------------------------------------------------------


def _call(method: str, **fields: Any) -> Call:
    return Call(method, METHODS[method].request(**fields))


def questions(ours: RawStore) -> Iterator[Any]:
    """Yield questions about each type, node, name, uri, external id, event and link of a store; listings; filters; walks of lineage."""
    for kind in KINDS:
        one, many = kind.name.capitalize(), kind.plural.capitalize()
        types = [
            *ours.ask(f"Get{one}Types", METHODS[f"Get{one}Types"].request()).__getattribute__(f"{kind.name}_types")
        ]
        yield _call(f"Get{one}Types")
        yield _call(f"Get{one}TypesByID", type_ids=range(1, 40))
        if externals := [one.external_id for one in types if one.external_id]:
            yield _call(f"Get{one}TypesByExternalIds", external_ids=externals)
        for stored in types:
            yield _call(f"Get{one}Type", type_name=stored.name, type_version=stored.version or None)
            yield _call(f"Get{many}ByType", type_name=stored.name, type_version=stored.version or None)
        names = {one.id: (one.name, one.version or None) for one in types}
        nodes = [*ours.ask(f"Get{many}", METHODS[f"Get{many}"].request()).__getattribute__(kind.plural)]
        yield _call(f"Get{many}")
        yield _call(f"Get{many}ByID", **{f"{kind.name}_ids": [node.id for node in nodes] + [10**6]})
        for node in nodes:
            if node.HasField("name") and node.type_id in names:
                name, version = names[node.type_id]
                request = {f"{kind.name}_name": node.name, "type_name": name, "type_version": version}
                yield _call(f"Get{one}ByTypeAndName", **request)
            if node.external_id:
                yield _call(f"Get{many}ByExternalIds", external_ids=[node.external_id])
        ids = [node.id for node in nodes]
        if kind.name == "artifact":
            yield from (_call("GetArtifactsByURI", uris=[uri]) for uri in {node.uri for node in nodes})
        if kind.name == "context":
            yield from _about_contexts(ids)
        else:
            yield _call(f"GetEventsBy{one}IDs", **{f"{kind.name}_ids": ids})
            yield from (_call(f"GetContextsBy{one}", **{f"{kind.name}_id": node_id}) for node_id in ids)
            yield from _lineages(kind.plural, ids[:12])
        yield from _listings(f"Get{many}")


def _about_contexts(ids: Sequence[int]) -> Iterator[Call]:
    for method in (
        "GetArtifactsByContext",
        "GetExecutionsByContext",
        "GetParentContextsByContext",
        "GetChildrenContextsByContext",
    ):
        yield from (_call(method, context_id=context_id) for context_id in ids)


_FIELDS: Final = pb.ListOperationOptions.OrderByField
_FILTERS: Final = (
    *("", "id > 1", "name = 'a' or name like 'n%'", "properties.i.int_value >= 1", "custom_properties.c.int_value = 1"),
    *(
        "properties.s.string_value = 's'",
        "properties.d.double_value < 2.0",
        "create_time_since_epoch >= 0",
        "type = 'Run'",
    ),
)


def _listings(method: str) -> Iterator[Walk]:
    for field in (_FIELDS.CREATE_TIME, _FIELDS.LAST_UPDATE_TIME, _FIELDS.ID):
        for ascending in (True, False):
            for number, wanted in enumerate(_FILTERS):
                request = METHODS[method].request()
                request.options.max_result_size = 3 + number
                request.options.order_by_field.field = field
                request.options.order_by_field.is_asc = ascending
                request.options.filter_query = wanted
                yield Walk(method, request)


def _lineages(plural: str, ids: Sequence[int]) -> Iterator[Call]:
    for node_id in ids:
        for direction in (1, 2, 3):
            request = service.GetLineageSubgraphRequest()
            options = request.lineage_subgraph_query_options
            getattr(options, f"starting_{plural}").filter_query = f"id = {node_id}"
            options.max_num_hops = 20
            options.direction = direction
            yield Call("GetLineageSubgraph", request)


# What every version can hold -----------------------------------------------------------------------------------------


def workload(version: int = 10) -> list[Call]:
    """Return puts that fill a store with something of everything that a schema version can hold."""
    arms = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "t": pb.STRUCT}
    if version >= 10:
        arms |= {"p": pb.PROTO, "b": pb.BOOLEAN}
    types = service.PutTypesRequest(
        artifact_types=[
            pb.ArtifactType(
                name="Data", properties=arms, description="größe", external_id="data", base_type=pb.ArtifactType.DATASET
            ),
            pb.ArtifactType(name="Blob"),
        ],
        execution_types=[pb.ExecutionType(name="Run", properties=arms, base_type=pb.ExecutionType.TRAIN)],
        context_types=[pb.ContextType(name="Pipe", properties=arms), pb.ContextType(name="Data", properties=arms)],
    )
    if version >= 6:
        types.artifact_types.add(name="Data", version="2", properties={"z": pb.INT, "a": pb.STRING})
        types.execution_types[0].input_type.dict.properties["in"].any.SetInParent()
        types.execution_types[0].output_type.any.SetInParent()
    calls = [Call("PutTypes", types)]
    web = service.PutLineageSubgraphRequest()
    for number in range(1, 9):
        artifact = web.artifacts.add(
            type_id=10 + number % 2, name=f"n{number}", uri=f"/é/{number % 3}", state=number % 6
        )
        if number % 2 == 0:
            _fill(artifact, version, number)
        artifact.custom_properties["c"].int_value = number % 3
        artifact.custom_properties["größe 🙂"].string_value = "x" * number
    web.artifacts.add(type_id=11)
    run_type, pipe_type = (13, 14) if version >= 6 else (12, 13)
    for number in range(1, 5):
        execution = web.executions.add(type_id=run_type, name=f"r{number}", last_known_state=number)
        _fill(execution, version, number)
    web.executions.add(type_id=run_type)
    for number in range(1, 4):
        context = web.contexts.add(type_id=pipe_type + number % 2, name=f"c{number}")
        _fill(context, version, number)
    for number in range(4):
        for artifact_index, kind in (
            (number, pb.Event.INPUT),
            (number + 1, pb.Event.DECLARED_OUTPUT),
            (8, pb.Event.INPUT),
        ):
            edge = web.event_edges.add(execution_index=number, artifact_index=artifact_index, event={"type": kind})
            edge.event.path.steps.add(index=number)
            edge.event.path.steps.add(key=f"k{number}")
            if number == 3:
                edge.event.milliseconds_since_epoch = 12_345
    if version >= 9:
        for number, node in enumerate([*web.artifacts, *web.executions, *web.contexts]):
            if number % 3:
                node.external_id = f"ext {number}"
    calls.append(Call("PutLineageSubgraph", web))
    if version >= 6:
        parents = service.PutParentContextsRequest()
        parents.parent_contexts.add(parent_id=1, child_id=3)
        parents.parent_contexts.add(parent_id=1, child_id=2)
        calls.append(Call("PutParentContexts", parents))
    update = service.PutArtifactsRequest(artifacts=[pb.Artifact(id=2, type_id=10, uri="moved", state=pb.Artifact.LIVE)])
    return [*calls, Call("PutArtifacts", update)]


def _fill(node: Any, version: int, number: int) -> None:
    node.properties["i"].int_value = number
    node.properties["d"].double_value = number / 4
    node.properties["s"].string_value = "" if number == 2 else "s"
    node.properties["t"].struct_value.update({"k": [number, None, {"x": True}], "": "é"})
    if version >= 10:
        node.properties["b"].bool_value = number % 4 == 0
        packed = AnyMessage()
        packed.Pack(Struct())
        node.custom_properties["p"].proto_value.CopyFrom(packed)
        node.custom_properties["b"].bool_value = True


# Made by hand --------------------------------------------------------------------------------------------------------

_SMALL: Final = """
insert into MLMDEnv values (10);
insert into Type (id, name, type_kind) values (1, 'Data', 1), (2, 'Run', 0), (3, 'Pipe', 2);
insert into TypeProperty values (1, 'i', 1), (1, 's', 3), (1, 'b', 6), (1, 'p', 5);
insert into Artifact values (1, 1, 'u1', 2, 'n1', 'x1', 100, 200), (2, 1, 'u2', 2, 'n2', null, 101, 201), (3, 1, '', null, null, null, 102, 202);
insert into ArtifactProperty values (1, 'i', 0, 1, null, null, null, null, null);
insert into Execution values (1, 2, 3, 'r1', null, 103, 203);
insert into Context values (1, 3, 'c1', null, 104, 204), (2, 3, 'c2', null, 105, 205);
insert into Event values (1, 2, 1, 4, 300);
insert into EventPath values (1, 1, 4, null);
insert into Attribution values (1, 1, 2);
insert into Association values (1, 1, 1);
insert into ParentContext values (2, 1);
"""


def made(path: Path, *sql: str) -> Path:
    """Make a small database of schema version 10, then do SQL on it; return its path."""
    connection = sqlite3.connect(path)
    connection.executescript(Path(exchange.__file__).with_name("schema10.sql").read_text(encoding="utf-8"))
    connection.executescript(_SMALL)
    for one in sql:
        connection.executescript(one)
    connection.close()
    return path


def changed(path: Path, sql: str) -> None:
    """Do SQL on a database."""
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def rows_of(path: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table; a text that is not UTF-8 as its bytes."""
    connection = sqlite3.connect(path)
    connection.text_factory = _text
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(f"select * from {table}")]
    connection.close()
    return rows


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
