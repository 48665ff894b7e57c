"""The page of SQL: a question, its answer in every form, what is refused, and what is saved."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import factory
import pytest
from shown import Client

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.web.desk import Desk, Limits
from mlmd.web.site import Site, application
from mlmd.web.sql import EXAMPLES
from projections.duck import console
from projections.errors import BusyViewError
from replay import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from mlmd.recorder.store import Store

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).parent.parent.parent.parent / "docs" / "sql.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^### (\d+\. [^\n]+)\n.*?^```sql\n(.*?)^```\n", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def browser(site: Site) -> Iterator[TestClient]:
    """Asks as a browser does; the site ends with the test."""
    yield Client(
        application(site), raise_server_exceptions=False, follow_redirects=False, headers={"accept": "text/html"}
    )
    site.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    """The store of the document's questions, on show."""
    place = tmp_path_factory.mktemp("factory") / "store"
    factory.record(place).close()
    engine = Engine(open_folder(place, create=False))
    site = Site(engine, "factory", place=place)
    site.desk = Desk(engine, Limits(timeout_s=60.0))  # What has to be answered, is, on any machine.
    yield Client(application(site), raise_server_exceptions=False, headers={"accept": "text/html"}), place
    site.close()
    engine.close()


def ask(browser: TestClient, query: str, form: str = "json", **more: str) -> Any:
    return browser.get(f"/sql.{form}" if form else "/sql", params={"q": query, **more})


