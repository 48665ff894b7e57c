"""The description of the pages for programs fits what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlmd.web.openapi import description
from mlmd.web.page import FORMS
from mlmd.web.pages import ACTIONS, PAGES

if TYPE_CHECKING:
    from shown import Demo

DESCRIBED = description(PAGES, ACTIONS)


def followed(node: Any) -> Any:
    """Return what a $ref leads to."""
    if isinstance(node, dict) and "$ref" in node:
        found: Any = DESCRIBED
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found
    return node


def refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [one for value in node.values() for one in refs(value)] + ([node["$ref"]] if "$ref" in node else [])
    return [one for value in node for one in refs(value)] if isinstance(node, list) else []


def test_every_page_every_form_of_it_and_every_action_is_described_once() -> None:
    paths = DESCRIBED["paths"]
    for entry in PAGES:
        assert "get" in paths[entry.path]
        whole = "/index" if entry.path == "/" else entry.path
        assert all("get" in paths[f"{whole}.{form}"] for form in FORMS)
    for action in ACTIONS:
        assert "post" in paths[action.path]
    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(set(names)) == len(names)
    assert all(followed({"$ref": one}) for one in refs(DESCRIBED))


def test_the_site_hands_it_out(demo: Demo) -> None:
    assert demo.browser.get("/openapi.json").json() == DESCRIBED


ASKED: dict[str, dict[str, str]] = {
    "/search": {"q": "taxi"},
    "/taint": {"object": "taxi:1"},
    "/untaint": {"object": "taxi:3"},
}


@pytest.mark.parametrize("path", sorted(path for path, has in DESCRIBED["paths"].items() if "get" in has))
def test_an_answer_is_one_that_is_described(demo: Demo, path: str) -> None:
    operation = DESCRIBED["paths"][path]["get"]
    at = path.replace("{id}", "1").replace("{object}", "art:1").replace("{offset}", "1")
    query = ASKED.get(path.partition(".")[0], {})
    for more, accept in (({}, "text/html"), ({}, "application/json"), ({"nonsense": "1"}, "application/json")):
        answer = demo.browser.get(at, params=query | more, headers={"accept": accept})
        response = followed(operation["responses"][str(answer.status_code)])
        kind = answer.headers.get("content-type", "").replace(" ", "")
        if answer.status_code != 303:
            assert kind in {one.replace(" ", "") for one in response["content"]}, (path, kind)
        if kind == "application/json":
            schema = followed(response["content"]["application/json"]["schema"])
            assert set(schema["required"]) <= set(answer.json())


def test_parameters_are_described_as_they_are_checked(demo: Demo) -> None:
    params = {one["name"]: one for one in DESCRIBED["paths"]["/artifacts.json"]["get"]["parameters"]}
    assert params["n"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 50}
    for number, status in ((1, 200), (1_000, 200), (0, 400), (1_001, 400)):
        assert demo.browser.get("/artifacts.json", params={"n": number}).status_code == status
    assert params["col"]["schema"]["type"] == "array"
    assert "tainted" in params["done"]["schema"]["enum"]
