"""The public names, so that none is lost or gained by accident."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import mlmd
import mlmd.metadata_store
from mlmd import errors, proto
from mlmd.metadata_store import metadata_store, mlmd_types
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb

GETTERS_OF_EACH_KIND = [
    "put_{k}_type",
    "get_{k}_type",
    "get_{k}_types",
    "get_{k}_types_by_id",
    "get_{k}_types_by_external_ids",
    "put_{k}s",
    "get_{k}s",
    "get_{k}s_by_id",
    "get_{k}s_by_type",
    "get_{k}_by_type_and_name",
    "get_{k}s_by_external_ids",
]
OTHERS = [
    "get_artifacts_and_types_by_artifact_ids",
    "get_artifacts_by_uri",
    "put_events",
    "get_events_by_execution_ids",
    "get_events_by_artifact_ids",
    "put_execution",
    "put_lineage_subgraph",
    "put_attributions_and_associations",
    "put_parent_contexts",
    "get_contexts_by_artifact",
    "get_contexts_by_execution",
    "get_artifacts_by_context",
    "get_executions_by_context",
    "get_parent_contexts_by_context",
    "get_children_contexts_by_context",
    "get_lineage_subgraph",
    "close",
]


OURS_ALONE = {"answer", "as_of", "diff", "history", "blame", "acting", "declare_personal", "erase"}


def test_the_package_offers_what_ml_metadata_offers() -> None:
    assert mlmd.__all__ == ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]
    assert mlmd.errors is errors
    assert mlmd.proto is proto
    for module in (mlmd.metadata_store, metadata_store):
        assert all(getattr(module, name) is getattr(mlmd, name) for name in mlmd.__all__)
    assert metadata_store.MAX_NUM_RESULT == 100
    assert metadata_store.ExtraOptions(euc=None).euc is None
    assert mlmd_types.Dataset().name == "mlmd.Dataset"
    assert [(field.name, field.value) for field in mlmd.OrderByField] == [
        ("CREATE_TIME", 1),
        ("UPDATE_TIME", 2),
        ("ID", 3),
    ]


def test_importing_the_package_is_enough_to_name_what_ml_metadata_brings_with_it() -> None:
    code = "import mlmd; mlmd.errors.StatusError, mlmd.proto.metadata_store_pb2, mlmd.metadata_store.metadata_store.ExtraOptions"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_store_has_mlmds_methods_and_each_takes_extra_options_last() -> None:
    wanted = {name.format(k=kind) for kind in ("artifact", "execution", "context") for name in GETTERS_OF_EACH_KIND}
    wanted |= set(OTHERS)
    methods = dict(inspect.getmembers(mlmd.MetadataStore, inspect.isfunction))
    assert wanted == {name for name in methods if not name.startswith("_")} - OURS_ALONE
    for name in wanted - {"close"}:
        *_, last = inspect.signature(methods[name]).parameters.values()
        assert (last.name, last.default) == ("extra_options", None), name


def test_every_method_of_the_service_has_a_command_or_a_query() -> None:
    assert len(METHODS) == 52
    assert all(name.startswith("Put") == (method.command is not None) for name, method in METHODS.items())


def test_every_public_method_says_what_it_does() -> None:
    for name, method in inspect.getmembers(mlmd.MetadataStore, inspect.isfunction):
        assert name.startswith("_") or re.match(r"[A-Z].*\.", method.__doc__ or ""), name


def test_importing_the_package_brings_no_server_no_analytics_and_no_terminal() -> None:
    code = "import sys, mlmd; print([m for m in ('grpc', 'duckdb', 'rich', 'click', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_any_value_of_extra_options_is_ignored() -> None:
    store = mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    assert store.get_artifacts(extra_options=object()) == []  # type: ignore[arg-type]
    store.close()
