"""What records made of a thing, for the pages of things: each version, each field, and who said so."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import replay
from mlmd.convert import properties_of
from mlmd.names import name_of
from mlmd.plain import plain
from mlmd.web.words import rfc3339

if TYPE_CHECKING:
    from evlog.log import Log
    from mlmd.kinds import Node
    from mlmd.web.view import View
    from projections.sqlite.view import View as Serving
    from replay.things import Difference, Provenance, Thing

_PUTS_SHOWN: Final = 50


def by(said: Provenance) -> dict[str, Any]:
    """Return who put something, when and why."""
    return {
        "offset": said.offset,
        "time": rfc3339(said.time),
        "actor": said.actor,
        "auth": said.auth,
        "reason": said.reason,
    }


_NOBODY: Final = dict.fromkeys(("offset", "time", "actor", "auth", "reason"))


def blamed(view: View, thing: Thing, node: Node) -> list[dict[str, Any]]:
    """Return each field of a thing, with the record that set it; where the log is damaged its properties, and nobody who set them."""
    found = view.where_sound(lambda: view.store.metadata.blame(name_of(thing)), None)
    if found is not None:
        return [{"field": one.field, "value": plain(one.value), **by(one.by)} for one in found]
    return [
        {"field": f"{group}.{name}", "value": plain(value), **_NOBODY}
        for group in ("properties", "custom_properties")
        for name, value in properties_of(getattr(node, group)).items()
    ]


def puts_of(view: View, thing: Thing) -> list[dict[str, Any]]:
    """Return the newest versions of a thing, the newest first, each with the record that put it and what that changed."""

    def question(log: Log, serving: Serving, end: int) -> list[Difference]:
        return list(islice(replay.history(log, serving, thing, end, links=False, newest_first=True), _PUTS_SHOWN))

    return [_put(one) for one in view.where_sound(lambda: view.site.engine.review(question, view.offset), [])]


def _put(one: Difference) -> dict[str, Any]:
    fields = [{"field": change.field, "old": plain(change.old), "new": plain(change.new)} for change in one.fields]
    return {"what": one.what, **by(one.by), "api": one.by.api, "fields": fields}


def prove_command(thing: Thing) -> str:
    """Return what makes a proof of a thing's last record, and what checks it."""
    file = f"{name_of(thing).replace(':', '-')}.tlog-proof"
    return f"evlog prove {name_of(thing)} -O {file}\nevlog check {file} --policy FILE"
