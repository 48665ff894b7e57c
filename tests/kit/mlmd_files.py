"""Databases that the reference writes, of every schema version it can make, and a comparison of every read on one with ours."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct
from strategies import Call, Walk

from mlmd.kinds import KINDS
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from client import Reference
    from raw import RawStore

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
    subprocess.run([reference.python, "-c", _MIGRATE, *words], check=True, capture_output=True, timeout=120)


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


# Questions -----------------------------------------------------------------------------------------------------------


def _call(method: str, **fields: Any) -> Call:
    return Call(method, METHODS[method].request(**fields))


def questions(ours: RawStore) -> Iterator[Any]:
    """Yield questions about each type, node, name, uri, external id, event and link of a store; listings; filters; walks of lineage."""
    for kind in KINDS:
        one, many = kind.name.capitalize(), kind.plural.capitalize()
        types = [*ours.ask(f"Get{one}Types", METHODS[f"Get{one}Types"].request()).__getattribute__(f"{kind.name}_types")]
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
    for method in ("GetArtifactsByContext", "GetExecutionsByContext", "GetParentContextsByContext", "GetChildrenContextsByContext"):
        yield from (_call(method, context_id=context_id) for context_id in ids)


_FIELDS: Final = pb.ListOperationOptions.OrderByField
_FILTERS: Final = (
    *("", "id > 1", "name = 'a' or name like 'n%'", "properties.i.int_value >= 1", "custom_properties.c.int_value = 1"),
    *("properties.s.string_value = 's'", "properties.d.double_value < 2.0", "create_time_since_epoch >= 0", "type = 'Run'"),
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
            pb.ArtifactType(name="Data", properties=arms, description="größe", external_id="data", base_type=pb.ArtifactType.DATASET),
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
        artifact = web.artifacts.add(type_id=10 + number % 2, name=f"n{number}", uri=f"/é/{number % 3}", state=number % 6)
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
        for artifact_index, kind in ((number, pb.Event.INPUT), (number + 1, pb.Event.DECLARED_OUTPUT), (8, pb.Event.INPUT)):
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
