"""docs/sql.md: its questions are run, its answers are those of the story it tells, its tables are the comments of the view."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import factory
import pytest
from click.testing import CliRunner

import mlmd
from mlmd.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.once, pytest.mark.slow]
DOCUMENT = Path(__file__).parent.parent / "docs" / "sql.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^### (\d+\. [^\n]+)\n.*?^```sql\n(.*?)^```\n+^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("factory") / "store"
    factory.record(place).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield place
    time.tzset()


def test_there_are_fifteen_questions() -> None:
    assert [title.split(".")[0] for title, _, _ in QUESTIONS] == [str(number) for number in range(1, 16)]


@pytest.mark.parametrize(("title", "query", "answer"), QUESTIONS, ids=[title for title, _, _ in QUESTIONS])
def test_a_question_has_the_answer_that_the_document_gives(place: Path, title: str, query: str, answer: str) -> None:
    result = CliRunner().invoke(cli, ["-s", str(place), "sql", query])
    assert result.exit_code == 0, (title, result.stderr)
    assert result.stdout == answer


def test_the_tables_of_the_document_are_the_comments_of_the_view(place: Path) -> None:
    assert (
        schema(place) == TEXT.split("<!-- from the comments of the view -->\n")[1].split("<!-- so far -->")[0].strip()
    )


def schema(place: Path) -> str:
    """Return what the view says of its tables and macros, as the document shows it."""
    store = mlmd.MetadataStore(factory.config(place))
    tables = mlmd.sql(store, "select table_name, comment from duckdb_tables() order by table_name").fetchall()
    columns = mlmd.sql(
        store, "select table_name, column_name, data_type, comment from duckdb_columns() order by column_index"
    ).fetchall()
    macros = mlmd.sql(
        store,
        "select function_name, parameters, comment from duckdb_functions()"
        " where not internal and schema_name = 'main' and function_type like '%macro' order by function_name",
    ).fetchall()
    store.close()
    parts = []
    for table, comment in tables:
        rows = [f"| `{name}` | {form} | {what} |" for of, name, form, what in columns if of == table]
        parts.append("\n".join([f"**{table}.** {comment}\n", "| column | type | |", "| --- | --- | --- |", *rows]))
    listed = [f"| `{name}({', '.join(parameters)})` | {comment} |" for name, parameters, comment in macros]
    return "\n\n".join([*parts, "\n".join(["| macro | |", "| --- | --- |", *listed])])
