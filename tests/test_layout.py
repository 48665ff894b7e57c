"""Imports point down: mlmd -> replay -> projections -> evlog -> msgspec. Libraries stay in their package."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parent.parent
LAYERS = ["evlog", "projections", "replay", "mlmd"]
HOMES = {
    "apsw": "projections/sqlite",
    "duckdb": "projections/duck",
    "nanoarrow": "projections/duck",
    "grpc": "mlmd",
    "grpc_health": "mlmd/serving/server.py",
    "grpc_reflection": "mlmd/serving/server.py",
    "google.protobuf": "mlmd",
    "pymysql": "mlmd/exchange/sources.py",
    "psycopg": "mlmd/exchange/sources.py",
    "mcp": "mlmd/cli/agents.py",
    "prov": "mlmd/exchange/prov.py",
    "rocrate": "mlmd/exchange/rocrate.py",
    "openlineage": "mlmd/exchange/openlineage",
    "attr": "mlmd/exchange/openlineage/facets.py",  # Comes with openlineage; its classes are made with it.
    "requests": "mlmd/exchange/openlineage/sending.py",  # Comes with openlineage; its transport raises its errors.
    "starlette": "mlmd",
    "jinja2": "mlmd/web",
    "markupsafe": "mlmd/web",  # Comes with jinja2: texts that are markup already.
    "uvicorn": "mlmd/serving/http.py",
    "h11": "mlmd/serving/http.py",
    "click": "mlmd/cli",
    "rich": "mlmd/cli",
    "google_crc32c": "evlog",
    "cryptography": "evlog",
    "zstandard": "evlog/seekable.py",
    "fcntl": "evlog/files.py",
    "mlflow": "mlmd/mlflow",
    "watchfiles": "replay/wake.py",
}
ALLOWED = {"msgspec", "grpc_tools", "mypy_protobuf", *HOMES}
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names if node.module == "google"]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_from_its_own_layer_and_below(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    above = LAYERS[LAYERS.index(layer) + 1 :]
    wrong = [f"{path}:{line}: {name}" for line, name in imports(path) if name.split(".")[0] in above]
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_library_is_imported_only_in_its_home(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    for line, name in imports(path):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names and top != "fcntl":
            continue
        if top in LAYERS or name == "google":
            continue
        home = next(
            (home for library, home in HOMES.items() if name == library or name.startswith(f"{library}.")), None
        )
        assert home is not None or top in ALLOWED, f"{place}:{line}: {name} is no dependency"
        assert home is None or place.startswith(home), f"{place}:{line}: {name} belongs in {home}"


def test_only_one_module_touches_files_of_the_log() -> None:
    calls = {"open", "fsync", "fdatasync", "rename", "replace", "truncate", "ftruncate", "unlink", "pwrite"}
    for path in sorted((ROOT / "evlog").glob("*.py")):
        if path.name == "files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in calls:
                owner = node.func.value
                assert not (isinstance(owner, ast.Name) and owner.id in {"os", "path", "shutil"}), (
                    f"{path}:{node.lineno}"
                )
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "open", f"{path}:{node.lineno}"


def test_a_segment_is_opened_by_what_knows_both_its_forms() -> None:
    for path in MODULES:
        if path.name not in ("segment.py", "compression.py"):
            assert "open(segment.name_of" not in path.read_text(encoding="utf-8"), f"{path}: segment.open_file"
