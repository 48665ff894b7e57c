"""`evlog export rocrate`: what the `rocrate` library reads is the run, and no name in the store leads out of the folder."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from exchanged import CACHED, DATA, FAILED, MODEL, ODD, TRAINED, odd_store
from stores import opened, run

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words

if TYPE_CHECKING:
    from pathlib import Path

rocrate = pytest.importorskip("rocrate.rocrate", reason="needs the extra `rocrate`")
prov = pytest.importorskip("prov.model", reason="needs the extra `prov`")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("crates") / "store"
    odd_store(place).close()
    return place


def crate_of(place: Path, folder: Path, run_id: int, *words: str) -> Any:
    result = run("-s", place, "export", "rocrate", f"run:{run_id}", folder, *words)
    assert result.exit_code == 0, result.output
    text = (folder / "ro-crate-metadata.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=pytest.fail)
    return rocrate.ROCrate(folder)


def action_of(crate: Any) -> Any:
    [action] = crate.root_dataset["mentions"]
    return action


def test_the_library_reads_the_run_by_its_profile(place: Path, tmp_path: Path) -> None:
    crate = crate_of(place, tmp_path / "crate", TRAINED)
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert crate.metadata["conformsTo"] == "https://w3id.org/ro/crate/1.1"
    assert all(crate.root_dataset.get(field) for field in ("name", "description", "datePublished"))
    status = json.loads(run("-s", place, "status", "--json").stdout)
    assert [crate.root_dataset[field] for field in ("log", "offset", "root")] == [
        status["log_id"],
        status["records"],
        status["root"],
    ]
    action = action_of(crate)
    assert (action.type, action["instrument"]["name"]) == ("CreateAction", "Trainer")
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert action["endTime"] == "2023-11-14T22:13:20.123Z"
    assert "ana@example.org" in {one["name"] for one in action["agent"]}
    given = {one["name"]: one for one in action["object"]}
    assert set(given) == {"taxi:7", "lr", "deep"}
    taxi = given["taxi:7"]
    assert (taxi.id, taxi.type, taxi["version"]) == ("s3://b/taxi/7", "File", "7")
    assert taxi["creativeWorkStatus"] == "Tainted: label leak"
    assert given["lr"]["value"] == 0.1
    assert json.loads(given["deep"]["value"]) == {"a": [1.0, None, {"b": ODD}]}
    made = {one["name"]: one for one in action["result"]}
    assert set(made) == {f"art:{MODEL}", "loss"}
    assert made["loss"]["value"] == "nan"
    assert made[f"art:{MODEL}"].id == f"urn:evlog:log:{status['log_id']}:artifact/{MODEL}"
    assert {one["name"]: one["value"] for one in made[f"art:{MODEL}"]["additionalProperty"]}["big"] == 2**62
    parts = {one.id for one in crate.root_dataset["hasPart"]}
    assert parts == {taxi.id, made[f"art:{MODEL}"].id}


def test_a_recorded_run_names_its_code_and_its_command(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(opened(place)) as store:
        kind = store.put_execution_type(pb.ExecutionType(name="Trainer"))
        one = pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)
        for key, value in ((words.CODE, "ab12"), (words.COMMIT, "cd34"), (words.COMMAND, "train.py --fast")):
            one.custom_properties[key].string_value = value
        store.put_executions([one])
    action = action_of(crate_of(place, tmp_path / "crate", 1))
    told = [action["instrument"][field] for field in ("identifier", "softwareVersion", "description")]
    assert (told, action["actionStatus"]) == (
        ["ab12", "cd34", "train.py --fast"],
        "http://schema.org/ActiveActionStatus",
    )


def test_a_failed_and_a_cached_run_say_so(place: Path, tmp_path: Path) -> None:
    failed = action_of(crate_of(place, tmp_path / "failed", FAILED))
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"].startswith("Traceback\n")
    assert not failed.get("result")  # It is pending.
    cached = action_of(crate_of(place, tmp_path / "cached", CACHED))
    assert cached["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert [one.id for one in cached["object"]] == ["s3://b/taxi/7"]


def test_the_proof_and_the_lineage_lie_beside_it(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crate"
    crate = crate_of(place, folder, TRAINED, "--proof", "--lineage")
    assert {path.name for path in folder.iterdir()} == {"ro-crate-metadata.json", "run.tlog-proof", "lineage.prov.json"}
    assert {"run.tlog-proof", "lineage.prov.json"} <= {one.id for one in crate.root_dataset["hasPart"]}
    told = run("check", folder / "run.tlog-proof", "--root", crate.root_dataset["root"])
    assert told.exit_code == 0, told.output
    text = (folder / "lineage.prov.json").read_text(encoding="utf-8")
    document = prov.ProvDocument.deserialize(content=text, format="json")
    assert document.get_record(f"log:artifact/{DATA}")


def test_the_same_run_is_the_same_crate(place: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        crate_of(place, tmp_path / name, TRAINED, "--lineage")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


URIS = [
    "../../etc/passwd",
    "/etc/passwd",
    "ro-crate-metadata.json",
    "./",
    "#actor-root",
    "javascript:alert(1)",
    "JavaScript://%0aalert(1)",
    "data://text/html,<script>alert(1)</script>",
    "http://[nonsense",
    "https://example.org/a b/\u2028<script>?q=%2e%2e#x",
    "s3://b/folder/",
    "s3://b/folder/",
    "urn:evlog:log:00:artifact/1",
    " s3://b/x\n",
    "",
]


def test_no_name_leads_out_of_the_folder_or_takes_anothers_place(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(opened(place)) as store:
        data = store.put_artifact_type(pb.ArtifactType(name=ODD))
        kind = store.put_execution_type(pb.ExecutionType(name=f"../{ODD}"))
        one = pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)
        for key in ("./", "../x", ODD, ""):
            one.custom_properties[words.PARAMETER + key].string_value = ODD
            one.custom_properties[words.TAG + key].string_value = ODD
        artifacts = [pb.Artifact(type_id=data, uri=uri) for uri in URIS]
        with store.acting(actor="../../actor"):
            store.put_execution(one, [(node, pb.Event(type=pb.Event.INPUT)) for node in artifacts], [])
    folder = tmp_path / "crate"
    crate = crate_of(place, folder, 1)
    assert [path.name for path in folder.iterdir()] == ["ro-crate-metadata.json"]
    data_entities = [entity for entity in action_of(crate)["object"] if entity.type in ("File", "Dataset")]
    assert len(data_entities) == len(URIS)
    assert len({entity.id for entity in data_entities}) == len(URIS)
    for entity in data_entities:
        assert entity.id.startswith(("urn:evlog:log:", "s3://", "https://")), entity.id
        assert not set(entity.id) & set(" <>\n\u2028")
    assert {entity.id for entity in data_entities if entity.id.startswith(("s3", "https"))} == {
        "s3://b/folder/",
        "s3://b/x",
        "https://example.org/a%20b/%E2%80%A8%3Cscript%3E?q=%2e%2e#x",
    }
    graph = json.loads((folder / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    ids = [entity["@id"] for entity in graph]
    assert len(ids) == len(set(ids))
    assert crate.write_zip(tmp_path / "crate.zip")  # Which looks for every file that is a part.


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run:99", "new"), 1, "there is no run:99"),
        (("art:1", "new"), 2, "of one run"),
        (("new",), 2, "of one run"),
        (("run:1", "there"), 1, "is there already"),
        (("run:1", "new", "--follow"), 2, "--follow is not for rocrate"),
        (("run:1", "no/such/new"), 1, "does not exist"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_left(
    place: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "there").mkdir()
    result = run(
        "-s", place, "export", "rocrate", *(tmp_path / one if "new" in one or one == "there" else one for one in words)
    )
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert run("-s", place, "export", "prov", tmp_path / "new", "--proof").exit_code == 2
