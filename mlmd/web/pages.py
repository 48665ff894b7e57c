"""The table of pages, and of what forms do. Routes, navigation, checks of what is asked, roles and the API's description are all made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from mlmd.web import artifacts, audit, compare, contexts, forms, home, ops, pipeline, runs, search, sql, types
from mlmd.web.artifact import artifact_page
from mlmd.web.artifacts import artifacts_page
from mlmd.web.compare import compare_page
from mlmd.web.contexts import contexts_page
from mlmd.web.day import day_page
from mlmd.web.evidence import evidence_page
from mlmd.web.home import home_page
from mlmd.web.lineage import PARAMS, START_PARAMS, lineage_page, start_page
from mlmd.web.ops import ops_page
from mlmd.web.pipeline import context_page
from mlmd.web.run import run_page
from mlmd.web.runs import runs_page
from mlmd.web.search import search_page
from mlmd.web.sql import sql_page
from mlmd.web.types import types_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlmd.serving.tokens import Role
    from mlmd.web.page import Page
    from mlmd.web.view import Param, View

_FIELD: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """A page: its path, with {names} for what it is of; what may be asked of it, beside `at`. navigation: its name in the header, "" for none."""

    path: str
    page: Callable[[View], Page]
    about: str
    params: tuple[Param, ...] = ()
    role: Role = "reader"
    navigation: str = ""

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the path of one page."""
        return _FIELD.sub(lambda match: quote(values[match[1]], safe=":@"), self.path)


@dataclass(frozen=True)
class Action:
    """What a form does. act: does it, and returns where the browser goes on."""

    path: str
    act: Callable[[View], str]
    about: str
    params: tuple[Param, ...] = ()
    role: Role = "writer"


PAGES: Final[tuple[Entry, ...]] = (
    Entry("/", home_page, "What the store holds, and what is new in it.", home.PARAMS),
    Entry("/runs", runs_page, "The runs that a filter leaves, in any order.", runs.PARAMS, navigation="Runs"),
    Entry("/runs/{id}", run_page, "A run: parameters, metrics, inputs, outputs, and who put what when."),
    Entry(
        "/artifacts",
        artifacts_page,
        "The artifacts that a filter leaves, with what differs between them.",
        artifacts.PARAMS,
        navigation="Artifacts",
    ),
    Entry(
        "/artifacts/{id}",
        artifact_page,
        "An artifact: its versions and aliases, who made and read it, what was made from it, who said what of it.",
    ),
    Entry("/lineage", start_page, "Where to look at a lineage from.", START_PARAMS, navigation="Lineage"),
    Entry(
        "/lineage/{object}",
        lineage_page,
        "What a thing was made from and what was made from it, through time; the way from it to another.",
        PARAMS,
    ),
    Entry(
        "/contexts",
        contexts_page,
        "Pipelines, their runs, experiments: the contexts that artifacts and runs were put into.",
        contexts.PARAMS,
        navigation="Pipelines",
    ),
    Entry(
        "/contexts/{id}",
        context_page,
        "A pipeline: its template, and its runs by component. Of any context: its properties and its life.",
        pipeline.PARAMS,
    ),
    Entry(
        "/compare",
        compare_page,
        "What differs between runs, or one run at two moments.",
        compare.PARAMS,
        navigation="Compare",
    ),
    Entry(
        "/sql",
        sql_page,
        "A question in SQL to every version of everything; the data forms hold the whole answer.",
        sql.PARAMS,
        navigation="SQL",
    ),
    Entry(
        "/types",
        types_page,
        "Types with their properties, and how many nodes they have.",
        types.PARAMS,
        navigation="Types",
    ),
    Entry("/search", search_page, "What has a text in it; what is named leads to its page.", search.PARAMS),
    Entry("/ops", ops_page, "How the store is, for who runs it.", ops.PARAMS, role="admin", navigation="Ops"),
    Entry("/taint", forms.taint_page, "What a taint would mark, before it does.", forms.ASKED, role="writer"),
    Entry("/untaint", forms.untaint_page, "From what a mark would be taken away.", forms.ASKED, role="writer"),
    Entry(
        "/audit",
        audit.audit_page,
        "Who put what, when, through which call and why, the newest first.",
        audit.PARAMS,
        role="auditor",
        navigation="Audit",
    ),
    Entry("/audit/{offset}", audit.record_page, "One record in full, and its leaf in the tree.", role="auditor"),
    Entry(
        "/evidence",
        evidence_page,
        "Checkpoints, anchors, erasures, taints, repairs, losses, quarantine.",
        role="auditor",
    ),
    Entry("/evidence/{day}", day_page, "A day of the log in numbers.", role="auditor"),
)
ACTIONS: Final[tuple[Action, ...]] = (
    Action("/sql/save", sql.save, "Save a question as a file of the store.", sql.SAVE),
    Action("/taint", forms.taint, "Taint a thing, and everything that was made from it.", forms.TAINT),
    Action("/untaint", forms.untaint, "Take the mark of a taint away.", forms.TAINT),
    Action("/alias", forms.set_alias, "Let an alias stand for an artifact.", forms.ALIAS),
    Action("/unalias", forms.remove_alias, "Take an alias away.", forms.UNALIAS),
    Action("/mark", forms.mark, "Give a moment a name.", forms.MARK),
)
