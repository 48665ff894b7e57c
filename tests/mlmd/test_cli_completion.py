"""What a shell is told when somebody presses Tab, and the grammar and document that are made from the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import run
from stores import opened

from mlmd.cli import COMPLETING, cli, describing, grammar
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("completion") / "store"
    assert run("demo", "--guide", str(place)).exit_code == 0
    store = opened(place)
    model = store.get_artifact_type("SavedModel").id
    alias = store.put_context_type(pb.ContextType(name=words.ALIAS_TYPE, properties={words.ALIAS_ARTIFACT: pb.INT}))
    mark = store.put_context_type(pb.ContextType(name=words.MARK_TYPE, properties={words.MARK_OFFSET: pb.INT}))
    store.put_artifacts([pb.Artifact(type_id=model, name=f"taxi:{version}") for version in (1, 2)])
    store.put_contexts([pb.Context(type_id=alias, name="taxi@prod"), pb.Context(type_id=mark, name="release-4")])
    run_ = pb.Execution(type_id=store.get_execution_type("Trainer").id)
    run_.custom_properties["m.acc"].double_value = 0.9
    store.put_executions([run_])
    store.close()
    return place


def offered(line: str, word: str | None = None, **environment: str) -> list[str]:
    """Return what bash is offered for a line. word: the part behind the last break of words."""
    given = {
        COMPLETING: "bash_complete",
        "COMP_LINE": line,
        "COMP_WORD": line.rpartition(" ")[2] if word is None else word,
        **environment,
    }
    result = CliRunner().invoke(cli, [], env=given, prog_name="evlog")
    assert result.exit_code == 0, result.output
    return [item.partition(",")[2] for item in result.stdout.splitlines() if item]


def test_commands_and_options_are_offered() -> None:
    assert offered("evlog ver") == ["verify"]
    assert {"artifacts", "log", "verify"} <= set(offered("evlog "))
    assert {"--sort", "--filter", "--store", "--at"} <= set(offered("evlog artifacts --"))
    assert offered("evlog artifacts --sort cre") == ["created"]
    assert offered("evlog -s x artifacts --from h") == ["history"]
    assert offered("evlog -o jso") == ["json", "jsonl"]


def test_names_of_tokens_are_offered_and_nothing_where_they_are_damaged(tmp_path: Path) -> None:
    place = str(tmp_path / "store")
    assert run("init", place).exit_code == 0
    assert offered(f"evlog -s {place} token rm a") == []
    for name in ("ana", "anton", "bob"):
        assert run("-s", place, "token", "add", name, "--role", "reader").exit_code == 0
    assert offered(f"evlog -s {place} token rm an") == ["ana", "anton"]
    assert offered(f"evlog -s {place} token r") == ["rm"]
    (tmp_path / "store" / "keys" / "tokens" / "TOKENS").write_bytes(b"{")
    assert offered(f"evlog -s {place} token rm an") == []


def test_names_of_the_store_are_offered(place: Path) -> None:
    at = f"evlog -s {place}"
    assert offered(f"{at} show ") == ["art:", "run:", "ctx:", "type:", "taxi:1", "taxi:2", "taxi@prod"]
    assert offered(f"{at} show run:", "") == ["2", "1"]
    assert offered(f"{at} show art:", ":") == ["4", "3", "2", "1"]
    assert offered(f"{at} log type:Tr", "Tr") == ["Trainer"]
    assert offered(f"{at} blame taxi:", ":") == ["1", "2"]
    assert offered(f"{at} show taxi@", "@") == ["prod"]
    assert offered(f"{at} artifacts S") == ["SavedModel"]
    assert offered(f"{at} executions S") == []
    assert offered(f"{at} log --type Sav") == ["SavedModel"]
    assert offered(f"{at} --at mark:rel", "rel") == ["release-4"]
    assert offered(f"{at} --at yes") == ["yesterday"]


def test_the_words_of_a_filter_are_offered(place: Path) -> None:
    assert offered(f"evlog -s {place} executions --filter m.") == ["m.acc"]
    assert offered(f"evlog -s {place} executions --filter sta") == ["state"]
    assert "properties.version." in offered(f"evlog -s {place} artifacts --filter prop")


def test_the_store_is_found_as_by_the_command_itself(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("evlog show taxi@p", "p", EVLOG_STORE=str(place)) == ["prod"]
    monkeypatch.delenv("EVLOG_STORE", raising=False)
    monkeypatch.chdir(place)
    assert offered("evlog show taxi@p", "p") == ["prod"]


@pytest.mark.parametrize("store", ["nowhere", "host:8080", "host:99999", "/dev/null"])
def test_where_there_is_no_store_nothing_is_offered_and_nothing_fails(store: str) -> None:
    assert offered("evlog show taxi", EVLOG_STORE=store) == []


def test_a_view_that_cannot_be_read_offers_nothing(place: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place, tmp_path / "store", symlinks=True))
    (copy / "views" / "current.sqlite").resolve().write_bytes(b"no database" * 100)
    assert offered(f"evlog -s {copy} show taxi") == []


def in_bash(script: str, *, check: bool = True) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=check, env={**os.environ, "PATH": path}
    )
    return done.stdout


@pytest.mark.once
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_a_name_with_a_colon(place: Path) -> None:
    line = f"evlog -s {place} show taxi:"
    script = f"""
eval "$(evlog completion bash)"
complete -p evlog
COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=(evlog -s '{place}' show taxi :) COMP_CWORD=5
_evlog_completion evlog 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    told = in_bash(script).splitlines()
    assert told[0].startswith("complete")
    assert told[1:] == ["1", "2"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_clicks_own_script(shell: str) -> None:
    told = run("completion", shell)
    assert (told.exit_code, f"{COMPLETING}={shell}_complete" in told.stdout) == (0, True)
    if shutil.which(shell):
        subprocess.run([shell, "-c", told.stdout], check=True, capture_output=True)


@pytest.mark.parametrize("line", ["evlog ver", "evlog show taxi", "evlog artifacts --sort c"])
def test_a_tab_imports_little(place: Path, line: str) -> None:
    code = (
        "import sys; from mlmd.cli import cli\ntry: cli.main([], prog_name='evlog')\nexcept SystemExit: pass\n"
        "heavy = ('rich', 'google.protobuf', 'msgspec', 'grpc', 'duckdb', 'mlmd.engine', 'mlmd.store', 'asyncio', 'cryptography')\n"
        "print([name for name in heavy if name in sys.modules], len(sys.modules), file=sys.stderr)"
    )
    given = {COMPLETING: "bash_complete", "COMP_LINE": line, "COMP_WORD": "", "EVLOG_STORE": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **given}
    )
    heavy, _, count = done.stderr.strip().rpartition(" ")
    assert heavy == "[]"
    assert int(count) < 250


@pytest.mark.once
def test_the_grammar_and_the_document_are_those_of_the_commands() -> None:
    assert grammar.FILE.read_text(encoding="utf-8") == describing.grammar(), "make command"
    assert (ROOT / describing.DOCUMENT).read_text(encoding="utf-8") == describing.document(), "make command"


def test_a_command_that_the_grammar_does_not_know_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(grammar, "FILE", tmp_path / "none.json")
    assert offered("evlog artifacts --sort cre") == ["created"]
