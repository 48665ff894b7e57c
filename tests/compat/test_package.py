"""The distribution `ml-metadata`, from source: every module hands out the names of its namesake in `mlmd`, and nothing else."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from environment import python_of_reference

import ml_metadata
import mlmd

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMPAT = ROOT / "compat" / "ml-metadata"


def name_of(path: Path) -> str:
    """Return the module that stands in a file of the package."""
    return ".".join(path.relative_to(COMPAT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted((COMPAT / "ml_metadata").rglob("*.py"))}
OF_ITS_OWN = {"ml_metadata.version"}  # All else is taken from `mlmd`.
NAMESAKES = {name: "mlmd" + name.removeprefix("ml_metadata") for name in FILES if name not in OF_ITS_OWN}

MESSAGES = [
    *("Artifact", "Execution", "Context", "Event", "Attribution", "Association", "ParentContext"),
    *("ArtifactType", "ExecutionType", "ContextType", "ConnectionConfig", "FakeDatabaseConfig", "MySQLDatabaseConfig"),
    *("SqliteMetadataSourceConfig", "MetadataStoreClientConfig"),
]
SERVER_MESSAGES = ["PostgreSQLDatabaseConfig", "MetadataStoreServerConfig", "MigrationOptions", "RetryOptions"]
ERRORS = [
    *("CancelledError", "UnknownError", "InvalidArgumentError", "DeadlineExceededError", "NotFoundError"),
    *("AlreadyExistsError", "PermissionDeniedError", "UnauthenticatedError", "ResourceExhaustedError"),
    *("FailedPreconditionError", "AbortedError", "OutOfRangeError", "UnimplementedError", "InternalError"),
    *("UnavailableError", "DataLossError", "StatusError", "exception_type_from_error_code", "make_exception"),
]
STORE = ["MetadataStore", "ListOptions", "OrderByField", "downgrade_schema"]
SYSTEM_TYPES = ["Dataset", "Model", "Statistics", "Metrics", "Train", "Transform", "Process", "Evaluate", "Deploy"]

# Module -> the public names that a user of ML Metadata imports from it.
OFFERED = {
    "ml_metadata": [*STORE, "proto", "errors", "metadata_store", "__version__"],
    "ml_metadata.version": ["__version__"],
    "ml_metadata.errors": [*ERRORS, "OK", "CANCELLED", "NOT_FOUND", "UNAUTHENTICATED"],
    "ml_metadata.metadata_store": [*STORE, "metadata_store"],
    "ml_metadata.metadata_store.metadata_store": [*STORE, "ExtraOptions", "MAX_NUM_RESULT"],
    "ml_metadata.metadata_store.mlmd_types": ["ArtifactType", "ExecutionType", *SYSTEM_TYPES],
    "ml_metadata.proto": [*MESSAGES, "metadata_store_pb2"],
    "ml_metadata.proto.metadata_store_pb2": [*MESSAGES, *SERVER_MESSAGES, "INT", "UNKNOWN", "Value", "DESCRIPTOR"],
    "ml_metadata.proto.metadata_store_service_pb2": ["PutExecutionRequest", "GetLineageSubgraphResponse", "DESCRIPTOR"],
    "ml_metadata.proto.metadata_store_service_pb2_grpc": [
        *("MetadataStoreServiceStub", "MetadataStoreServiceServicer", "add_MetadataStoreServiceServicer_to_server"),
    ],
    "ml_metadata.simple_types.proto": [],
    "ml_metadata.simple_types.proto.simple_types_pb2": ["SimpleTypes", "DESCRIPTOR"],
}

# Run by the reference: the names of each of its modules that are not merely imported there.
ITS_NAMES = """
import importlib, json, sys, types
def own(value):
    return not isinstance(value, types.ModuleType) and getattr(value, "__module__", None) not in ("typing", "__future__")
