"""The list of artifacts says what the recorder says, page by page, and of any moment."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from mlmd.recorder.things import Artifact
from mlmd.web.page import as_csv_cell

if TYPE_CHECKING:
    from pathlib import Path

    from shown import Demo
    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store


def test_the_list_holds_every_artifact_as_the_recorder_tells_it(demo: Demo) -> None:
    facts = demo.facts("/artifacts.json", n=1_000)
    known = [Artifact(demo.store.metadata, one) for one in demo.store.metadata.get_artifacts()]
    assert facts["total"] == facts["everything"] == len(known)
    told = {row["id"]: row for row in facts["rows"]}
    for one in known:
        row = told[one.id]
        assert (row["artifact"], row["type"], row["uri"], row["state"]) == (one.label, one.type, one.uri, one.state)
        assert (row["tainted"], row["aliases"]) == (one.tainted, one.aliases)
    assert {one["type"]: one["count"] for one in facts["types"]} == {
        name: sum(one.type == name for one in known) for name in {one.type for one in known}
    }


def test_a_filter_a_type_and_an_order_leave_what_the_recorder_leaves(demo: Demo) -> None:
    facts = demo.facts("/artifacts.json", q="acc > 0.9 and not tainted", type="Model", sort="-acc")
    accuracies = [row["values"]["acc"] for row in facts["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    models = [Artifact(demo.store.metadata, one) for one in demo.store.metadata.get_artifacts_by_type("Model")]
    wanted = {one.id for one in models if one.properties["acc"] > 0.9 and one.tainted is None}
    assert {row["id"] for row in facts["rows"]} == wanted
    assert facts["total"] == len(wanted)


def test_pages_together_are_the_list(demo: Demo) -> None:
    whole = [row["id"] for row in demo.facts("/artifacts.json", n=1_000)["rows"]]
    parts = []
    for skip in range(0, len(whole), 7):
        parts += [row["id"] for row in demo.facts("/artifacts.json", n=7, skip=skip)["rows"]]
    assert parts == whole
    page = demo.browser.get("/artifacts", params={"n": 7, "skip": 7}).text
    assert 'rel="prev"' in page
    assert 'rel="next"' in page
    assert demo.facts("/artifacts.json", skip=9_999)["rows"] == []


def test_a_list_of_the_past_is_what_it_was(demo: Demo, store: Store) -> None:
    then = demo.store.artifact("taxi:3")
    [put] = [one.by.offset for one in demo.store.history(then) if one.what == "added"]
    rows = demo.facts("/artifacts.json", at=f"#{put + 1}")["rows"]
    assert rows[0]["artifact"] == "taxi:3"
    assert rows[0]["tainted"] is None
    assert all(row["id"] <= then.id for row in rows)


def test_the_csv_holds_the_rows_and_a_property_called_as_a_column_is_told_from_it(
    browser: TestClient, store: Store
) -> None:
    with store.run("Job") as run:
        run.output("s3://b/x", "Data", name="x", aliases="mine", depth=2)
    rows = list(csv.DictReader(io.StringIO(browser.get("/artifacts.csv").text)))
    assert len(rows) == 1
    assert (rows[0]["artifact"], rows[0]["uri"], rows[0]["property aliases"], rows[0]["depth"]) == (
        "x:1",
        "s3://b/x",
        "mine",
        "2",
    )
    assert browser.get("/artifacts.parquet").content[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"q": "acc >"}, "filter_query"),
        ({"sort": "-"}, "is no order"),
        ({"n": "0"}, "a whole number from 1"),
        ({"skip": "-1"}, "a whole number"),
        ({"nonsense": "1"}, "nothing to ask here"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(browser: TestClient, query: dict[str, str], said: str) -> None:
    answer = browser.get("/artifacts.json", params=query)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_hostile_names_stay_text(browser: TestClient, store: Store) -> None:
    bad = "<script>alert(1)</script>\x1b[31m\u202e"
    with store.run("Job<i>", name="<i>job", contexts={"Pipe<i>": bad}) as run:
        run.output(f"s3://b/{bad}", "Data<i>", **{"p<i>": bad, "quote\"'": bad})
    pages = ("/artifacts", "/artifacts/1", "/types", "/contexts", "/contexts/1", "/taint?object=art:1")
    for path in (
        *pages,
        "/search?q=alert",
        "/artifacts?q=name+%3D+'<i>'&type=<i>&col=<i>",
        "/search?q=<i>%1b%e2%80%ae",
    ):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        for hostile in ("<script>alert", "<i>", "\x1b", "\u202e", " style="):
            assert hostile not in answer.text, (path, hostile)


def test_properties_that_a_database_takes_for_one_have_a_column_each(
    browser: TestClient, store: Store, tmp_path: Path
) -> None:
    odd = {"acc": 1, "ACC": 2, 'a"b': 3, "x'; y": 4, "": 5}
    with store.run("Job") as run:
        run.output("s3://b/x", "Data", **{name: value for name, value in odd.items() if name})
    file = tmp_path / "rows.parquet"
    file.write_bytes(browser.get("/artifacts.parquet").content)
    relation = duckdb.sql(f"from '{file}'")
    told = dict(zip(relation.columns, relation.fetchall()[0], strict=True))
    assert (told["ACC"], told["acc_2"], told['a"b'], told["x'; y"]) == (2, 1, 3, 4)
    assert browser.get("/artifacts.parquet", params={"col": ""}).status_code == 200
    assert browser.get("/artifacts.parquet", params={"col": ["id", "ID", "acc"]}).status_code == 200


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http://evil.example")'),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("-model", "'-model"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-1.5e-3", "-1.5e-3"),
        ("+7", "+7"),
        ("a=1", "a=1"),
        ("", ""),
        (-1.5, -1.5),
        (["=1"], '["=1"]'),
    ],
)
def test_no_cell_of_csv_is_a_formula(text: Any, cell: Any) -> None:
    assert as_csv_cell(text) == cell


def test_what_was_put_is_no_formula_in_the_csv_of_a_list_and_of_a_question(browser: TestClient, store: Store) -> None:
    said = "=cmd|' /C calc'!A0"
    with store.run("Job") as run:
        run.output("s3://b/x", "Data", name="x", note=said)
    listed = browser.get("/artifacts.csv").text
    asked = browser.get("/sql.csv", params={"q": f"""select '{said.replace("'", "''")}' as "{said}" """}).text
    for text, times in ((listed, 1), (asked, 2)):
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert cells.count(f"'{said}") == times
        assert said not in cells
