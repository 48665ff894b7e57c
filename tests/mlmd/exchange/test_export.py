"""What ML Metadata cannot hold is told, and leaves a database that it can read; nothing is overwritten, nothing half-written is seen."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import run
from mlmd_files import rows_of, sqlite_config
from raw import RawStore

from mlmd.engine import Engine
from mlmd.exchange import encode, exporting
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from client import Reference

ARMS = {"d": pb.DOUBLE, "s": pb.STRING, "p": pb.PROTO}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store with everything that ML Metadata cannot hold."""
    store = RawStore(Engine(open_folder(tmp_path / "store", create=True)))
    types = service.PutTypesRequest(
        artifact_types=[pb.ArtifactType(name="Data", properties=ARMS, external_id="x")],
        context_types=[pb.ContextType(name="Pipe", external_id="x")],
    )
    store.ask("PutTypes", types)
    first = pb.Artifact(type_id=10, name="a", uri="cut\0here")
    first.properties["d"].double_value = math.nan
    first.properties["s"].string_value = "__MLMD_NULL__"
    first.properties["p"].proto_value.value = b"\x08\x01"
    first.custom_properties["s"].string_value = "mlmd-struct::CgA="
    first.custom_properties["d"].double_value = 0.1 + 0.2
    first.custom_properties["inf"].double_value = -math.inf
    first.custom_properties["zero"].double_value = -0.0
    first.custom_properties["kept"].string_value = "kept"
    second = pb.Artifact(type_id=10, name="__MLMD_NULL__")
    second.custom_properties["d"].double_value = math.nan
    store.ask("PutArtifacts", service.PutArtifactsRequest(artifacts=[first, second]))
    store.close()
    return tmp_path / "store"


def test_what_ml_metadata_cannot_hold_is_listed_and_left_out_where_it_would_poison(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "back.db"
    told = json.loads(run("-s", str(place), "export", "mlmd", str(file), "--json").stdout)
    assert {(one["table"], one["what"]): (one["values"], one["first"]) for one in told["notes"]} == {
        ("Artifact", encode.NAN): (2, "id 1, property d"),
        ("Artifact", encode.SENTINEL): (1, "id 1, property s"),
        ("Artifact", encode.NO_TYPE_URL): (1, "id 1, property p"),
        ("Artifact", encode.LOOKS_LIKE_STRUCT): (1, "id 1, property s"),
        ("Artifact", encode.DIGITS): (1, "id 1, property d"),
        ("Artifact", encode.ZERO): (1, "id 1, property zero"),
        ("Artifact", encode.NUL): (1, "id 1, uri"),
        ("Artifact", encode.NULL_FIELD): (1, "id 2, name"),
        ("Type", exporting.EXTERNAL_ID_TAKEN): (1, "id 11, external_id"),
    }
    kept = {(row["name"], row["double_value"] or row["string_value"]) for row in rows_of(file, "ArtifactProperty")}
    assert kept == {("d", 0.1 + 0.2), ("inf", -math.inf), ("kept", "kept"), ("zero", None)}
    (zero,) = [row["double_value"] for row in rows_of(file, "ArtifactProperty") if row["name"] == "zero"]
    assert str(zero) == "0.0"
    shown = run("-s", str(place), "export", "mlmd", str(tmp_path / "again.db"))
    assert f"2 in Artifact (id 1, property d): {encode.NAN}" in shown.stdout
    assert (tmp_path / "again.db").read_bytes() == file.read_bytes()


def test_the_reference_reads_what_is_left(place: Path, tmp_path: Path, reference: Reference) -> None:
    assert run("-s", str(place), "export", "mlmd", str(tmp_path / "back.db")).exit_code == 0
    handle = reference.open(sqlite_config(tmp_path / "back.db").SerializeToString())
    code, message, data = reference.call(handle, "GetArtifacts", b"")
    assert code == 0, message
    first, second = service.GetArtifactsResponse.FromString(data).artifacts
    assert (first.uri, first.custom_properties["inf"].double_value) == ("cut", -math.inf)
    assert not second.HasField("name")
    put = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10)])
    code, message, data = reference.call(handle, "PutArtifacts", put.SerializeToString())
    assert service.PutArtifactsResponse.FromString(data).artifact_ids == [3], message
    reference.close(handle)


def test_an_export_overwrites_nothing_and_leaves_nothing_behind(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.db").write_text("mine")
    before = sorted(one.name for one in tmp_path.iterdir())
    for file, said in (
        (tmp_path / "there.db", "is there already"),
        (tmp_path / "nowhere" / "x.db", "does not exist"),
        (tmp_path / "there.db" / "x.db", "does not exist"),
    ):
        result = run("-s", str(place), "export", "mlmd", str(file))
        assert result.exit_code == 1, result.output
        assert said in result.stderr

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(exporting._Export, "_events", failing)
    result = run("-s", str(place), "export", "mlmd", str(tmp_path / "new.db"))
    said = f"evlog: {tmp_path / 'new.db'}: database or disk is full\ntry: evlog export --help\n"
    assert (result.exit_code, result.stderr) == (1, said)
    assert sorted(one.name for one in tmp_path.iterdir()) == before
    assert run("-s", str(tmp_path / "none"), "export", "mlmd", str(tmp_path / "new.db")).exit_code == 1
    assert run("-s", str(place), "export", "csv", str(tmp_path / "new.db")).exit_code == 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that nobody can sync")
def test_neither_export_nor_import_minds_what_lies_beside_it(place: Path, tmp_path: Path) -> None:
    """As in /tmp, where folders of others are that one may not open."""
    (tmp_path / "others").symlink_to("/proc", target_is_directory=True)
    for words in ((place, "export", "mlmd", tmp_path / "x.db"), (tmp_path / "new", "import", tmp_path / "x.db")):
        done = run("-s", *map(str, words))
        assert done.exit_code == 0, done.stderr


def test_an_export_is_of_one_moment_though_others_put(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = exporting._Export._nodes
    engine = Engine(open_folder(place))

    def meanwhile(self: exporting._Export, kind: object) -> None:
        put = METHODS["PutArtifacts"]
        engine.call(put, put.request(artifacts=[pb.Artifact(type_id=10)]))
        nodes(self, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting._Export, "_nodes", meanwhile)
    assert run("-s", str(place), "export", "mlmd", str(tmp_path / "back.db")).exit_code == 0
    assert len(rows_of(tmp_path / "back.db", "Artifact")) == 2
    engine.close()
