"""What a browser verifies with: tiles, checkpoints and frames over HTTP; and the chip of every page over a store that was tampered with."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
import signed
from insider import position_of, swap
from published import VERIFIER
from shown import Client
from stores import put, run

from evlog import frame, merkle, segment
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.proof import inclusion, root_of_inclusion
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.web.site import Site, application
from mlmd.web.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

PAGES = ("/", "/audit", "/audit/3", "/evidence", "/lineage", "/nowhere")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's store, 13 records, signed."""
    return signed.made(tmp_path_factory.mktemp("signed") / "store")


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return signed.copied(made, tmp_path, monkeypatch)


@pytest.fixture
def engine(place: Path) -> Iterator[Engine]:
    made = Engine(open_folder(place, writable=False))
    yield made
    made.close()


@pytest.fixture
def watch(place: Path) -> Iterator[Watch]:
    made = Watch(place)
    made.sweep()
    yield made
    made.close()


@pytest.fixture
def site(engine: Engine, place: Path, watch: Watch) -> Site:
    return Site(engine, "store", place=place, watch=watch.verified)


# What is served ---------------------------------------------------------------------------------------------------------


def test_a_record_is_proven_by_what_is_served_alone(browser: TestClient) -> None:
    kept = checkpoints.parse(browser.get("/tlog/checkpoint").content)
    shelf = MemoryShelf()
    for name in ("0/000.p/13", "entries/000.p/13"):
        shelf.files[f"tile/{name}"] = browser.get(f"/tlog/tile/{name}").content
    raw = browser.get("/tlog/records/7").content
    found = frame.HEADER.unpack_from(raw)
    body = raw[64 : 64 + found[2]]
    envelope, changes = frame.unpack_body(body, found[7])
    leaf = merkle.leaf(kind=1, flags=0, offset=7, time_us=found[9], envelope=envelope, changes=changes)
    assert leaf == Tiles(shelf).entries(0, 13)[7]
    path = inclusion(Tiles(shelf).node(13), 7, 13)
    assert root_of_inclusion(merkle.leaf_hash(leaf), 7, 13, path) == kept.checkpoint.root


def test_a_frame_is_served_as_it_stands_in_its_segment(browser: TestClient, place: Path) -> None:
    data = (place / "log" / segment.name_of(0)).read_bytes()
    for offset in range(13):
        raw = browser.get(f"/tlog/records/{offset}").content
        at = position_of(place, offset)
        assert data[at : at + len(raw)] == raw


def test_what_changes_is_not_kept_by_a_browser_and_what_does_not_is(browser: TestClient, place: Path) -> None:
    (place / "tlog" / "tile" / "0" / "001").write_bytes(bytes(256 * 32))
    assert "immutable" in browser.get("/tlog/tile/0/001").headers["cache-control"]
    for path in (
        "/tlog/checkpoint",
        "/tlog/tile/0/000.p/13",
        "/tlog/records/0",
        "/tlog/policy",
        "/tlog/checkpoints/13",
    ):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), path
    assert browser.get("/tlog/tile/0/001").headers["content-type"] == "application/octet-stream"
    assert browser.get("/tlog/checkpoint").headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "tile/..%2f..%2fLOCK",
        "tile/%2e%2e/%2e%2e/resume",
        "tile/0/000.p/%2e%2e/%2e%2e/%2e%2e/policy",
        "tile/64/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/013",
        "tile/0/000/",
        "tile/-1/000",
        "tile/entries",
        "tile/0/٠٠٠",
        "tile/0/000%00",
        "tile/0/000%0a",
        "checkpoints/..",
        "checkpoints/x",
        "checkpoints/..%2fpolicy",
        "records/x",
        "records/-1",
        "records/99999999999999999999",
        "records/13",
        "resume",
        "LOCK",
        "",
    ],
)
def test_nothing_else_is_served(browser: TestClient, path: str) -> None:
    answer = browser.get(f"/tlog/{path}")
    assert answer.status_code == 404, answer.content
    assert "evlog/" not in answer.text


def test_what_is_not_published_is_said(browser: TestClient, place: Path) -> None:
    assert "over the first 13 records" in browser.get("/tlog/tile/0/000.p/14").json()["message"]
    put(place, "a")
    assert browser.get("/tlog/records/13").status_code == 200  # A record is there before it is signed.


def test_a_store_that_nobody_signs_says_so(tmp_path: Path) -> None:
    assert run("init", tmp_path / "plain").exit_code == 0
    engine = Engine(open_folder(tmp_path / "plain"))
    browser = Client(application(Site(engine, "plain", place=tmp_path / "plain")))
    for path in ("checkpoint", "tile/0/000.p/1", "policy"):
        answer = browser.get(f"/tlog/{path}")
        assert answer.status_code == 404
        assert "nobody signs it" in answer.json()["message"]
    assert browser.get("/tlog/records/0").status_code == 200
    engine.close()


# Evidence to take along ---------------------------------------------------------------------------------------------------


