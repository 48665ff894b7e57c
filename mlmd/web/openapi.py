"""What the pages are for programs: a description in OpenAPI 3.1 of every page as JSON, of its other forms, and of what forms send."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlmd import __version__
from mlmd.web.page import FORMS
from mlmd.web.view import COMMON, Param

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlmd.web.pages import Action, Entry

_FIELD: Final = re.compile(r"\{(\w+)\}")
_HTML: Final = "text/html; charset=utf-8"
_ERRORS: Final = {
    "400": "What was asked makes no sense: the message says what, and how it is right.",
    "401": "Nobody said who asks: send a token.",
    "403": "Who asks has not the role for it, or the form is not of a page of this site.",
    "404": "There is no such thing, or the page has no such form.",
    "409": "It cannot be done as things are: the store is open for reading, or has moved on.",
    "429": "Too much was asked.",
    "500": "A fault of the server.",
    "503": "The store does not answer now.",
}
_ERROR: Final = {
    "type": "object",
    "required": ["code", "message", "next"],
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string", "description": "What is wrong, in words."},
        "next": {"type": "string", "description": "What to do."},
    },
}
_PAGE: Final = {
    "type": "object",
    "required": ["title", "at", "log", "offset", "root", "facts"],
    "properties": {
        "title": {"type": "string"},
        "at": {"type": "string", "description": "The moment that was asked for, empty for now."},
        "log": {"type": "string", "description": "The id of the log, hexadecimal."},
        "offset": {"type": "integer", "minimum": 0, "description": "Of so many records it is told."},
        "root": {
            "type": ["string", "null"],
            "description": "The root of the Merkle tree over them, hexadecimal; null where the log is damaged before.",
        },
        "unread": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Only of a damaged log: why some facts are not known, and null or left out.",
        },
        "facts": {"type": "object", "description": "What the page shows."},
    },
}


def description(pages: Sequence[Entry], actions: Sequence[Action]) -> dict[str, Any]:
    """Return the description as plain values."""
    paths: dict[str, dict[str, Any]] = {}
    for entry in pages:
        whole = "/index" if entry.path == "/" else entry.path
        paths.setdefault(entry.path, {})["get"] = _get(entry, "")
        for form in FORMS:
            paths[f"{whole}.{form}"] = {"get": _get(entry, form)}
    for action in actions:
        paths.setdefault(action.path, {})["post"] = _post(action)
    paths["/healthz"] = {"get": _healthy()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "evlog", "version": __version__, "description": __doc__},
        "paths": dict(sorted(paths.items())),
        "components": {
            "responses": _refusals(),
            "schemas": {"Page": _PAGE, "Error": _ERROR},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the store, where it has some: evlog token add NAME --role reader.",
                }
            },
        },
    }


def _get(entry: Entry, form: str) -> dict[str, Any]:
    """Return what a page is in one form; "" for HTML."""
    kind = FORMS[form] if form else _HTML
    schema = {"$ref": "#/components/schemas/Page"} if form == "json" else {"type": "string"}
    if form == "parquet":
        schema = {}  # Bytes.
    ok = {"description": entry.about, "content": {kind: {"schema": schema}}}
    moved = {"description": "It is at another place.", "headers": _LOCATION}
    return {
        "operationId": _id_of("get", entry.path, form),
        "summary": entry.about,
        "x-role": entry.role,
        "security": [{"token": []}, {}],
        "parameters": [*_path_params(entry.path), *(_query_param(one) for one in (*entry.params, *COMMON))],
        "responses": {"200": ok, "303": moved, **_refused(html=not form)},
    }


def _post(action: Action) -> dict[str, Any]:
    """Return what a form does. csrf: from the page that has the form; who sends a token needs none."""
    fields = {one.name: _schema(one) for one in action.params} | {"csrf": {"type": "string"}}
    form = {"type": "object", "properties": fields, "additionalProperties": False}
    done = {"description": f"Done: {action.about}", "headers": _LOCATION}
    return {
        "operationId": _id_of("post", action.path, ""),
        "summary": action.about,
        "x-role": action.role,
        "security": [{"token": []}, {}],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {"303": done, **_refused(html=True)},
    }


_LOCATION: Final = {"location": {"required": True, "schema": {"type": "string"}}}


def _healthy() -> dict[str, Any]:
    text = {"text/plain; charset=utf-8": {"schema": {"type": "string"}}}
    return {
        "operationId": "healthz",
        "summary": "Whether the store answers, for load balancers.",
        "security": [],
        "responses": {
            "200": {"description": "It does.", "content": text},
            "503": {"description": "It does not.", "content": text},
        },
    }


def _refused(*, html: bool) -> dict[str, Any]:
    """Return the answers to what is refused: JSON; for a page or form, HTML to who takes it."""
    return {status: {"$ref": f"#/components/responses/{'Page' if html else 'Data'}{status}"} for status in _ERRORS}


def _refusals() -> dict[str, Any]:
    """Return each refusal once, for pages and for data."""
    data: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    page = data | {_HTML: {"schema": {"type": "string"}}}
    return {
        f"{name}{status}": {"description": about, "content": content}
        for name, content in (("Page", page), ("Data", data))
        for status, about in _ERRORS.items()
    }


def _path_params(path: str) -> Iterable[dict[str, Any]]:
    for name in _FIELD.findall(path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": "A number, or what a person calls it, such as taxi:7.",
            "schema": {"type": "string", "minLength": 1},
        }


def _query_param(param: Param) -> dict[str, Any]:
    several = {"style": "form", "explode": True} if isinstance(param.default, tuple) else {}
    return {
        "name": param.name,
        "in": "query",
        "required": False,
        "description": param.about,
        "schema": _schema(param),
        **several,
    }


def _schema(param: Param) -> dict[str, Any]:
    """Return the values that a parameter takes."""
    if isinstance(param.default, bool):
        return {"type": "boolean", "default": param.default}
    if isinstance(param.default, int):
        return {"type": "integer", "minimum": param.least, "maximum": param.most, "default": param.default}
    text: dict[str, Any] = {"type": "string", "maxLength": param.longest}
    if param.choices:
        text = {"type": "string", "enum": ["", *param.choices]}
    return {"type": "array", "items": text, "maxItems": param.most} if isinstance(param.default, tuple) else text


def _id_of(method: str, path: str, form: str) -> str:
    words = re.sub(r"\W+", "_", path).strip("_") or "index"
    return "_".join(filter(None, (method, words, form)))
