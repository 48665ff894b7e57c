"""`show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from mlmd import errors
from mlmd.changes import difference_in_words
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, rfc3339, show_one, show_rows
from mlmd.cli.reading import Store, gets_of
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import THING_FORMATS
from mlmd.cli.things import event_row, node_row, object_of
from mlmd.cli.typelist import type_rows
from mlmd.convert import ARMS
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind
from mlmd.names import SHORT
from mlmd.places import command_of
from replay.versions import history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.cli.reading import Served
    from mlmd.cli.settings import Settings
    from mlmd.proto import metadata_store_pb2 as pb

_FORMS: Final = {arm: form for form, arm in ARMS.items()}


@command(looks_back=True, formats=THING_FORMATS)
@with_settings
@click.argument("thing", metavar="OBJECT")
def show(settings: Settings, thing: str) -> None:
    """Show one thing with all that belongs to it: art:ID, run:ID, ctx:ID, type:NAME, or as it is called: taxi:7, taxi@prod, a URI.

    Examples:
    evlog show art:2                 an artifact: fields, events, contexts, how often it was put
    evlog show taxi-model@prod       what an alias stands for
    evlog show run:1 -o json         an execution, for a program
    evlog --at '#12' show run:1      the same as it was
    evlog show type:Trainer          a type, all versions

    """
    with gets_of(settings) as store:
        if thing.startswith("type:"):
            rows = [row for row in type_rows(store) if row["name"] == thing.removeprefix("type:")]
            if not rows:
                raise Refusal(f"there is no type {thing.removeprefix('type:')!r}", f"{command_of(store.place)} types")
            if settings.form == "id":
                rows = [{"thing": thing}]
            if len(rows) == 1:
                show_one(settings, rows[0])
            else:
                show_rows(settings, rows, list(rows[0]))
            return
        kind, number = object_of(store.metadata, thing)
        row = node_in_full(store, kind, number)
    if settings.form == "table":
        for field, form in (("properties", "property_types"), ("custom_properties", "custom_property_types")):
            forms = row.pop(form)
            row[field] = [{"name": key, "value": value, "form": forms[key]} for key, value in row[field].items()]
    if settings.form == "id":
        row = {kind.name: f"{SHORT[kind.name]}:{number}"}
    show_one(settings, row)


def node_in_full(store: Store | Served, kind: Kind, number: int) -> Row:
    """Return a node with its events, links and, where the log is at hand, versions. Raises Refusal where there is none."""
    found = getattr(store.get(f"Get{kind.plural.capitalize()}ByID", **{f"{kind.name}_ids": [number]}), kind.plural)
    if not found:
        raise Refusal(f"there is no {SHORT[kind.name]}:{number}", f"{command_of(store.place)} {kind.plural}")
    row = node_row(kind, found[0])
    row["property_types"], row["custom_property_types"] = (
        forms_of(found[0].properties),
        forms_of(found[0].custom_properties),
    )
    if kind is CONTEXT:
        row["artifacts"] = [
            named(one, ARTIFACT) for one in store.get("GetArtifactsByContext", context_id=number).artifacts
        ]
        runs = store.get("GetExecutionsByContext", context_id=number).executions
        row["executions"] = [named(one, EXECUTION) for one in runs]
        for relation, field in (("Parent", "parents"), ("Children", "children")):
            contexts = store.get(f"Get{relation}ContextsByContext", context_id=number).contexts
            row[field] = [named(one, CONTEXT) for one in contexts]
    else:
        one = kind.name.capitalize()
        events = store.get(f"GetEventsBy{one}IDs", **{f"{kind.name}_ids": [number]}).events
        row["events"] = [event_row(event, EXECUTION if kind is ARTIFACT else ARTIFACT) for event in events]
        try:
            contexts = store.get(f"GetContextsBy{one}", **{f"{kind.name}_id": number}).contexts
        except errors.NotFoundError:  # MLMD's way to say none.
            contexts = []
        row["contexts"] = [named(context, CONTEXT) for context in contexts]
    if isinstance(store, Store):
        row["versions"] = _versions(store, kind, number)
    return row


def _versions(store: Store, kind: Kind, number: int) -> list[Row]:
    return [
        {
            "record": f"#{version.by.offset}",
            "time": rfc3339(version.by.time_us),
            "actor": version.by.actor,
            "api": version.by.api,
            "what": ", ".join(difference_in_words(version)),
        }
        for version in history(store.log, store.view, (kind.name, number), store.end, links=False)
    ]


def forms_of(properties: Mapping[str, pb.Value]) -> dict[str, str]:
    """Return the type of each property's value: INT, STRING, ..."""
    return {key: _FORMS[str(value.WhichOneof("value"))] for key, value in sorted(properties.items())}


def named(node: object, kind: Kind) -> str:
    """Return a node as others refer to it."""
    name = getattr(node, "name", "")
    short = f"{SHORT[kind.name]}:{node.id}"  # type: ignore[attr-defined]
    return f"{short} {name}".strip()