names = {name: importlib.import_module(name) for name in json.loads(sys.argv[1])}
print(json.dumps({name: [n for n, v in vars(m).items() if n[0] != "_" and own(v)] for name, m in names.items()}))
"""
ITS_PICKLES = """
import pickle, sys
import ml_metadata as mlmd
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb
artifact = pb.Artifact(name="taxi", uri="s3://models/taxi/1")
artifact.properties["version"].int_value = 1
things = [artifact, pb.Event.Path(), mlmd.OrderByField.ID, metadata_store.MetadataStore, mlmd.ListOptions(limit=3)]
sys.stdout.buffer.write(pickle.dumps([*things, mlmd.errors.NotFoundError("no")], protocol=4))
"""


@pytest.fixture(scope="module")
def reference() -> Path:
    """The interpreter that has the reference."""
    python = python_of_reference()
    if isinstance(python, str):
        pytest.skip(python)
    return python


def run(code: str) -> str:
    """Return what a new process prints that finds the package and ours in the sources."""
    environ = {**os.environ, "PYTHONPATH": f"{COMPAT}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    return done.stdout.strip()


def public(module: ModuleType) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", FILES)
def test_a_module_holds_imports_and_nothing_else(name: str) -> None:
    docstring, *statements = ast.parse(FILES[name].read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    for node in statements:
        match node:
            case ast.ImportFrom(module=module):
                assert module in {"__future__", "typing", NAMESAKES.get(name)} or module in FILES
            case ast.Assign(targets=[ast.Name("__all__")]) | ast.AnnAssign(target=ast.Name("__version__")):
                pass
            case _:
                pytest.fail(f"{FILES[name]}:{node.lineno}")


@pytest.mark.parametrize("name", NAMESAKES)
def test_a_name_is_the_same_object_as_in_mlmd(name: str) -> None:
    ours, theirs = importlib.import_module(name), importlib.import_module(NAMESAKES[name])
    for key in getattr(theirs, "__all__", public(theirs)):
        value = getattr(theirs, key)
        if not isinstance(value, type(sys)):
            assert getattr(ours, key) is value, key


@pytest.mark.parametrize("name", OFFERED)
def test_every_documented_module_and_name_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert [key for key in OFFERED[name] if not hasattr(module, key)] == []


def test_every_python_module_of_mlmd_that_users_import_has_its_place_here() -> None:
    folders = ["proto", "metadata_store", "simple_types"]
    paths = [path for folder in folders for path in (ROOT / "mlmd" / folder).rglob("*.py")]
    parts = [path.relative_to(ROOT / "mlmd").with_suffix("").parts for path in paths]
    wanted = {".".join(["ml_metadata", *part]).removesuffix(".__init__") for part in parts}
    assert wanted | {"ml_metadata", "ml_metadata.errors", *OF_ITS_OWN} == set(FILES)


def test_every_name_of_the_published_package_is_there(reference: Path) -> None:
    modules = [name for name in FILES if not name.endswith(("simple_types", "simple_types.proto"))]
    done = subprocess.run([reference, "-c", ITS_NAMES, json.dumps(modules)], capture_output=True, check=True)
    for name, names in json.loads(done.stdout).items():
        module = importlib.import_module(name)
        assert [key for key in names if not hasattr(module, key)] == [], name
        assert names or name == "ml_metadata.version", name


def test_what_the_published_package_pickled_is_read_here_as_ours(reference: Path) -> None:
    pickled = subprocess.run([reference, "-c", ITS_PICKLES], capture_output=True, check=True).stdout
    assert b"ml_metadata.proto.metadata_store_pb2" in pickled
    artifact, path, order, store, options, error = pickle.loads(pickled)
    assert isinstance(artifact, mlmd.proto.Artifact)
    assert (artifact.name, artifact.properties["version"].int_value) == ("taxi", 1)
    assert isinstance(path, mlmd.proto.Event.Path)
    assert order is mlmd.OrderByField.ID
    assert store is mlmd.MetadataStore
    assert options == mlmd.ListOptions(limit=3)
    assert isinstance(error, mlmd.errors.NotFoundError)
    assert (error.message, error.error_code) == ("no", mlmd.errors.NOT_FOUND)


def test_a_message_pickled_here_comes_back_as_the_same_class() -> None:
    artifact = ml_metadata.proto.Artifact(name="taxi")
    again = pickle.loads(pickle.dumps(artifact))
    assert again == artifact
    assert type(again) is mlmd.proto.Artifact


def test_importing_the_top_package_is_enough_to_name_what_lies_below() -> None:
    code = (
        "import ml_metadata as mlmd\n"
        "assert mlmd.metadata_store.metadata_store.MetadataStore is mlmd.MetadataStore\n"
        "print(mlmd.errors.NotFoundError('x').error_code, mlmd.proto.metadata_store_pb2.INT, mlmd.__version__)"
    )
    assert run(code) == "5 1 1.21.0"


def test_a_module_of_messages_is_one_module_however_it_is_reached() -> None:
    code = (
        "import sys\n"
        "import ml_metadata.proto.metadata_store_pb2 as one\n"
        "from ml_metadata.proto import metadata_store_pb2 as two\n"
        "import ml_metadata\n"
        "assert one is two is ml_metadata.proto.metadata_store_pb2 is sys.modules['ml_metadata.proto.metadata_store_pb2']\n"
        "print(one.__name__)"
    )
    assert run(code) == "ml_metadata.proto.metadata_store_pb2"


def test_either_package_may_be_imported_first() -> None:
    check = "assert mlmd.proto.Artifact is ml_metadata.proto.Artifact"
    for first, second in [("mlmd", "ml_metadata"), ("ml_metadata", "mlmd")]:
        names = [name for name in [*FILES, *NAMESAKES.values()] if name.split(".")[0] == first]
        code = "\n".join([*(f"import {name}" for name in names), f"import {second}", check, "print('same')"])
        assert run(code) == "same"


def test_loading_a_module_again_changes_no_class() -> None:
    code = (
        "import importlib, sys, mlmd, mlmd.proto\n"
        f"names = {list(FILES)}\n"
        "before = {name: dict(vars(importlib.import_module(name))) for name in names}\n"
        "for name in names:\n"
        "    again = vars(importlib.reload(sys.modules[name]))\n"
        "    assert all(again[key] is value for key, value in before[name].items() if isinstance(value, type))\n"
        "print(mlmd.MetadataStore is sys.modules['ml_metadata'].MetadataStore)"
    )
    assert run(code) == "True"


def test_a_store_of_one_name_takes_messages_of_the_other() -> None:
    config = ml_metadata.proto.ConnectionConfig(fake_database=mlmd.proto.FakeDatabaseConfig())
    store = ml_metadata.MetadataStore(config)
    assert isinstance(store, mlmd.MetadataStore)
    with pytest.raises(ml_metadata.errors.NotFoundError) as caught:
        store.get_artifact_type("absent")
    assert isinstance(caught.value, mlmd.errors.StatusError)
    store.close()


def test_the_distribution_says_what_the_package_says() -> None:
    project = tomllib.loads((COMPAT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["name"], project["version"]) == ("ml-metadata", ml_metadata.__version__)
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ours["requires-python"]
    assert any(requirement.startswith(f"{ours['name']}>=") for requirement in project["dependencies"])
    assert "protobuf<7" in project["dependencies"]
    assert (COMPAT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_strict_type_checker_sees_the_classes(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text(
        "import ml_metadata as mlmd\n"
        "from ml_metadata import errors\n"
        "from ml_metadata.metadata_store import metadata_store, mlmd_types\n"
        "from ml_metadata.proto import metadata_store_pb2 as pb\n"
        "from ml_metadata.simple_types.proto import simple_types_pb2\n"
        "store = mlmd.MetadataStore(pb.ConnectionConfig())\n"
        "reveal_type(store.get_artifacts(metadata_store.ListOptions(limit=1)))\n"
        "reveal_type(mlmd.errors.NotFoundError is errors.NotFoundError)\n"
        "reveal_type(mlmd_types.Model().name)\n"
        "reveal_type(simple_types_pb2.SimpleTypes().artifact_types[0])\n"
        "pb.Nothing\n"
    )
    cache = ROOT / ".mypy_cache"  # What `make type` has read need not be read again.
    text, _, _ = api.run(
        ["--strict", "--cache-dir", str(cache), "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    )
    revealed = [line.split('"')[1] for line in text.splitlines() if "Revealed type" in line]
    message = "mlmd.proto.metadata_store_pb2"
    assert revealed == [f"list[{message}.Artifact]", "bool", "str", f"{message}.ArtifactType"], text
    assert text.count(" error: ") == 1, text
    assert 'has no attribute "Nothing"' in text
