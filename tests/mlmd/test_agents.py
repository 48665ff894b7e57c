"""`evlog mcp`: the protocol's own client asks a real process; every answer cites the log and says whether it is complete."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from exchanged import CACHED, DATA, FAILED, MODEL, TRAINED, odd_store
from stores import opened, run

from mlmd import moment
from mlmd.cli.questions import Questions
from mlmd.cli.refusal import Refusal
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

pytestmark = pytest.mark.slow

TOOLS = {"status", "runs", "show", "lineage", "diff", "history", "sql", "prove"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("agents") / "store"
    odd_store(place).close()
    return place


def end_of(place: Path) -> int:
    return int(json.loads(run("-s", place, "status", "--json").stdout)["records"])


# Over the wire --------------------------------------------------------------------------------------------------------


def talked(place: Path, talk: Callable[[Any], Coroutine[Any, Any, Any]], *options: str) -> Any:
    """Start `evlog mcp` as a process of its own, and talk to it as a client does."""
    mcp = pytest.importorskip("mcp", reason="needs the extra `mcp`")
    words = ["-m", "mlmd.cli", "-s", str(place), *options, "mcp"]

    async def session() -> Any:
        async with mcp.Client(mcp.StdioServerParameters(command=sys.executable, args=words)) as client:
            return await talk(client)

    return asyncio.run(session())


def test_a_client_finds_the_tools_and_asks_each(place: Path) -> None:
    async def talk(client: Any) -> dict[str, Any]:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == TOOLS
        assert all(tool.annotations.read_only_hint and tool.description for tool in tools.values())
        assert tools["lineage"].input_schema["required"] == ["object"]
        asked = {
            "status": {},
            "runs": {"filter": "state = FAILED and not tainted"},
            "show": {"object": f"art:{MODEL}"},
            "lineage": {"object": f"art:{MODEL}"},
            "diff": {"since": "#8"},
            "history": {"object": f"run:{TRAINED}"},
            "sql": {"query": "select count(*) as n from executions where is_current"},
            "prove": {"object": f"art:{MODEL}"},
        }
        answers = {}
        for name, given in asked.items():
            result = await client.call_tool(name, given)
            assert not result.is_error, result.content
            assert json.loads(result.content[0].text) == result.structured_content
            answers[name] = result.structured_content
        return answers

    answers = talked(place, talk)
    status = json.loads(run("-s", place, "status", "--json").stdout)
    cited = {"log": status["log_id"], "offset": status["records"], "root": status["root"]}
    assert {name: (answer["cite"], answer["complete"]) for name, answer in answers.items()} == dict.fromkeys(
        TOOLS, (cited, True)
    )
    assert [one["run"] for one in answers["runs"]["answer"]["runs"]] == [f"run:{FAILED}"]
    assert answers["sql"]["answer"] == {"columns": ["n"], "rows": [[3]]}
    assert answers["show"]["answer"]["state"] == "LIVE"
    assert {one["node"] for one in answers["lineage"]["answer"]["nodes"]} >= {f"art:{DATA}", f"run:{TRAINED}"}


def test_a_client_is_told_what_is_wrong_and_what_to_do(place: Path) -> None:
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("show", {"object": "nonsense"}, "there is no nonsense"),
        ("show", {"object": "art:99"}, "there is no art:99"),
        ("show", {}, "object"),
        ("show", {"object": 17}, "object"),
        ("lineage", {"object": "ctx:1"}, "has no lineage"),
        ("lineage", {"object": "art:1", "up": -1}, "from 0 to"),
        ("runs", {"filter": "nonsense = ="}, ""),
        ("runs", {"limit": 0}, "from 1 to"),
        ("runs", {"skip": -1}, "from 0"),
        ("runs", {"sort": "nonsense"}, "is no order"),
        ("runs", {"filter": "m.nothing ~ 3"}, ""),
        ("show", {"object": "taxi@nobody"}, "there is no taxi@nobody"),
        ("runs", {"at": "#500"}, "has not reached"),
        ("diff", {"since": "whenever"}, "no moment"),
        ("diff", {"since": "#1", "types": ["Nothing"]}, "there is no type"),
        ("sql", {"query": "selekt"}, "show tables"),
        ("sql", {"query": "copy executions to '/tmp/x.csv'"}, ""),
        ("sql", {"query": "from read_text('/etc/passwd')"}, ""),
        ("prove", {"object": "#9999"}, "as of"),
        ("status", {"at": "\u0000"}, "no moment"),
    ]

    async def talk(client: Any) -> list[Any]:
        return [await client.call_tool(name, given) for name, given, _ in bad]

    for (name, given, said), result in zip(bad, talked(place, talk), strict=True):
        text = result.content[0].text
        assert (result.is_error, said in text) == (True, True), (name, given, text)
        assert "Traceback" not in text


def test_a_server_of_the_past_looks_no_further(place: Path) -> None:
    async def talk(client: Any) -> list[Any]:
        return [
            await client.call_tool("status", {}),
            await client.call_tool("status", {"at": "#5"}),
            await client.call_tool("status", {"at": f"#{end_of(place)}"}),
            await client.call_tool("runs", {}),
        ]

    now, earlier, later, runs = talked(place, talk, "--at", "#8")
    assert now.structured_content["cite"]["offset"] == 8
    assert earlier.structured_content["cite"]["offset"] == 5
    assert later.is_error
    assert [one["state"] for one in runs.structured_content["answer"]["runs"]] == ["RUNNING"]


def test_a_place_without_a_store_is_told_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlmd.cli", "-s", str(tmp_path), "mcp"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert (done.returncode, done.stdout, "there is no store" in done.stderr) == (1, "", True)


# The questions themselves ---------------------------------------------------------------------------------------------


def test_pages_of_runs_lead_through_all_of_them_as_of_one_moment(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with closing(opened(place)) as store:
        kind = store.put_execution_type(pb.ExecutionType(name="Trainer"))
        store.put_executions([pb.Execution(type_id=kind, name=f"r{n}") for n in range(25)])
        questions = Questions(place)
        seen: list[str] = []
        answer = questions.runs(type="Trainer", limit=10)
        while True:
            seen += [one["run"] for one in answer["answer"]["runs"]]
            assert answer["answer"]["total"] == 25
            if answer["complete"]:
                break
            rest: dict[str, Any] = dict(part.split("=", 1) for part in answer["rest"].split() if "=" in part)
            rest["skip"] = int(rest["skip"])
            store.put_executions([pb.Execution(type_id=kind)])
            answer = questions.runs(type="Trainer", limit=10, **rest)
    assert seen == [f"run:{n}" for n in range(25, 0, -1)]


def test_what_is_cut_is_said(place: Path, tmp_path: Path) -> None:
    questions = Questions(place)
    history = questions.history(f"run:{TRAINED}", limit=2)
    assert (history["complete"], len(history["answer"])) == (False, 2)
    older = questions.history(f"run:{TRAINED}", at=history["rest"].split("at=")[1].split(",")[0])
    everything = questions.history(f"run:{TRAINED}")["answer"]
    assert everything[-1] == older["answer"][-1]
    assert everything[0] == history["answer"][0]
    assert not questions.diff("#1", limit=3)["complete"]
    assert not questions.sql("from range(500)")["complete"]
    near = questions.lineage(f"art:{MODEL}", up=1, down=0)
    assert (near["complete"], {one["node"] for one in near["answer"]["nodes"]}) == (
        False,
        {f"art:{MODEL}", f"run:{TRAINED}"},
    )
    whole = questions.lineage(f"art:{DATA}", up=0, down=2)
    assert whole["complete"]
    assert {(edge["source"], edge["target"]) for edge in whole["answer"]["edges"]} >= {
        (f"art:{DATA}", f"run:{TRAINED}"),
        (f"run:{TRAINED}", f"art:{MODEL}"),
        (f"art:{DATA}", f"run:{CACHED}"),
    }
    few = questions.lineage(f"art:{DATA}", limit=2)
    assert (few["complete"], len(few["answer"]["nodes"])) == (False, 2)
    assert "tainted" in next(one for one in whole["answer"]["nodes"] if one["node"] == f"art:{DATA}")["flags"]
    assert questions.show("taxi:7")["answer"] == questions.show(f"art:{DATA}")["answer"]
    many = tmp_path / "many"
    with closing(opened(many)) as store:
        data = store.put_artifact_type(pb.ArtifactType(name="D"))
        kind = store.put_execution_type(pb.ExecutionType(name="T"))
        [node] = store.put_artifacts([pb.Artifact(type_id=data)])
        ids = store.put_executions([pb.Execution(type_id=kind) for _ in range(120)])
        store.put_events([pb.Event(artifact_id=node, execution_id=one, type=pb.Event.INPUT) for one in ids])
    shown = Questions(many).show("art:1")
    assert (shown["complete"], len(shown["answer"]["events"]), "120 events" in shown["rest"]) == (False, 100, True)


def test_an_answer_is_of_the_moment_that_it_cites_and_the_same_when_asked_again(place: Path) -> None:
    questions = Questions(place)
    end = end_of(place)
    for name, given in {
        "status": {},
        "runs": {},
        "show": {"object": f"run:{TRAINED}"},
        "lineage": {"object": f"art:{DATA}"},
        "history": {"object": f"run:{TRAINED}"},
    }.items():
        ask = getattr(questions, name)
        now = ask(**given)
        again = ask(**given, at=f"#{end}")
        assert {**now, "answer": None} == {**again, "answer": None}
        if name != "status":
            assert now == again
        early = ask(**given | ({"object": "run:1"} if "object" in given else {}), at="#8")
        assert early["cite"]["offset"] == 8
    past = Questions(place, moment.parse("#8"))
    assert past.show("run:1")["answer"]["state"] == "RUNNING"
    with pytest.raises(Refusal):
        past.show(f"run:{CACHED}")


@pytest.mark.parametrize("keyed", [False, True])
def test_a_proof_is_one_that_check_takes_and_nothing_is_written_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    place = tmp_path / "store"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EVLOG_KEY", raising=False)
    run("init", place)
    if keyed:
        assert run("-s", place, "keys", "new").exit_code == 0
        assert run("-s", place, "checkpoint").exit_code == 0
    store = opened(place)
    type_id = store.put_artifact_type(pb.ArtifactType(name="Model"))
    store.put_artifacts([pb.Artifact(type_id=type_id, name="taxi")])
    store.close()
    before = sorted((path, path.read_bytes()) for path in (place / "tlog").rglob("*") if path.is_file())
    answer = Questions(place).prove("art:1")
    after = sorted((path, path.read_bytes()) for path in (place / "tlog").rglob("*") if path.is_file())
    assert before == after
    file = tmp_path / "p.tlog-proof"
    file.write_text(answer["answer"]["proof"], encoding="utf-8")
    result = run("check", file, "--root", answer["answer"]["root"])
    assert (result.exit_code, "name=taxi" in result.output) == (0, True), result.output
    early = Questions(place).prove("#0", at="#2")
    assert early["answer"]["record"] == "#0"
