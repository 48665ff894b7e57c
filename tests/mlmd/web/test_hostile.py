"""Whatever is asked of a page is answered: with the page, or with words that say what was wrong. Never with a fault, or a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from on_show import FILLED, HOSTILE, record
from shown import Client

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.web.page import FORMS
from mlmd.web.pages import PAGES
from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from mlmd.web.pages import Entry
    from mlmd.web.view import Param

pytestmark = pytest.mark.slow

MOMENTS = (
    "",
    "now",
    "#0",
    "#1",
    "#160",
    "#99999999",
    "yesterday",
    "3d",
    "2026-03-01",
    "mark:release-4",
    "mark:none",
    "#-1",
    "9999-12-31T23:59:59Z",
)
ODD = (
    *HOSTILE,
    "'",
    '"',
    "\\",
    "%",
    "%%s",
    "\x00",
    "\ud800",
    "../../etc/passwd",
    "-1",
    "0",
    "1e999",
    "9" * 40,
    "nan",
    "٣",
    "art:",
    "run:1",
    "art:34",
    "taxi-model@prod",
    "type = 'Trainer'",
    "m.acc > 0.5",
    "name LIKE '%",
    "(" * 200,
    "NOT " * 200,
    "select 1",
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("hostile") / "store"
    engine = Engine(open_folder(folder, create=True))
    record(mlmd.open(mlmd.MetadataStore.over(engine)))
    with Client(
        application(Site(engine, "demo", place=folder)), raise_server_exceptions=False, follow_redirects=False
    ) as found:
        yield found
    engine.close()


def texts() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(ODD), st.text(max_size=40), st.integers(-5, 200).map(str))


def values(param: Param) -> st.SearchStrategy[str]:
    """Return what may be given for a parameter: mostly what it takes, so that the page is reached."""
    if param.choices:
        return st.one_of(st.sampled_from(param.choices), texts())
    if isinstance(param.default, bool):
        return st.one_of(st.sampled_from(("1", "0", "")), texts())
    if isinstance(param.default, int):
        return st.one_of(
            st.integers(param.least, param.most).map(str), st.integers(param.least, param.least + 50).map(str), texts()
        )
    return texts()


@st.composite
def questions(draw: st.DrawFn, entry: Entry) -> str:
    """Return a path with a query, of a page, in any form."""
    path = entry.path
    if entry.path in FILLED:
        named = draw(st.one_of(st.sampled_from(FILLED[entry.path]).map(str), texts()))
        path = path[: path.index("{")] + quote(named, safe="", errors="surrogatepass")
    asked: list[tuple[str, str]] = []
    for param in entry.params:
        most = 3 if isinstance(param.default, tuple) else 1
        asked += [(param.name, value) for value in draw(st.lists(values(param), max_size=most))]
    asked += [("at", when) for when in draw(st.lists(st.one_of(st.sampled_from(MOMENTS), texts()), max_size=1))]
    if draw(st.integers(0, 9)) == 0:
        asked.append((draw(texts()), draw(texts())))
    form = draw(st.sampled_from(("", *(f".{form}" for form in FORMS))))
    if path == "/" and form:
        path = "/index"
    return f"{path}{form}?{urlencode(asked, errors='surrogatepass')}"


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.path)
def test_a_page_answers_whatever_it_is_asked(client: TestClient, entry: Entry) -> None:
    @settings(max_examples=max(8, settings().max_examples // 4), suppress_health_check=list(HealthCheck))
    @given(questions(entry), st.sampled_from(("text/html", "application/json", "*/*")))
    def ask(question: str, accept: str) -> None:
        answer = client.get(question, headers={"accept": accept})
        assert answer.status_code != 500, answer.text
        assert answer.status_code in {200, 303, 307, 400, 404, 409, 429, 501, 503, 504}
        assert "Traceback" not in answer.text
        if answer.status_code >= 400:
            refused(answer, question)

    ask()


def refused(answer: Any, question: str) -> None:
    """Check that a refusal says what was wrong: in place of the page, or on it, as that of SQL does beside the question."""
    if answer.headers["content-type"].startswith("application/json"):
        told = answer.json()
        if "facts" in told:
            assert told["facts"]["error"], question
            return
        assert set(told) == {"code", "message", "next"}, question
        assert told["code"] == answer.status_code
        assert told["message"]
    else:
        assert answer.headers["content-type"].startswith("text/html"), question
        assert f"<h1>{answer.status_code}</h1>" in answer.text or 'role="alert"' in answer.text, question
