"""What `/openapi.json` says of the pages' data is what they answer: to what it allows, and to what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from on_show import record
from shown import Client

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.web.guard import OpenGuard
from mlmd.web.pages import PAGES
from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.once, pytest.mark.slow]
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: it is for developers alone")
EXAMPLES = max(3, settings().max_examples // 25)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("described") / "store"
    engine = Engine(open_folder(folder, create=True))
    record(mlmd.open(mlmd.MetadataStore.over(engine)))
    guard = OpenGuard()
    guard.hosts = None  # What asks here does so under a name of its own.
    yield application(Site(engine, "demo", place=folder, guard=guard))
    engine.close()


@pytest.fixture(scope="module")
def operations(app: Any) -> list[Any]:
    if Client(app).get("/openapi.json").status_code == 404:
        pytest.skip("the pages are not described yet")
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    return [found.ok() for found in described.get_all_operations()]


def test_every_page_is_described(operations: list[Any]) -> None:
    described = {one.path for one in operations if one.method.lower() == "get"}
    missing = [
        entry.path for entry in PAGES if f"{'/index' if entry.path == '/' else entry.path}.json" not in described
    ]
    assert missing == []


def test_what_is_described_is_what_is_answered(operations: list[Any]) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    rules = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    for operation in operations:
        allowed = operation.as_strategy()
        not_allowed = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
        @given(st.one_of(allowed, not_allowed))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=rules)

        ask()
