"""The commands of evidence: keys, checkpoint, prove, check, verify --since; and everything one may give them that is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import published
import pytest
from click.testing import CliRunner, Result
from witnessing import Witness, serving

from evlog import identity
from evlog.files import RealFolder
from evlog.tlog import checkpoint, evidence, keys, note
from mlmd import MetadataStore
from mlmd.cli import cli
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

SEGMENT = f"{0:020d}.seg"


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="evlog")


def fine(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object, code: int = 1) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("evlog: "), result.stderr
    assert "unexpected" not in result.stderr
    return result.stderr


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("evidence") / "demo"
    fine("demo", "--guide", place)
    return place


@pytest.fixture
def place(demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo, tmp_path / "store", symlinks=True))


@pytest.fixture
def signed(place: Path) -> Path:
    """A store with a key, a checkpoint and, beside it, the policy, an anchor and a proof."""
    fine("-s", place, "keys", "new")
    Path("policy").write_text(fine("-s", place, "keys", "policy"), encoding="utf-8")
    Path("anchors").mkdir()
    fine("-s", place, "checkpoint", "--copy-to", "anchors")
    fine("-s", place, "prove", "art:2", "-O", "model.tlog-proof")
    return place


def put(place: Path, name: str) -> None:
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))
    store.put_context_type(pb.ContextType(name=name))
    store.close()


def key_of(place: Path) -> Path:
    return keys.place_of(identity.read(RealFolder(place / "log")).log_id)


def standalone(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(published.VERIFIER), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_a_key_to_a_proof_that_needs_no_store(signed: Path) -> None:
    shutil.rmtree(signed)
    told = json.loads(fine("check", "model.tlog-proof", "--policy", "policy", "--json"))
    assert told["proven"] is True
    assert (told["api"], told["shown"]) == ("PutArtifacts", "1 of 1 changes")
    assert [one["id"] for one in told["changes"]] == [2]
    assert "signed by" in fine("check", "model.tlog-proof", "--policy", "policy")
    done = standalone("model.tlog-proof", "policy")
    assert done.returncode == 0, done.stderr
    other = json.loads(done.stdout)
    assert (other["offset"], other["envelope"]["actor"], other["root"]) == (told["offset"], told["actor"], told["root"])
    assert other["shown"]["0"]["uri"] == told["changes"][0]["uri"]


def test_a_proof_is_checked_with_the_key_that_is_shown(signed: Path) -> None:
    proof, shown = "model.tlog-proof", json.loads(fine("-s", signed, "keys", "show", "--json"))
    found = json.loads(fine("check", proof, "--key", shown["public"], "--json"))
    assert (found["proven"], found["signed_by"]) == (True, [shown["origin"]])
    assert "nothing is proven" in refused("check", proof, "--key", keys.new(shown["origin"]).verifier.vkey)
    for wrong in ("nonsense", shown["key"], ""):
        assert "`evlog keys show`" in refused("check", proof, "--key", wrong, code=2)
    for several in ([], ["--key", shown["public"], "--root", "00"], ["--policy", "policy", "--root", "00"]):
        assert "whom do you trust? give one of --policy" in refused("check", proof, *several, code=2)


@pytest.mark.parametrize("thing", ["art:1", "art:2", "run:1", "ctx:1", "type:Trainer", "#0", "#3", "#12"])
def test_every_thing_and_every_record_can_be_proven(signed: Path, thing: str) -> None:
    told = json.loads(fine("-s", signed, "prove", thing, "-O", "proof", "--json"))
    checked = json.loads(fine("check", "proof", "--policy", "policy", "--json"))
    assert checked["offset"] == int(told["record"][1:])
    assert checked["root"] == told["root"]
    assert checked["changes"]
    if thing.startswith("#"):
        assert told["record"] == thing
    assert standalone("proof", "policy").returncode == 0


def test_a_store_without_a_key_says_unsigned_in_every_proof(place: Path) -> None:
    told = json.loads(fine("-s", place, "prove", "run:1", "-O", "proof", "--json"))
    assert told["signed_by"] == "unsigned"
    assert b"\nunsigned\n" in Path("proof").read_bytes()
    assert not (place / "tlog").exists(), "nothing was signed, so nothing is published"
    Path("policy").write_text(f"log {keys.new(told['log']).verifier.vkey}\nquorum none\n", encoding="utf-8")
    assert "nobody signed" in refused("check", "proof", "--policy", "policy")
    assert standalone("proof", "policy").returncode == 1
    root = json.loads(fine("-s", place, "status", "--json"))["root"]
    assert json.loads(fine("check", "proof", "--root", root, "--json"))["signed_by"] == []
    assert "not the one that you know" in refused("check", "proof", "--root", "00")


def test_a_proof_of_what_is_not_signed_yet_is_signed_if_there_is_a_key_and_refused_if_not(signed: Path) -> None:
    key = key_of(signed)
    put_without_key(signed, key)
    fine("-s", signed, "prove", "type:New", "-O", "proof")
    assert json.loads(fine("check", "proof", "--policy", "policy", "--json"))["offset"] == 13
    put_without_key(signed, key, "Newer")
    key.rename("elsewhere")
    assert "no key to sign another" in refused("-s", signed, "prove", "type:Newer", "-O", "proof")
    fine("-s", signed, "prove", "type:New", "-O", "proof")


def test_status_tells_how_much_is_signed(signed: Path, demo: Path) -> None:
    put_without_key(signed, key_of(signed))
    told = json.loads(fine("-s", signed, "status", "--json"))
    assert (told["records"], told["signed_records"], told["anchored_records"]) == (14, 13, 13)
    assert "anchored records  13" in fine("-s", signed, "status")
    assert json.loads(fine("-s", demo, "status", "--json"))["signed_records"] is None
    (signed / "tlog" / "checkpoint").write_bytes(b"x")
    assert json.loads(fine("-s", signed, "status", "--json"))["signed_records"] is None


def put_without_key(place: Path, key: Path, name: str = "New") -> None:
    key.rename("away")
    put(place, name)
    Path("away").rename(key)


def test_a_key_is_made_once_and_its_secret_is_never_shown(place: Path) -> None:
    result = run("-s", place, "keys", "new", "-k", "my.key")
    secret = Path("my.key").read_text(encoding="utf-8").split("+", 4)[-1].strip()
    assert result.exit_code == 0
    assert secret not in result.output + fine("-s", place, "keys", "show", "-k", "my.key")
    assert "never replaced" in refused("-s", place, "keys", "new", "-k", "my.key")
    assert "no signing key for this store" in refused("-s", place, "keys", "show")
    assert "keys new" in refused("-s", place, "checkpoint")
    Path("my.key").chmod(0o644)
    assert "chmod 600" in refused("-s", place, "checkpoint", "-k", "my.key")
    refused("-s", place, "checkpoint", "-k", "none.key")
    refused("-s", place, "keys", "turn", code=2)


def test_a_key_named_by_the_environment_signs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine("-s", place, "keys", "new", "-k", "my.key")
    monkeypatch.setenv("EVLOG_KEY", "my.key")
    put(place, "New")
    assert checkpoint.parse((place / "tlog" / "checkpoint").read_bytes()).checkpoint.size == 14


def test_a_file_of_a_checkpoint_never_goes_back(signed: Path) -> None:
    fine("-s", signed, "checkpoint", "--copy-to", "last.txt")
    shutil.copytree(signed, "old", symlinks=True)
    put(signed, "New")
    fine("-s", signed, "checkpoint", "--copy-to", "last.txt")
    newer = Path("last.txt").read_bytes()
    assert "the log ends at record 13, 14 were acknowledged" in refused(
        "-s", "old", "checkpoint", "--copy-to", "last.txt", code=3
    )
    Path("old/anchors").unlink()
    assert "old copy" in refused("-s", "old", "checkpoint", "--copy-to", "last.txt", code=3)
    keys.memory_of(key_of(signed)).unlink()  # Not even the key knows that there was more.
    assert "another history" in refused("-s", "old", "checkpoint", "--copy-to", "last.txt", code=3)
    Path("else").write_text("my diary", encoding="utf-8")
    assert "no note" in refused("-s", signed, "checkpoint", "--copy-to", "else")
    fine("demo", "--guide", "other")
    fine("-s", "other", "keys", "new")
    assert "it stays as it is" in refused("-s", "other", "checkpoint", "--copy-to", "last.txt")
    assert "no such folder" in refused("-s", signed, "checkpoint", "--copy-to", "none/last.txt")
    assert (Path("last.txt").read_bytes(), Path("else").read_text(encoding="utf-8")) == (newer, "my diary")
    fine("-s", signed, "checkpoint", "--copy-to", "anchors")
    assert len([*Path("anchors").iterdir()]) == 2


def test_witnesses_are_asked_and_their_quorum_is_needed(signed: Path) -> None:
    log = note.parse_vkey(Path("policy").read_text(encoding="utf-8").split()[1])
    with serving(Witness(log)) as witness:
        text = f"log {log.vkey}\nwitness w {witness.verifier.vkey}\nquorum w\n"
        Path("strict").write_text(text, encoding="utf-8")
        refused("-s", signed, "checkpoint", "--witness", witness.url, code=2)
        refused("-s", signed, "checkpoint", "--policy", "strict", code=2)
        result = run("-s", signed, "checkpoint", "--witness", "http://127.0.0.1:1", "--policy", "strict")
        assert (result.exit_code, "cannot be reached" in result.stderr, "quorum" in result.stderr) == (1, True, True)
        refused("check", "model.tlog-proof", "--policy", "strict")
        asked = ("checkpoint", "--witness", witness.url, "--policy", "strict", "--json")
        assert json.loads(fine("-s", signed, *asked))["witnesses"] == ["witness.example"]
    put(signed, "New")  # Signed by the log alone, and no better.
    fine("-s", signed, "prove", "art:2", "-O", "proof")
    assert json.loads(fine("check", "proof", "--policy", "strict", "--json"))["witnesses"] == ["w"]
    assert json.loads(standalone("proof", "strict").stdout)["signed_by"] == [log.name, "w"]
    assert findings(0, "-s", signed, "verify") == []


def tampered() -> Sequence[bytes]:
    data = Path("model.tlog-proof").read_bytes()
    return [
        data[:-10],
        data.replace(b"\n13\n", b"\n14\n"),
        data.replace(b"index 7", b"index 8"),
        data.replace(b"extra TUxK", b"extra TUxL"),
        b"",
        b"\xff" * 100,
        data.partition(b"\n\n")[0],
        data.partition(b"\n\n")[2],
    ]


@pytest.mark.usefixtures("signed")
def test_a_tampered_proof_is_refused_in_words() -> None:
    for data in tampered():
        Path("bad").write_bytes(data)
        assert "nothing is proven" in refused("check", "bad", "--policy", "policy")
        done = standalone("bad", "policy")
        assert (done.returncode, done.stderr[:10]) == (1, "NOT PROVEN")


@pytest.mark.usefixtures("signed")
def test_a_wrong_policy_is_refused_in_words() -> None:
    proof = "model.tlog-proof"
    for text in (
        "",
        "quorum none\n",
        "log x\nquorum none\n",
        f"log {keys.new('evlog/x').verifier.vkey}\nquorum none\n",
    ):
        Path("bad").write_text(text, encoding="utf-8")
        refused("check", proof, "--policy", "bad")
        assert standalone(proof, "bad").returncode == 1
    refused("check", proof, code=2)
    refused("check", proof, "--policy", "policy", "--root", "00", code=2)
    refused("check", "none", "--policy", "policy", code=2)
    refused("check", proof, "--policy", "none", code=2)
    refused("check", "anchors", "--policy", "policy", code=2)
    assert standalone(proof, "none").returncode == 1
    assert standalone(proof).returncode == 1


@pytest.mark.parametrize("thing", ["art:99", "art", "type:None", "#99", "#x", "#", "", "#-1", "art:-1"])
def test_what_is_not_there_cannot_be_proven(signed: Path, thing: str) -> None:
    result = run("-s", signed, "prove", thing, "-O", "proof")
    assert result.exit_code in (1, 2), result.output
    assert "unexpected" not in result.output
    assert not Path("proof").exists()


def test_a_proof_goes_where_it_can_be_written(signed: Path) -> None:
    assert "no such folder" in refused("-s", signed, "prove", "art:2", "-O", "none/proof", code=2)
    refused("-s", signed, "prove", "art:2", "-O", "anchors", code=2)
    os.mkfifo("pipe")  # Anything that is no file is left as it is, a device above all.
    for target in ("pipe", ""):
        assert "is not a file" in refused("-s", signed, "prove", "art:2", "-O", target, code=2)
    assert "is not a file" in refused("-s", signed, "checkpoint", "--copy-to", "pipe")
    assert Path("pipe").is_fifo()
    Path("link").symlink_to("file")
    fine("-s", signed, "prove", "art:2", "-O", "link")
    assert Path("link").is_symlink()
    assert Path("file").is_file()


def test_a_file_without_end_is_not_read_to_its_end(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "EVIDENCE_BYTES_MAX", 1_000_000)
    for words in (
        ("check", "model.tlog-proof", "--policy"),
        ("-s", signed, "verify", "--since"),
        ("-s", signed, "verify", "--policy"),
    ):
        assert "over the limit" in refused(*words, "/dev/zero")
    assert "over the limit" in refused("check", "/dev/zero", "--policy", "policy")


def test_a_proof_needs_a_place(signed: Path) -> None:
    refused("-s", signed, "prove", "art:2", code=2)


def test_no_proof_is_made_from_tampered_tiles_or_checkpoints(signed: Path) -> None:
    tile = signed / "tlog" / "tile" / "0" / "000.p" / "13"
    whole = tile.read_bytes()
    tile.write_bytes(bytes(32) + whole[32:])
    assert "does not lead" in refused("-s", signed, "prove", "art:2", "-O", "proof")
    tile.unlink()
    assert "missing" in refused("-s", signed, "prove", "art:2", "-O", "proof")
    tile.write_bytes(whole)
    file = signed / "tlog" / "checkpoint"
    data = file.read_bytes()
    (signed / "tlog" / "checkpoints" / "13").unlink()
    file.write_bytes(data.replace(b"\n13\n", b"\n12\n"))
    assert "signature" in refused("-s", signed, "prove", "art:2", "-O", "proof")
    file.write_bytes(b"x")
    assert "damaged" in refused("-s", signed, "prove", "art:2", "-O", "proof")
    assert not Path("proof").exists()


def findings(code: int, *words: object) -> list[dict[str, Any]]:
    result = run(*words, "--json")
    assert result.exit_code == code, result.output
    told: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return told


def test_a_record_that_is_not_there_is_named_as_it_was_asked_for(signed: Path) -> None:
    assert "there is no record #13: the log holds 13, from #0 on" in refused("-s", signed, "prove", "#13", "-O", "none")


def test_verify_finds_what_was_changed_beside_the_tiles(signed: Path) -> None:
    kept = (signed / "tlog" / "policy").read_bytes()
    for data in (kept[:20], kept + b"\0", b"\xff"):
        (signed / "tlog" / "policy").write_bytes(data)
        for words in ((), ("--policy", "policy")):
            [damage] = [one for one in findings(3, "-s", signed, "verify", *words) if one["severity"] == "damage"]
            assert (damage["file"], damage["position"]) == (str(signed / "tlog" / "policy"), 0)
            assert "`evlog checkpoint` names its key anew" in damage["what"]
    (signed / "tlog" / "policy").unlink()
    fine("-s", signed, "checkpoint")
    assert (signed / "tlog" / "policy").read_bytes() == kept
    kept = (signed / "tlog" / "checkpoint").read_bytes()
    (signed / "tlog" / "checkpoints" / "7").write_bytes(kept)
    [damage] = findings(3, "-s", signed, "verify")
    assert damage["what"] == "the checkpoint is over 13 records, its name says another number"
    assert (damage["file"], damage["offset"]) == (str(signed / "tlog" / "checkpoints" / "7"), 13)


def test_verify_says_that_a_log_begins_with_a_checkpoint(signed: Path) -> None:
    put(signed, "New")
    told = json.loads(fine("-s", signed, "verify", "--since", "anchors", "--policy", "policy", "--json"))
    assert (told["sound"], told["findings"], told["checkpoints"]) == (True, [], 3)
    since, newest = told["since"]
    assert (since["size"], since["to_size"], newest["size"]) == (13, 14, 14)
    assert len(since["path"]) == 4
    text = fine("-s", signed, "verify", "--since", "anchors", "--log-only")
    assert "begins with the 13 records of this checkpoint; 4 hashes show that #14 goes on from it" in text


def lose(place: Path, records: int) -> None:
    """Put the store back to its first records, as a clean, sound, older copy."""
    log = place / "log"
    shutil.rmtree(place / "views")
    shutil.rmtree(place / "tlog")
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))
    position = store._backend.log.frame(records).position
    store.close()
    data = (log / SEGMENT).read_bytes()[:position]
    (log / SEGMENT).write_bytes(data)
    (log / "HEAD").unlink()
    shutil.rmtree(place / "views")


def test_verify_reports_a_log_that_was_cut_as_soon_as_a_newer_checkpoint_is_at_hand(signed: Path) -> None:
    lose(signed, 9)
    Path("store/anchors").unlink()  # Else it would know where to look.
    assert all(one["severity"] == "note" for one in findings(0, "-s", signed, "verify"))
    [found] = [one for one in findings(3, "-s", signed, "verify", "--since", "anchors") if one["severity"] == "damage"]
    assert "ends at record 9, the checkpoint is over 13" in found["what"]


def test_verify_reports_a_clone_that_went_its_own_way(signed: Path) -> None:
    shutil.copytree(signed, "clone", symlinks=True)
    put(signed, "Here")
    fine("-s", signed, "checkpoint", "--copy-to", "last.txt")
    with pytest.raises(RuntimeError, match="14 were acknowledged"):
        put(Path("clone"), "There")
    Path("clone/anchors").unlink()
    put(Path("clone"), "There")
    found = findings(3, "-s", "clone", "verify", "--since", "last.txt")
    assert any("not those that the checkpoint was made for" in one["what"] for one in found)


def test_verify_reports_everything_that_is_wrong_with_what_is_published(signed: Path) -> None:
    assert findings(0, "-s", signed, "verify") == []
    tlog = signed / "tlog"
    for name in ("checkpoint", "checkpoints/13", "tile/0/000.p/13", "tile/entries/000.p/13"):
        data = (tlog / name).read_bytes()
        for at in range(0, len(data), 7):
            (tlog / name).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            found = findings(3, "-s", signed, "verify", "--log-only")
            assert any(one["severity"] == "damage" and str(tlog) in one["file"] for one in found), (name, at)
        (tlog / name).write_bytes(data)
    (tlog / "policy").unlink()
    assert {one["severity"] for one in findings(0, "-s", signed, "verify")} == {"note"}


def test_verify_refuses_what_is_no_checkpoint_of_this_log(signed: Path) -> None:
    fine("demo", "--guide", "other")
    fine("-s", "other", "keys", "new")
    fine("-s", "other", "checkpoint", "--copy-to", "foreign.txt")
    assert "this one is" in refused("-s", signed, "verify", "--since", "foreign.txt")
    assert "there is no checkpoint" in refused("-s", "other", "verify", "--since", "anchors")
    assert "no note" in refused("-s", signed, "verify", "--since", "policy")
    refused("-s", signed, "verify", "--since", "none", code=2)
    forged = checkpoint.parse(next(Path("anchors").iterdir()).read_bytes())
    data = forged.data.replace(b"\n13\n", b"\n12\n")
    Path("forged.txt").write_bytes(data)
    found = findings(3, "-s", signed, "verify", "--since", "forged.txt")
    assert any("signature" in one["what"] for one in found)


def test_what_a_damaged_log_cannot_bear_out_is_told_up_to_the_damage(tmp_path: Path, small_segments: int) -> None:
    """Not up to the number of records that can be read: those behind the damage are none of the first."""
    assert small_segments == 8
    fine("demo", "--guide", "many")
    fine("-s", "many", "keys", "new")
    first = tmp_path / "many" / "log" / SEGMENT
    fine("-s", "many", "checkpoint")
    data = bytearray(first.read_bytes())
    data[data.index(b"path/to/data")] ^= 1
    first.chmod(0o644)
    first.write_bytes(data)
    found = {one["what"]: one["offset"] for one in findings(3, "-s", "many", "verify") if "can be read" in one["what"]}
    [damaged] = [one["offset"] for one in findings(3, "-s", "many", "verify") if "checksum" in one["what"]]
    assert found == {f"the log can be read up to record {damaged}, the checkpoint is over 8": damaged}


def test_a_log_that_is_gone_beside_its_checkpoint_is_damage(signed: Path) -> None:
    shutil.rmtree(signed / "log")
    shutil.rmtree(signed / "views")
    assert run("-s", signed, "verify").exit_code == 3
    assert "the log is gone" in refused("-s", signed, "status", code=3)
    refused("-s", signed, "checkpoint")


def test_a_proof_of_many_changes_shows_them_all(signed: Path) -> None:
    store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(signed))))
    type_id = store.put_artifact_type(pb.ArtifactType(name="Many"))
    store.put_artifacts([pb.Artifact(type_id=type_id, uri=str(number)) for number in range(300)])
    end = store._backend.log.end
    store.close()
    fine("-s", signed, "prove", f"#{end - 1}", "-O", "proof")
    told = json.loads(fine("check", "proof", "--policy", "policy", "--json"))
    assert [one.get("uri") for one in told["changes"]] == [str(number) for number in range(300)]
    assert len(evidence.parse(Path("proof").read_bytes()).shown) == 300
    assert len(json.loads(standalone("proof", "policy").stdout)["shown"]) == 300


def test_actors_sign_and_a_stranger_can_check_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = json.loads(fine("--json", "keys", "new", "--actor", "ana", "-k", tmp_path / "ana.key"))
    assert json.loads(fine("--json", "keys", "show", "--actor", "ana", "-k", tmp_path / "ana.key")) == shown
    staff, others = tmp_path / "staff.keys", tmp_path / "others.keys"
    staff.write_text(f"# who may sign\n{shown['public']}\n", encoding="utf-8")
    others.write_text(keys.new("ana").verifier.vkey + "\n", encoding="utf-8")
    monkeypatch.delenv("EVLOG_ACTOR", raising=False)
    monkeypatch.setenv("EVLOG_ACTOR_KEY", str(tmp_path / "ana.key"))
    fine("demo", "--guide", "signed")
    monkeypatch.delenv("EVLOG_ACTOR_KEY")
    rows = json.loads(fine("-s", "signed", "--json", "log", "-n", "0"))
    assert {row["actor_key"] for row in rows} == {shown["public"]}
    records = len(rows)
    assert f"{records:,} records signed by {shown['public']}" in fine("-s", "signed", "verify", "--actors", staff)
    told = run("-s", "signed", "--json", "verify", "--actors", others)
    assert told.exit_code == 3
    assert len(json.loads(told.stdout)["findings"]) == records
    fine("-s", "signed", "prove", "#1", "-O", "put.tlog-proof")
    root = json.loads(fine("-s", "signed", "--json", "prove", "#1", "-O", "put.tlog-proof"))["root"]
    assert json.loads(fine("--json", "check", "put.tlog-proof", "--root", root))["actor_known"] is False
    checked = json.loads(fine("--json", "check", "put.tlog-proof", "--root", root, "--actors", staff))
    assert (checked["actor"], checked["auth"], checked["actor_key"], checked["actor_known"]) == (
        "ana",
        "signed",
        shown["public"],
        True,
    )
    assert "is not known to be" in refused("check", "put.tlog-proof", "--root", root, "--actors", others)


def test_a_proof_of_an_unsigned_record_does_not_pass_for_signed(demo: Path, tmp_path: Path) -> None:
    root = json.loads(fine("-s", demo, "--json", "prove", "#1", "-O", "put.tlog-proof"))["root"]
    (tmp_path / "staff.keys").write_text(keys.new("ana").verifier.vkey, encoding="utf-8")
    assert "no actor signed the record" in refused("check", "put.tlog-proof", "--root", root, "--actors", "staff.keys")


def test_odd_questions_for_keys_of_actors_are_refused(tmp_path: Path) -> None:
    refused("keys", "show", "--actor", "nobody")
    assert refused("keys", "policy", "--actor", "ana", code=2)
    assert refused("keys", "new", "--actor", "ana maria", code=2)
    fine("keys", "new", "--actor", "ana")
    assert "never replaced" in refused("keys", "new", "--actor", "ana")
    (tmp_path / "odd.keys").write_text("nonsense", encoding="utf-8")
    fine("demo", "--guide", "odd")
    assert "is no verifier key" in refused("-s", "odd", "verify", "--actors", "odd.keys")
