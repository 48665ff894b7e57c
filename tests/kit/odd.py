"""Artifacts with odd names of properties and odd values, and filters that find each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from raw import RawStore

KEYS: Final = ["'", '"', "\\", "a'b\"c\\d", ".", "$", "[0]", "a b", "\n", "é", "日本", "😀", "1", "0x1", "a\0b", "%", "{}", "{0}", "select", "$.x", "/x", "*"]  # fmt: skip
VALUES: Final = [
    pb.Value(int_value=2**63 - 1),
    pb.Value(int_value=-(2**63)),
    pb.Value(double_value=0.1 + 0.2),
    pb.Value(double_value=float("inf")),
    pb.Value(double_value=float("nan")),
    pb.Value(string_value='it\'s "q" \\ é 😀\n'),
    pb.Value(bool_value=False),
    pb.Value(proto_value={"type_url": "t/x", "value": b"\0"}),  # type: ignore[arg-type]
    pb.Value(double_value=2.0),
    pb.Value(),
]
VALUES[-1].struct_value["type_url"] = "t/x"
KEYED: Final = len(VALUES) + 1  # The artifact that has all the keys.
# Of `custom_properties.v`: (what is said of it, ids)
FOUND: Final = [
    ("int_value = 9223372036854775807", [1]),
    ("int_value = -9223372036854775808", [2]),
    ("double_value = 0.30000000000000004", [3]),
    ("double_value > 1e308", [4]),
    ("double_value IS NULL", [1, 2, 5, 6, 7, 8, 10]),
    ("double_value - custom_properties.v.double_value IS NULL", [1, 2, 4, 5, 6, 7, 8, 10]),
    ("double_value = 2", [9]),
    ("int_value = 2", []),
    ("string_value = 'it\\'s \"q\" \\\\ é 😀\\n'", [6]),
    ("string_value LIKE 'mlmd-struct::%'", [10]),
    ("string_value IS NOT NULL", [6, 10]),
    ("bool_value = false", [7]),
    ("bool_value IN (true, false)", [7]),
    ("int_value IN (0, 1)", []),
]


def put(store: RawStore) -> RawStore:
    """Put an artifact for each value, and one that has every key, its number for a value."""
    store.ask("PutArtifactType", service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T")))
    artifacts = [pb.Artifact(type_id=10, custom_properties={"v": value}) for value in VALUES]
    keyed = {key: pb.Value(int_value=number) for number, key in enumerate(KEYS)}
    artifacts.append(pb.Artifact(type_id=10, custom_properties=keyed))
    store.ask("PutArtifacts", service.PutArtifactsRequest(artifacts=artifacts))
    return store
