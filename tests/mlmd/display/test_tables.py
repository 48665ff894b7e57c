"""A table is the same rows in every form, and no cell is more than text in any of them."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

from mlmd.display.cells import CELL_MAX, apart, as_listed, in_words
from mlmd.display.tables import Table
from projections.errors import MissingLibraryError

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
RUNS = Table(
    ("run", "started", "m.acc", "p.lr", "ok"),
    [("run:2", NOON, 0.94123456, 0.1, True), ("run:1", None, 1, "auto", None)],
    note="2 of 812 matching",
)


def test_text_is_in_columns_numbers_to_the_right() -> None:
    assert str(RUNS).splitlines() == [
        "run    started                  m.acc  p.lr  ok",
        "run:2  2026-03-14 12:00:00Z  0.941235  0.1   yes",
        "run:1  -                            1  auto  -",
        "2 of 812 matching",
    ]


def test_times_are_in_utc_wherever_they_were_told() -> None:
    told = Table(["t"], [(NOON.astimezone(timezone(timedelta(hours=2))),)])
    assert "12:00:00Z" in str(told)


def test_html_has_head_body_and_the_note_as_its_foot() -> None:
    page = Page(RUNS._repr_html_())
    assert page.open == []
    assert page.tags.count("tr") == 4
    assert page.tags[-1] == "td"
    assert page.text.endswith("2 of 812 matching")


@given(st.text(), st.text(), st.text())
def test_any_text_in_html_is_text(name: str, value: str, note: str) -> None:
    page = Page(Table([name], [[value]], note)._repr_html_())
    assert set(page.tags) <= {"table", "thead", "tbody", "tfoot", "tr", "th", "td"}
    assert set(page.attributes) <= {"style", "colspan"}


def test_a_script_is_text() -> None:
    text = "<script>alert(1)</script>"
    page = Page(Table([text], [[text]], text)._repr_html_())
    assert "script" not in page.tags
    assert page.text == 3 * text


@given(st.text(), st.text())
def test_any_text_in_markdown_stays_in_its_cell(name: str, value: str) -> None:
    lines = Table([name, "n"], [[value, 1]]).markdown().split("\n")
    assert len(lines) == 3
    bars = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines]
    assert bars == [3, 3, 3]
    assert "<" not in lines[2]


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_is_one_line_that_steers_nothing(values: list[str]) -> None:
    lines = str(Table(["a"], [[value] for value in values])).split("\n")
    assert len(lines) == 1 + len(values)
    assert all(char.isprintable() or char == " " or ord(char) > 0x9F for line in lines for char in line)


def test_many_rows_are_cut_and_that_is_said() -> None:
    many = Table(["n"], [[at] for at in range(1_000)], "all")
    assert str(many).splitlines()[-2:] == ["… 940 more rows", "all"]
    assert "940 more rows" in Page(many._repr_html_()).text
    assert len(many.records()) == len(many) == 1_000


def test_an_empty_table_has_its_titles() -> None:
    assert str(Table(["a", "b"], [])) == "a  b"
    assert Page(Table([], [])._repr_html_()).open == []


def test_records_are_the_rows_as_they_are() -> None:
    assert RUNS.records()[1] == {"run": "run:1", "started": None, "m.acc": 1, "p.lr": "auto", "ok": None}


def test_pandas_has_the_rows() -> None:
    pytest.importorskip("pandas")
    frame = RUNS.df()
    assert list(frame.columns) == list(RUNS.columns)
    assert list(frame["p.lr"]) == [0.1, "auto"]
    assert frame["m.acc"].dtype == float


def test_arrow_has_a_type_for_each_column() -> None:
    pa = pytest.importorskip("pyarrow")
    table = RUNS.arrow()
    assert table.schema.field("m.acc").type == pa.float64()
    assert table.schema.field("started").type == pa.timestamp("us", tz="UTC")
    assert table.column("p.lr").to_pylist() == ["0.1", '"auto"']
    assert table.column("ok").to_pylist() == [True, None]


def test_polars_has_the_same_columns_as_arrow() -> None:
    pl = pytest.importorskip("polars")
    frame = RUNS.polars()
    assert frame["m.acc"].dtype == pl.Float64
    assert frame["p.lr"].to_list() == ["0.1", '"auto"']


def test_a_number_that_no_column_holds_is_text() -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("polars")
    table = Table(["n"], [[2**63], [1]])
    assert table.arrow().column("n").to_pylist() == table.polars()["n"].to_list() == [str(2**63), "1"]


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.none()),
    st.just(NOON),
)


@given(st.lists(st.tuples(values, values), max_size=5))
def test_any_values_make_columns(rows: list[tuple[Any, Any]]) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("polars")
    table = Table(["a", "b"], rows)
    assert table.arrow().num_rows == table.polars().height == len(rows)


@pytest.mark.parametrize(("form", "library"), [("df", "pandas"), ("arrow", "pyarrow"), ("polars", "polars")])
def test_what_is_not_installed_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, form: str, library: str
) -> None:
    monkeypatch.setattr("mlmd.display.tables.import_module", _missing)
    with pytest.raises(MissingLibraryError, match=rf"{library}.*pip install 'evlog-mlmd\[notebook\]'"):
        getattr(RUNS, form)()


def _missing(name: str) -> Any:
    raise builtins.ModuleNotFoundError(name=name)


def test_long_texts_that_are_compared_are_shown_from_where_they_part() -> None:
    long = "SELECT a FROM b WHERE c " * 400
    one, other = f"{long}LIMIT 10", f"{long}LIMIT 20"
    assert apart([one, other]) != [one, other]
    shown = apart([one, other])
    assert [text[-8:] for text in shown] == ["LIMIT 10", "LIMIT 20"]
    assert all(len(text) <= CELL_MAX and text.startswith("…") for text in shown)
    assert apart(["a", "b"]) == ["a", "b"]
    assert apart([one, "b"]) == [f"{one[: CELL_MAX - 1]}…", "b"], "their beginnings tell them apart"
    assert apart([one, one]) == [f"{one[: CELL_MAX - 1]}…"] * 2
    table = Table(["key", "run:1", "run:2"], [["query", one, other]], compared=(1, 3))
    for text in (str(table), table._repr_html_(), table.markdown()):
        assert "LIMIT 10" in text
        assert "LIMIT 20" in text
    assert table.records() == [{"key": "query", "run:1": one, "run:2": other}]


def test_a_list_that_a_property_holds_is_shown_as_the_list_it_is() -> None:
    stored = {"__value__": ["train", "eval"]}
    assert in_words(stored) == '["train", "eval"]'
    assert as_listed(stored) == "train, eval"
    assert in_words({"__value__": 1, "other": 2}) == '{"__value__": 1, "other": 2}'
