"""The table of pages, and of what forms do. Routes, navigation, checks of what is asked, roles and the API's description are all made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from mlmd.web import audit
from mlmd.web.day import day_page
from mlmd.web.evidence import evidence_page
from mlmd.web.home import home_page
from mlmd.web.lineage import PARAMS, START_PARAMS, lineage_page, start_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlmd.tokens import Role
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
    Entry("/", home_page, "What the store holds, and what is new in it."),
    Entry("/lineage", start_page, "Where to look at a lineage from.", START_PARAMS, navigation="Lineage"),
    Entry(
        "/lineage/{object}",
        lineage_page,
        "What a thing was made from and what was made from it, through time; the way from it to another.",
        PARAMS,
    ),
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
ACTIONS: Final[tuple[Action, ...]] = ()