def test_a_proof_that_was_fetched_is_checked_by_the_command(browser: TestClient, place: Path, tmp_path: Path) -> None:
    answer = browser.get("/audit/7.tlog-proof")
    assert 'filename="record-7.tlog-proof"' in answer.headers["content-disposition"]
    (tmp_path / "proof").write_bytes(answer.content)
    (tmp_path / "policy").write_bytes((place / "tlog" / "policy").read_bytes())
    result = run("check", tmp_path / "proof", "--policy", tmp_path / "policy")
    assert result.exit_code == 0, result.output
    assert browser.get("/audit/99.tlog-proof").status_code == 400
    assert browser.get("/audit/x.tlog-proof").status_code == 400


def test_the_bundle_is_checked_by_what_it_holds_and_nothing_else(browser: TestClient, tmp_path: Path) -> None:
    data = browser.get("/evidence/bundle.zip", params={"record": [7, 3, 7]}).content
    assert data == browser.get("/evidence/bundle.zip", params={"record": [3, 7]}).content
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.namelist() == [
            "proofs/record-3.tlog-proof",
            "proofs/record-7.tlog-proof",
            "checkpoint",
            "policy.txt",
            "verifier.py",
            "README.txt",
        ]
        bundle.extractall(tmp_path / "bundle")
    readme = (tmp_path / "bundle" / "README.txt").read_text()
    command = next(line.split() for line in readme.splitlines() if "python verifier.py" in line)
    result = subprocess.run(
        [sys.executable, *command[1:]], cwd=tmp_path / "bundle", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)["offset"] == 3
    assert (tmp_path / "bundle" / "verifier.py").read_bytes() == VERIFIER.read_bytes()


@pytest.mark.parametrize("query", ["", "record=x", "record=99", "&".join(f"record={n}" for n in range(101))])
def test_a_bundle_of_nothing_or_too_much_is_refused(browser: TestClient, query: str) -> None:
    assert browser.get(f"/evidence/bundle.zip?{query}").status_code == 400


def test_a_bundle_of_a_store_that_nobody_signs_says_what_it_is_worth(tmp_path: Path) -> None:
    assert run("init", tmp_path / "plain").exit_code == 0
    engine = Engine(open_folder(tmp_path / "plain"))
    browser = Client(application(Site(engine, "plain", place=tmp_path / "plain")))
    with zipfile.ZipFile(io.BytesIO(browser.get("/evidence/bundle.zip?record=0").content)) as bundle:
        bundle.extractall(tmp_path / "bundle")
    engine.close()
    readme = (tmp_path / "bundle" / "README.txt").read_text()
    assert "No signed checkpoint is over all of these records" in readme
    command = next(line.split() for line in readme.splitlines() if "evlog check" in line and "proofs/" in line)
    result = run("check", tmp_path / "bundle" / command[2], *command[3:])
    assert result.exit_code == 0, result.output


# Tampered with -----------------------------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def red(browser: TestClient, watch: Watch, said: str) -> None:
    """Fail unless the chip of every page is red and names what was tampered with."""
    watch.sweep()
    told = browser.get("/verified.json").json()
    assert told["status"] == "broken"
    assert said in told["text"]
    for path in PAGES:
        page = browser.get(path).text
        assert 'class="chip verified broken"' in page, path
        assert said in page, path


def test_a_sound_store_is_green_on_every_page(browser: TestClient) -> None:
    told = browser.get("/verified.json").json()
    assert (told["status"], told["checked"], told["findings"]) == ("verified", 13, [])
    for path in PAGES:
        assert 'class="chip verified verified"' in browser.get(path).text, path


def test_a_flipped_byte_turns_every_page_red_and_names_the_record(
    browser: TestClient, watch: Watch, place: Path
) -> None:
    position = position_of(place, 3)
    flip(place / "log" / segment.name_of(0), position + 70)
    red(browser, watch, "record 3,")
    (finding, *_) = browser.get("/verified.json").json()["findings"]
    assert (finding["segment"], finding["position"], finding["record"]) == (0, position, 3)
    assert "record 3" in browser.get("/audit").text
    assert browser.get("/tlog/records/3").status_code == 500


def test_two_swapped_records_turn_every_page_red(browser: TestClient, watch: Watch, place: Path) -> None:
    swap(place, 7)
    red(browser, watch, "record 7,")


def test_a_truncated_log_turns_every_page_red(browser: TestClient, watch: Watch, place: Path) -> None:
    file = place / "log" / segment.name_of(0)
    file.write_bytes(file.read_bytes()[: position_of(place, 9)])
    red(browser, watch, "record 9,")


def test_a_log_that_was_rolled_back_turns_every_page_red(
    browser: TestClient, watch: Watch, place: Path, tmp_path: Path
) -> None:
    shutil.copytree(place / "log", tmp_path / "old")
    put(place, "a")
    watch.sweep()
    shutil.rmtree(place / "log")
    shutil.copytree(tmp_path / "old", place / "log")
    red(browser, watch, "record 13,")


def test_a_tile_that_was_altered_turns_every_page_red(browser: TestClient, watch: Watch, place: Path) -> None:
    flip(place / "tlog" / "tile" / "0" / "000.p" / "13", 7 * 32)
    red(browser, watch, "broken:")
    assert "tile/0/000.p/13" in browser.get("/verified.json").json()["findings"][0]["what"]
