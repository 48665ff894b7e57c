"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import pytest
import transcripts
from click.testing import CliRunner
from serving import served

from evlog.log import Log
from mlmd import MetadataStore
from mlmd.cli import cli
from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "compat").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
    ]
)


def evlog(*words: str) -> None:
    """Run a command as the shell would, in this process."""
    result = CliRunner().invoke(cli, words, prog_name="evlog")
    assert result.exit_code == 0, (words, result.output)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    recorded, put = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for code in (recorded, put):
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_the_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (commands,) = re.findall(r"```sh\n(evlog .*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    evlog("demo", "--guide", "my-store")
    for line in commands.splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "evlog"
        if words[-1] == "ui":  # Until somebody ends it: the tests of its pages start it.
            continue
        evlog(*("now" if word == "2h" else "DataSet" if word == "Model" else word for word in words[1:]))


def test_the_examples_of_history_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    (served_code,) = re.findall(r"```python served\n(.*?)```", text, re.DOTALL)
    store = MetadataStore(
        pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(tmp_path / "my-store")))
    )
    (acting,) = re.findall(r"```python acting\n(.*?)```", text, re.DOTALL)
    [model] = store.get_artifacts_by_id([1])
    exec(acting, {"store": store, "model": model, "metadata_store_pb2": pb})
    store.close()
    engine = Engine(open_folder(tmp_path / "my-store"))
    said = [entry.record.envelope for entry in engine.log.read(4)]
    assert [(one.actor, one.reason) for one in said] == [("ana@example.org", f"ticket {n}") for n in (81, 82)]
    with served(engine) as server, grpc.insecure_channel(f"localhost:{server.port}") as channel:
        exec(served_code, {"channel": channel, "metadata_store_service_pb2": service})
    engine.close()
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 11
    for line in commands:
        command, *words = shlex.split(line, comments=True)
        assert command == "evlog"
        evlog(*("now" if word == "2026-04-01" else word for word in words))  # Yet to come, or long ago.


def test_the_examples_of_backup_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    monkeypatch.chdir(tmp_path)
    evlog("demo", "--guide", "my-store")
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in commands.splitlines():
        _, *words = shlex.split(line, comments=True)
        evlog(*words)
    assert {path.name for path in tmp_path.iterdir()} >= {"copy", "restored", "before", "today"}


def test_the_examples_of_repair_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "repair.md").read_text(encoding="utf-8")
    evlog = [sys.executable, "-m", "mlmd.cli"]
    for name in ("my-store", "other-store"):
        subprocess.run([*evlog, "demo", "--guide", name], cwd=tmp_path, check=True, timeout=60, capture_output=True)

    def damage(place: str) -> None:
        with closing(Log.open(tmp_path / place / "log", writable=False)) as log:
            position = log.frame(8).position
        path = tmp_path / place / "log" / "00000000000000000000.seg"
        data = bytearray(path.read_bytes())
        data[position + 70] ^= 1
        path.write_bytes(data)

    damage("other-store")
    for kind in ("", " loss"):
        (commands,) = re.findall(rf"```sh{kind}\n(.*?)```", text, re.DOTALL)
        for line in commands.splitlines():
            _, *words = shlex.split(line, comments=True)
            done = subprocess.run([*evlog, *words], cwd=tmp_path, check=False, timeout=60, capture_output=True)
            assert done.returncode == (3 if "exit 3" in line else 0), (line, done.stderr)
            if "backup" in words:
                damage("my-store")


def test_the_examples_of_erasure_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "erasure.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    (rules,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "rules.toml").write_text(rules, encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    told = []
    for line in commands.splitlines():
        _, *words = shlex.split(line, comments=True)
        command = [sys.executable, "-m", "mlmd.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
        told.append(done.stdout)
    assert "[erased]" in told[-2]
    assert [json.loads(line)["reason"] for line in told[-1].splitlines()] == ["request 4711", "request 4712"]


def test_the_examples_of_exchange_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("prov", "openlineage", "rocrate"):
        pytest.importorskip(library, reason=f"needs the extra `{library}`")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    evlog("demo", "my-store")
    first, *_ = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (imports,) = re.findall(r"```sh import\n(.*?)```", text, re.DOTALL)
    for line in (first + imports).splitlines():
        command, *words = shlex.split(line, comments=True)
        assert command == "evlog"
        evlog(*words)
    assert {path.name for path in tmp_path.iterdir()} >= {"store.json", "model.json", "events.jsonl", "crate"}


def test_the_examples_of_decisions_run_and_print_what_they_say(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    (policy,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "policy.toml").write_text(policy, encoding="utf-8")
    assert transcripts.written(text, tmp_path) == text


def test_every_method_stands_in_the_table_of_compatibility() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (same|mended|absent) \|", text, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(METHODS)


def test_every_number_in_the_table_of_compatibility_is_explained() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    methods, mended = text.split("## Mended")
    explained = set(re.findall(r"^\| (\d+) \|", mended, re.MULTILINE))
    used = {number for row in re.findall(r"\| mended \| ([^|]*)\|", methods) for number in re.findall(r"\d+", row)}
    assert used <= explained


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_and_make_target_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert target in targets, target
    for name in re.findall(r"`((?:evlog|projections|replay|mlmd|tests|docs)/[\w/]+\.(?:py|sql|md))`", text):
        assert (ROOT / name).exists(), name


def test_the_changelog_knows_this_version() -> None:
    import mlmd

    assert f"## {mlmd.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{mlmd.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["audit", "tutorial"])
def test_the_transcripts_of_a_document_are_what_is_printed(name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    transcripts.write_files(text, tmp_path)
    for step in transcripts.steps(text):
        assert transcripts.run(step.command, tmp_path) == step.output, step.command
