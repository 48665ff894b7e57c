"""Whatever stands in the tables: an import ends, the store is sound, every row is put or kept, and run again it finds nothing to do."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from check import check_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlmd_files import imported, made

from mlmd import exchange
from mlmd.engine import Engine
from mlmd.exchange.errors import DivergedError
from mlmd.exchange.schema import ASSOCIATION, ATTRIBUTION, EVENT, NODES, PARENT_CONTEXT, TABLES, TYPE
from mlmd.opening import open_folder

SCHEMA = Path(exchange.__file__).with_name("schema10.sql").read_text(encoding="utf-8")
ODD: list[Any] = [
    None,
    0,
    1,
    2,
    3,
    -1,
    2**63 - 1,
    -(2**63),
    5.5,
    float("inf"),
    "",
    "x",
    "n1",
    "u1",
    "Data",
    "__MLMD_NULL__",
]
ODD += [
    "mlmd-struct::",
    "mlmd-struct::CgA=",
    "mlmd-struct::!",
    "é\0",
    b"\xff",
    b"",
    "mlmd.Dataset",
    '{"any":{}}',
    "{",
    99,
    "7",
]
EXAMPLES = 2_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 12


@st.composite
def edits(draw: Any) -> tuple[str, list[Any]]:
    """Draw an update of a column of a table, or a row put twice, or a row of anything."""
    table = draw(st.sampled_from(TABLES))
    columns = [column.name for column in table.columns]
    which = draw(st.integers(0, 3))
    if which == 0:
        values = [draw(st.sampled_from(ODD)) for _ in columns]
        return f"insert into {table.name} ({', '.join(columns)}) values ({', '.join('?' * len(values))})", values
    if which == 1:
        again = ["null" if column == "id" else column for column in columns]
        return f"insert into {table.name} ({', '.join(columns)}) select {', '.join(again)} from {table.name}", []
    column, value = draw(st.sampled_from(columns)), draw(st.sampled_from(ODD))
    where = draw(st.sampled_from(["", " where rowid = 1", " where rowid = 2", " where rowid % 2 = 0"]))
    return f"update {table.name} set {column} = ?{where}", [value]


def without_constraints(path: Path) -> None:
    """Make the tables anew without any: nothing keeps an old or damaged database from what those forbid."""
    connection = sqlite3.connect(path)
    for name, body in re.findall(r"create table `(\w+)` \((.*?)\n\);", SCHEMA, re.DOTALL):
        columns = [line.strip() for line in re.sub(r"--.*", "", body).splitlines() if line.strip().startswith("`")]
        bare = [re.match(r"`(\w+)` (\w+(?:\(\d+\))?)", column) for column in columns]
        listed = ", ".join(f"{one[1]} {'integer primary key' if one[1] == 'id' else one[2]}" for one in bare if one)
        connection.executescript(
            f"alter table {name} rename to old; create table {name} ({listed}); insert into {name} select * from old; drop table old"
        )
    connection.close()


def edit(path: Path, given: list[tuple[str, list[Any]]]) -> None:
    connection = sqlite3.connect(path)
    for sql, values in given:
        try:
            connection.execute(sql, values)
        except sqlite3.Error:  # An id that is none, or there already.
            continue
    connection.commit()
    connection.close()


@pytest.mark.deep
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=st.lists(edits(), max_size=6), between=st.lists(edits(), max_size=3))
def test_any_rows_are_put_or_kept(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, list[Any]]], between: list[tuple[str, list[Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = made(folder / "metadata.db")
    without_constraints(path)
    edit(path, before)
    report = imported(path, folder / "store")
    for table in (*NODES.values(), EVENT, ATTRIBUTION, ASSOCIATION, PARENT_CONTEXT, TYPE):
        found = report.tables[table.name]
        assert found.new is not None
        assert found.rows <= found.new + found.kept, table.name
    engine = Engine(open_folder(folder / "store"))
    check_store(engine, imported=True)
    engine.close()
    again = imported(path, folder / "store")
    assert (again.records, again.kept, again.digest) == (0, report.kept, report.digest)
    edit(path, between)
    try:
        imported(path, folder / "store")
    except DivergedError:  # A row was made another, or taken away.
        pass
    else:
        assert imported(path, folder / "store").records == 0
    engine = Engine(open_folder(folder / "store"))
    check_store(engine, imported=True)
    engine.close()
    shutil.rmtree(folder)