def rows(browser: TestClient, query: str, **more: str) -> Any:
    answer = ask(browser, query, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["facts"]["rows"]


@pytest.mark.parametrize(("title", "query"), QUESTIONS, ids=[title for title, _ in QUESTIONS])
def test_a_question_of_the_document_has_the_answer_that_the_view_gives(
    told: tuple[TestClient, Path], title: str, query: str
) -> None:
    browser, place = told
    store = mlmd.MetadataStore(factory.config(place))
    expected = mlmd.sql(store, query).fetchall()
    store.close()
    assert len(expected) == len(rows(browser, query)) > 0, title
    listed = list(csv.reader(io.StringIO(ask(browser, query, "csv").text)))
    assert len(listed) == len(expected) + 1
    text = f"select {', '.join(f'c{at}::varchar' for at in range(len(listed[0])))} from ({query}) as answer({', '.join(f'c{at}' for at in range(len(listed[0])))})"
    store = mlmd.MetadataStore(factory.config(place))
    assert [list(row) for row in mlmd.sql(store, text).fetchall()] == rows(browser, text)
    store.close()


@pytest.mark.parametrize(("title", "query"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_has_an_answer(told: tuple[TestClient, Path], title: str, query: str) -> None:
    assert rows(told[0], query), title


def test_the_page_says_what_can_be_asked_and_shows_the_answer(told: tuple[TestClient, Path]) -> None:
    browser, _ = told
    first = browser.get("/sql").text
    assert "60 s and 512.0 MiB at most" in first
    assert "Versions of artifacts: data sets, models, whatever was made or read." in first
    assert "lineage_upstream(artifact_id, t, hops)" in first
    page = ask(browser, "select 1 as one, 'a<b' as text, null as nothing, [1, {'x': 2}] is null as flag", "").text
    assert "a&lt;b" in page
    assert "null" in page
    assert "evlog sql" in page
    assert "mlmd.open().sql(" in page
    assert "type_Model" in browser.get("/sql").text


def test_the_answer_is_of_the_moment_that_the_page_cites(told: tuple[TestClient, Path], store: Store) -> None:
    browser, _ = told
    count = "select count(*) from records"
    answer = ask(browser, count, at="#7").json()
    assert (answer["offset"], answer["facts"]["rows"]) == (7, [[7]])
    assert rows(browser, "select applied from watermark", at="#0") == [[0]]
    now = ask(browser, count).json()
    assert now["facts"]["rows"] == [[now["offset"]]]
    assert ask(browser, count, at="#9999999").status_code == 400


def test_what_was_put_a_moment_ago_is_asked(browser: TestClient, store: Store) -> None:
    for turn in range(3):
        with store.run("Trainer", name=f"run-{turn}"):
            pass
        assert rows(browser, "select count(*) from type_Trainer") == [[turn + 1]]


def test_a_store_in_memory_is_asked_too() -> None:
    store = mlmd.open(":memory:")
    with store.run("Trainer"):
        pass
    site = Site(store.metadata._backend, "memory")  # type: ignore[arg-type]
    browser = Client(application(site))
    assert rows(browser, "select count(*) from type_Trainer") == [[1]]
    site.close()
    store.close()


def test_every_row_is_in_the_data_and_few_on_the_page(told: tuple[TestClient, Path]) -> None:
    browser, _ = told
    query = "select range as n, 'x' as text from range(2500)"
    page = ask(browser, query, "").text
    assert "The first 1,000 rows" in page
    assert ">999<" in page
    assert ">1000<" not in page
    assert len(rows(browser, query)) == 2_500
    assert ask(browser, query, "csv").text.splitlines()[-1] == "2499,x"
    body = ask(browser, query, "parquet").content
    file = Path(told[1]).parent / "answer.parquet"
    file.write_bytes(body)
    assert duckdb.sql(f"select count(*), max(n) from '{file}'").fetchall() == [(2_500, 2_499)]


def test_a_wide_answer_shows_fewer_rows(told: tuple[TestClient, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ", ".join(f"{number} as c{number}" for number in range(300))
    query = f"select {wide} from range(600)"
    page = ask(told[0], query, "").text
    assert "The first 166 rows" in page
    many = f"select {','.join('*' * 300)} from watermark, range(50)"
    assert "The first 33 rows" in ask(told[0], many, "").text  # 1,500 columns.
    monkeypatch.setattr("mlmd.web.sql._COLUMNS_MAX", 1_000)
    refused = ask(told[0], many, "")
    assert (refused.status_code, "1,500 columns" in refused.text) == (400, True)


def test_values_of_every_kind_come_out(told: tuple[TestClient, Path]) -> None:
    query = """
        select 'nan'::double, '-inf'::double, 170141183460469231731687303715884105727::hugeint, 1.10::decimal(9, 2),
            'infinity'::timestamptz, '290309-12-22'::date, timestamp '1969-12-31 23:59:59.999999', '\\x00\\xFF'::blob,
            {'a': [1, null, {'b': 'c'}]}, map {'k': 1}, interval 3 month, uuid '00000000-0000-0000-0000-000000000001',
            'é模型🚖' || chr(0), time '24:00:00', '101'::bit, 18446744073709551615::ubigint, []
    """
    for form in ("json", "csv", ""):
        answer = ask(told[0], query, form)
        assert answer.status_code in {200, 400}, answer.text
        assert "Traceback" not in answer.text
    assert rows(
        told[0], "select 'nan'::double, 170141183460469231731687303715884105727::hugeint, '\\x00\\xFF'::blob"
    ) == [["nan", "170141183460469231731687303715884105727", "AP8="]]
    assert ask(told[0], "from test_all_types()").status_code in {200, 400}


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("selec 1", "selec"),
        ("select *\nfrom artifacts\nwhere nothing = 1", "nothing"),
        ("from no_table", "no_table"),
        ("select " + "1, " * 200 + "wrong_name from artifacts", "wrong_name"),
    ],
)
def test_a_mistake_is_shown_where_it_is(told: tuple[TestClient, Path], query: str, at: str) -> None:
    page = ask(told[0], query, "")
    assert page.status_code == 400
    assert f"<mark>{at}</mark>" in page.text
    assert ask(told[0], query).json()["code"] == 400
    assert ask(told[0], query, "csv").status_code == 400
    assert ask(told[0], query, "parquet").status_code == 400


# Hostile ---------------------------------------------------------------------------------------------------------------

SECRET = "/etc/passwd"
HOSTILE = {
    "reads": [
        f"from read_csv('{SECRET}')",
        f"from read_text('{SECRET}')",
        f"from read_blob('{SECRET}')",
        f"from read_json('{SECRET}')",
        f"from '{SECRET}'",
        "from read_text('/proc/self/environ')",
        "from read_text('/proc/self/maps')",
        "from read_blob('/dev/mem')",
        "from glob('/etc/*')",
        "from glob('../*')",
        "from read_text('files/../history.duckdb')",
        "from read_blob('../current.sqlite')",
        "from read_parquet('/tmp/*.parquet')",
        "from parquet_metadata('/etc/passwd')",
        "from sniff_csv('/etc/passwd')",
        "from read_csv('http://127.0.0.1:1/x')",
        "from read_parquet('s3://bucket/x.parquet')",
        "from read_parquet('https://127.0.0.1:1/x.parquet')",
        "select getenv('HOME')",
        "from duckdb_secrets()",
        "from sqlite_scan('/tmp/x', 'y')",
        "from postgres_scan('host=127.0.0.1', 'a', 'b')",
    ],
    "writes": [
        "copy artifacts to '/tmp/evlog-out.csv'",
        "copy (select 1) to 'files/out.parquet'",
        "copy (pivot (select 1 as a) on a using count(*)) to 'files/out.parquet'",
        "explain analyze copy (select 1) to 'files/out.parquet'",
        "explain (format json) copy (select 1) to 'files/out.parquet'",
        "/* a */ explain analyze copy (select 1) to 'files/out.parquet'",
        "export database 'files/out'",
        "import database 'files'",
        "attach '/tmp/evlog-other.duckdb'",
        "attach 'files/other.duckdb' as other",
        "attach ':memory:' as other",
        "detach memory",
        "use memory",
        "install httpfs",
        "load httpfs",
        "load '/tmp/evil.so'",
        "force install spatial",
        "set memory_limit = '90GB'",
        "set threads = 64",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma enable_profiling",
        "pragma memory_limit = '90GB'",
        "call enable_logging()",
        "create table mine (i int)",
        "create temp table mine as select 1",
        "create or replace view artifacts as select 1",
        "create temp view artifacts as select 1",
        "create macro moment(t) as 1",
        "create secret s (type s3)",
        "insert into artifacts default values",
        "update watermark set applied = 0",
        "delete from watermark",
        "drop view artifacts",
        "alter table watermark add column x int",
        "truncate watermark",
        "checkpoint",
        "vacuum",
        "begin",
        "prepare p as select 1",
        "execute p",
        "select 1; select 2",
        "select 1) ; copy (select 1) to 'files/out.parquet'; select (1",
        "with x as (insert into watermark default values) select 1",
    ],
    "exhausts": [
        "select count(*) from range(100000000000) a, range(100000) b",
        "with recursive t(i) as (select 1 union all select i + 1 from t) select count(*) from t",
        "with recursive t(i) as (select 1 union all select i from t) select max(i) from t",
        "select list(range(1000000000))",
        "select list(i) from range(100000000000) t(i)",
        "select range(1000000000)",
        "select repeat('x', 4000000000)",
        "select repeat(repeat('x', 100000), 100000)",
        "select string_agg(repeat('x', 1000), '') from range(1000000000)",
        "select length(string_agg(a.range::varchar || b.range, ',')) from range(100000) a, range(100000) b",
        "select a.range, b.range, md5(a.range::varchar || b.range) from range(1000000) a, range(1000000) b order by 3",
        "select count(distinct a.range * 1000000 + b.range) from range(1000000) a, range(1000000) b",
        "select regexp_matches(repeat('a', 100000), '(a*)*b') from range(1000000)",
        "select repeat('x', 20000000)",
        "select list_reduce(range(100000000), (a, b) -> a + b)",
        "select unnest(range(1000000000)) as a order by a desc",
        "select lpad('x', 2000000000, 'y')",
        "select bitstring('1', 2000000000)",
        "select array_agg(t) from artifacts t, range(1000000000)",
        "select " + "(" * 1_500 + "1" + ")" * 1_500,
        "select " + "[" * 900 + "1" + "]" * 900,
    ],
}


@pytest.fixture(scope="module")
def strict(told: tuple[TestClient, Path]) -> Iterator[TestClient]:
    """The same store where little is allowed, so that what takes too much is stopped soon."""
    engine = Engine(open_folder(told[1], writable=False))
    site = Site(engine, "factory", place=told[1])
    site.desk = Desk(engine, Limits(timeout_s=3.0, whole_s=3.0, memory_bytes=128 << 20))
    yield Client(application(site), raise_server_exceptions=False, headers={"accept": "text/html"})
    site.close()
    engine.close()


@pytest.mark.parametrize("query", [*HOSTILE["reads"], *HOSTILE["writes"]], ids=lambda query: query[:60])
def test_what_reads_or_writes_elsewhere_is_refused_in_words(
    told: tuple[TestClient, Path], query: str, tmp_path: Path
) -> None:
    browser, place = told
    assert ask(browser, "select 1").status_code == 200  # The first question makes the files, whichever test asks it.
    before = files_of(place)
    answer = ask(browser, query)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"code", "message", "next"}
    assert "root:" not in answer.text
    assert files_of(place) == before
    for path in ("/tmp/evlog-out.csv", "/tmp/evlog-other.duckdb"):
        assert not Path(path).exists()


def files_of(place: Path) -> list[tuple[str, int]]:
    files = (place / "views" / "frozen" / "files").iterdir()
    return sorted((path.name, path.stat().st_size) for path in files)


@pytest.mark.parametrize("query", HOSTILE["exhausts"], ids=lambda query: query[:60])
def test_what_takes_too_much_is_stopped_and_told(strict: TestClient, told: tuple[TestClient, Path], query: str) -> None:
    answer = ask(strict, query, "csv")
    assert answer.status_code in {200, 400, 429, 504}, answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"code", "message", "next"}
        assert "Traceback" not in answer.text
    assert strict.get("/types").status_code == 200
    assert rows(told[0], "select 1") == [[1]]


def test_while_a_question_is_at_work_the_site_answers(strict: TestClient) -> None:
    status: list[int] = []
    asking = threading.Thread(target=lambda: status.append(ask(strict, HOSTILE["exhausts"][0]).status_code))
    asking.start()
    assert strict.get("/types").status_code == 200
    asking.join(60)
    assert status == [504]


def test_who_asks_too_much_at_once_waits_or_is_sent_away(told: tuple[TestClient, Path]) -> None:
    engine = Engine(open_folder(told[1], writable=False))
    site = Site(engine, "factory", place=told[1])
    site.desk = Desk(engine, Limits(timeout_s=3.0))
    browser = Client(application(site), raise_server_exceptions=False)
    statuses: list[int] = []
    slow = HOSTILE["exhausts"][0]
    threads = [threading.Thread(target=lambda: statuses.append(ask(browser, slow).status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    site.close()
    engine.close()
    assert set(statuses) == {504, 503}, statuses
    assert len(statuses) == 6


def test_a_download_that_nobody_takes_lets_go_of_its_place(told: tuple[TestClient, Path]) -> None:
    desk = told[0].app.state.site.desk  # type: ignore[attr-defined] # of Starlette
    for _ in range(4):
        answer = desk.ask("select range from range(100000000)", 1, "somebody", whole=True)
        next(answer.rows())
        answer.close()
    with desk.ask("select 2", 1, "somebody") as answer:
        assert list(answer.rows()) == [[2]]


def test_a_question_that_is_too_long_or_no_text_is_refused(told: tuple[TestClient, Path]) -> None:
    browser, _ = told
    assert ask(browser, "select 1 -- " + "x" * 5_000).status_code == 400
    assert ask(browser, "x" * 60_000).status_code == 400
    assert browser.get("/sql.json?q=%ff%fe").status_code in {200, 400}
    assert browser.get("/sql.json?q=select+%27%ff%27").status_code in {200, 400}
    assert ask(browser, "select '\0'").status_code in {200, 400}
    assert ask(browser, "select 1", saved="x").status_code == 400


def test_a_child_knows_no_secret_of_its_parent(told: tuple[TestClient, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVLOG_SECRET", "hush")
    child = console.start()
    environment = Path(f"/proc/{child.pid}/environ")
    if environment.exists():
        while not environment.read_bytes():
            pass
        assert b"hush" not in environment.read_bytes()
    console.stop(child)


# Saved ----------------------------------------------------------------------------------------------------------------


def save(browser: TestClient, **fields: str) -> Any:
    return browser.post("/sql/save", data=fields, headers={"origin": "http://127.0.0.1"})


def test_a_question_is_saved_as_a_file_and_asked_by_its_name(browser: TestClient, tmp_path: Path) -> None:
    answer = save(browser, name="who", q="-- Who put what?\r\nselect count(*) as n from records\r\n")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sql?saved=who&done=saved"
    assert (
        tmp_path / "store" / "queries" / "who.sql"
    ).read_text() == "-- Who put what?\nselect count(*) as n from records\n"
    assert browser.get("/sql.json", params={"saved": "who"}).json()["facts"]["rows"] == [[1]]
    page = browser.get("/sql", params={"saved": "who"}).text
    assert "Who put what?" in page
    assert "The question is saved" in browser.get("/sql", params={"saved": "who", "done": "saved"}).text
    assert save(browser, name="who", q="select 2").status_code == 409
    assert save(browser, name="who", q="select 2", replace="1").status_code == 303
    assert browser.get("/sql.json", params={"saved": "who"}).json()["facts"]["rows"] == [[2]]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "A", "a.sql", "x" * 65, "a\0", "a b", "ä", "-a"])
def test_a_name_that_is_none_is_refused(browser: TestClient, tmp_path: Path, name: str) -> None:
    assert save(browser, name=name, q="select 1").status_code == 400
    assert not (tmp_path / "store" / "queries").exists()
    if name:
        assert browser.get("/sql", params={"saved": name}).status_code == 400


def test_files_that_are_no_questions_are_refused_or_left_out(browser: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "store" / "queries"
    folder.mkdir()
    (folder / "long.sql").write_bytes(b"select 1 --" + b"x" * (1 << 20))
    (folder / "bytes.sql").write_bytes(b"\xff\xfe")
    (folder / "Bad Name.sql").write_text("select 1")
    (folder / "folder.sql").mkdir()
    (folder / "fine.sql").write_text("select 1")
    facts = browser.get("/sql.json").json()["facts"]
    assert facts["queries"] == [{"name": "fine", "about": "select 1"}]
    for name, status in (("long", 400), ("bytes", 400), ("folder", 404), ("gone", 404)):
        assert browser.get("/sql", params={"saved": name}).status_code == status
    assert save(browser, name="empty", q="  ").status_code == 400


def test_the_data_is_json_line_by_line(browser: TestClient) -> None:
    text = ask(browser, "select range as n from range(3)").text
    assert json.loads(text)["facts"] == {
        "q": "select range as n from range(3)",
        "columns": ["n"],
        "rows": [[0], [1], [2]],
    }
    assert ask(browser, "select 1 as n where false").json()["facts"]["rows"] == []


def test_those_who_wait_for_the_copy_leave_pages_their_threads(
    told: tuple[TestClient, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = told
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: Any) -> Any:
        begun.release()
        go_on.wait(60)
        raise BusyViewError("not today")

    monkeypatch.setattr(frozen, "freeze", slow)
    desk: Any = Desk(browser.app.state.site.engine)

    def ask_desk() -> None:
        with pytest.raises(BusyViewError):
            desk.ask("select 1", 1, "ana")

    asking = [threading.Thread(target=ask_desk) for _ in range(30)]
    for thread in asking:
        thread.start()
    assert begun.acquire(timeout=60)
    for _ in range(30):
        desk.prepare()  # As each view of the page does.
    for thread in asking:
        thread.join(0.5)  # Those who are turned away end at once, the others wait for `go_on`.
    waiting = sum(thread.is_alive() for thread in asking)
    go_on.set()
    for thread in asking:
        thread.join(60)
    desk.close()
    assert 0 < waiting <= 10
