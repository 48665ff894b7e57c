"""The wire contract: byte-identical to the published one, and usable as the modules protoc would generate."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, text_format
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pb2 import EnumValueOptions
from google.protobuf.struct_pb2 import Struct

from mlmd import proto, wire
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service_pb
from mlmd.simple_types.proto import simple_types_pb2

# SHA-256 of the FileDescriptorProtos in ml-metadata 1.17.1. A pool that holds its files refuses any others under these
# names, so a change here means that the two packages can no longer be imported into one process.
PUBLISHED = {
    "metadata_store": "dd4b7f111eb8c14de6e53b5b1587b96fbe9eac718adfdf07057c3c1a4f3f9e70",
    "metadata_store_service": "cc71a5cfe81c944a8af35710b26baad1c89aa675e019501f40f847d8cf7a7728",
    "simple_types": "9b2a34cf9a8cfc074cdb7ee067be294fd097f749d75e036d502d4a120d9d49bb",
}
MODULES = {
    "metadata_store": pb,
    "metadata_store_service": service_pb,
    "simple_types": simple_types_pb2,
}


@pytest.mark.parametrize("stem", PUBLISHED)
def test_a_descriptor_has_the_very_bytes_of_the_published_one(stem):
    data = Path(wire.__file__).with_name(f"{stem}.binpb").read_bytes()
    assert hashlib.sha256(data).hexdigest() == PUBLISHED[stem]
    assert MODULES[stem].DESCRIPTOR.serialized_pb == data


def test_the_proto_files_compile_to_the_descriptors_beside_them():
    pytest.importorskip("grpc_tools")
    compiled = import_module("mlmd.wire.__main__").descriptors()
    assert {stem: hashlib.sha256(data).hexdigest() for stem, data in compiled.items()} == PUBLISHED


def test_the_pool_takes_the_same_file_twice():
    pool = descriptor_pool.Default()
    for stem in PUBLISHED:
        pool.AddSerializedFile(Path(wire.__file__).with_name(f"{stem}.binpb").read_bytes())
    assert pool.FindMessageTypeByName("ml_metadata.Artifact") is pb.Artifact.DESCRIPTOR


def every_value():
    packed = Any()
    packed.Pack(pb.Event(path=pb.Event.Path()))
    return {
        "int": pb.Value(int_value=-(2**63)),
        "double": pb.Value(double_value=0.1),
        "string": pb.Value(string_value="größe\0"),
        "struct": pb.Value(struct_value=Struct()),
        "proto": pb.Value(proto_value=packed),
        "bool": pb.Value(bool_value=False),
    }


def test_every_arm_of_a_value_survives_the_wire():
    values = every_value()
    values["struct"].struct_value.update({"a": [1.0, None, {"b": "c"}]})
    arms = {field.name for field in pb.Value.DESCRIPTOR.oneofs_by_name["value"].fields}
    assert arms == {f"{name}_value" for name in values}

    sent = pb.Artifact(id=7, name="", properties=values, custom_properties=values, state=pb.Artifact.LIVE)
    got = pb.Artifact.FromString(sent.SerializeToString())

    assert got == sent
    assert got.HasField("name")
    assert not got.HasField("uri")
    for name, value in got.properties.items():
        assert value.WhichOneof("value") == f"{name}_value"


def test_messages_can_be_pickled_also_nested_ones():
    event = pb.Event(type=pb.Event.OUTPUT, path=pb.Event.Path(steps=[pb.Event.Path.Step(key="k")]))
    for message in (event, event.path, event.path.steps[0], service_pb.PutEventsRequest(events=[event])):
        again = pickle.loads(pickle.dumps(message))
        assert again == message
        assert type(again) is type(message)


def test_a_class_knows_the_module_and_the_message_it_is_in():
    step = pb.Event.Path.Step
    assert (step.__module__, step.__qualname__) == ("mlmd.proto.metadata_store_pb2", "Event.Path.Step")
    request = service_pb.PutExecutionRequest.ArtifactAndEvent
    assert request.__module__ == "mlmd.proto.metadata_store_service_pb2"


def test_top_level_enums_stand_in_the_module_as_wrapper_and_values():
    values = (pb.UNKNOWN, pb.INT, pb.DOUBLE, pb.STRING, pb.STRUCT, pb.PROTO, pb.BOOLEAN)
    assert values == tuple(range(7))
    assert pb.PropertyType.Name(pb.INT) == "INT"
    assert pb.PropertyType.Value("BOOLEAN") == pb.BOOLEAN


def test_enums_of_a_message_stand_on_its_class_as_wrapper_and_values():
    assert pb.Event.PENDING_OUTPUT == pb.Event.Type.PENDING_OUTPUT == 7
    assert pb.Execution.State.Name(pb.Execution.CANCELED) == "CANCELED"
    assert pb.ListOperationOptions.OrderByField.Field.Value("ID") == 3


def test_defaults_are_those_of_the_contract():
    assert pb.ListOperationOptions().max_result_size == 20
    assert pb.ListOperationOptions.OrderByField().is_asc is True
    assert pb.MigrationOptions().downgrade_to_schema_version == -1
    assert service_pb.PutArtifactTypeRequest().all_fields_match is True


def test_the_system_type_extension_reads_the_names_behind_base_types():
    enum = pb.ExecutionType.SystemDefinedBaseType.DESCRIPTOR
    names = [
        EnumValueOptions.FromString(value.GetOptions().SerializeToString()).Extensions[pb.system_type_extension]
        for value in enum.values
    ]
    assert [name.type_name for name in names] == [
        "unset_execution_type",
        "mlmd.Train",
        "mlmd.Transform",
        "mlmd.Process",
        "mlmd.Evaluate",
        "mlmd.Deploy",
    ]
    assert pb.SYSTEM_TYPE_EXTENSION_FIELD_NUMBER == pb.system_type_extension.number == 384560917


def test_the_service_has_a_request_and_a_response_for_each_of_its_52_methods():
    methods = service_pb.DESCRIPTOR.services_by_name["MetadataStoreService"].methods
    assert len(methods) == 52
    for method in methods:
        assert method.input_type is getattr(service_pb, f"{method.name}Request").DESCRIPTOR
        assert method.output_type is getattr(service_pb, f"{method.name}Response").DESCRIPTOR


def test_simple_types_are_read_from_text():
    text = 'artifact_types { name: "Examples" properties { key: "span" value: INT } }'
    types = text_format.Parse(text, simple_types_pb2.SimpleTypes())
    assert types.artifact_types[0] == pb.ArtifactType(name="Examples", properties={"span": pb.INT})


def test_the_short_names_are_those_of_the_published_package():
    assert sorted(proto.__all__) == [
        "Artifact",
        "ArtifactType",
        "Association",
        "Attribution",
        "ConnectionConfig",
        "Context",
        "ContextType",
        "Event",
        "Execution",
        "ExecutionType",
        "FakeDatabaseConfig",
        "MetadataStoreClientConfig",
        "MySQLDatabaseConfig",
        "ParentContext",
        "SqliteMetadataSourceConfig",
        "metadata_store_pb2",
    ]
    assert proto.Artifact is pb.Artifact


def test_each_module_can_be_imported_first():
    for name in [module.__name__ for module in MODULES.values()]:
        code = f"import importlib; assert importlib.import_module({name!r}).DESCRIPTOR.message_types_by_name"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_nested_classes_are_there_in_pure_python_too():
    code = "from mlmd.proto import metadata_store_pb2 as pb; pb.Event.Path(steps=[pb.Event.Path.Step(index=1)])"
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_stubs_name_what_the_modules_hold():
    for module in MODULES.values():
        stub = Path(module.__file__).with_suffix(".pyi").read_text()
        for name in module.DESCRIPTOR.message_types_by_name:
            assert f"\nclass {name}(_message.Message):\n" in stub
        assert "ml_metadata.proto" not in stub
