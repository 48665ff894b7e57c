"""A run: how it went, what it was told, what it measured, what it read and made, and who said so when."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.changes import difference_in_words
from mlmd.convert import properties_of
from mlmd.display.tables import Table
from mlmd.display.walk import lineage
from mlmd.names import name_of
from mlmd.plain import plain
from mlmd.recorder import words
from mlmd.recorder.rows import noted
from mlmd.recorder.standing import is_tainted, why_tainted
from mlmd.web import curves
from mlmd.web.artifact import linked_picture
from mlmd.web.page import Page
from mlmd.web.records import by
from mlmd.web.runs import short_facts
from mlmd.web.view import is_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.recorder.things import Artifact, Run
    from mlmd.web.view import View
    from replay.things import Difference, Provenance

_NODES_MAX: Final = 30
_HOPS: Final = 2
_ENDS_MAX: Final = 100
_EVENTS_MAX: Final = 200
_ERROR_MAX: Final = 20_000  # Of a traceback, its end.
_PROPERTY: Final = re.compile(r"^(custom_)?properties\.")
_POINTS: Final = f"{words.POINTS} "  # They are drawn.


def run_page(view: View) -> Page:
    """Return the page."""
    run = found(view, view.named["id"])
    history = view.where_sound(lambda: view.store.history(run.message), [])
    events = [_event(list(alike)) for _, alike in groupby(history, key=lambda one: one.by.offset)][::-1]
    inputs, outputs = run.inputs, run.outputs
    graph = lineage(view.store.metadata, name_of(run.thing), up=_HOPS, down=_HOPS, nodes_max=_NODES_MAX)
    facts = (
        short_facts(run)
        | _said(run)
        | {
            "first": put_by(history[0].by) if history else None,
            "last": put_by(history[-1].by) if history else None,
            "reuses": _reused(run),
            "inputs": [_end(one) for one in inputs[:_ENDS_MAX]],
            "outputs": [_end(one) for one in outputs[:_ENDS_MAX]],
            "inputs_total": len(inputs),
            "outputs_total": len(outputs),
            "contexts": _contexts(run),
            "curves": view.where_sound(lambda: curves.of_run(run), []),
            "events": events[:_EVENTS_MAX],
            "events_total": len(events),
            "nodes": len(graph.nodes),
        }
    )
    return Page(
        "run.html",
        f"{run.type} {run.label}" + (f" {run.name}" if run.name else ""),
        facts | {"run_again": run_again(run, inputs, outputs)},
        table=_table(run),
        picture=lambda: linked_picture(view, graph),
        command=view.command("show", run.label),
        python=view.python(f".get_run({run.label!r})"),
        islands=("charts",) if facts["curves"] else (),
    )


def found(view: View, text: str) -> Run:
    """Return the run that a path or query names: by id, as run:5, or by the name it was given. Raises NotFoundError, InvalidArgumentError."""
    return view.store.get_run(int(text) if is_id(text) else text)


def put_by(said: Provenance) -> dict[str, Any]:
    """Return who put something, when and why, and through what."""
    return by(said) | {"application": said.application, "host": said.host, "api": said.api}


def _said(run: Run) -> dict[str, Any]:
    """Return what the run says of itself, and every property as it is stored."""
    message, error = run.message, run.error
    own = noted(message)
    prefixes = ("p.", "m.", "t.")
    return {
        "ended": run.ended,
        "params": run.params,
        "metrics": run.metrics,
        "tags": run.tags,
        "others": {name: value for name, value in own.items() if not name.startswith(prefixes)},
        "error": error[-_ERROR_MAX:] if isinstance(error, str) else error,
        "code": run.code,
        "commit": run.commit,
        "command_line": run.command,
        "cache_key": run.key,
        "properties": plain(properties_of(message.properties)),
        "custom_properties": plain(properties_of(message.custom_properties)),
    }


def _reused(run: Run) -> dict[str, Any] | None:
    other = run.reuses
    return None if other is None else short_facts(other)


def _end(artifact: Artifact) -> dict[str, Any]:
    message = artifact.message
    return {
        "id": artifact.id,
        "label": artifact.label,
        "type": message.type,
        "role": artifact.role,
        "uri": message.uri,
        "state": artifact.state,
        "tainted": why_tainted(message) if is_tainted(message) else None,
    }


def _contexts(run: Run) -> list[dict[str, Any]]:
    try:
        contexts = run.metadata.get_contexts_by_execution(run.id)
    except errors.NotFoundError:  # MLMD's way to say none.
        return []
    return [{"id": one.id, "type": one.type, "name": one.name} for one in contexts]


def _event(alike: list[Difference]) -> dict[str, Any]:
    """Return what became of a run with one record, and what it was linked to; its state first."""
    said = [_PROPERTY.sub("", text) for one in alike for text in difference_in_words(one)]
    said = [text for text in said if not text.startswith(_POINTS)] or said
    return put_by(alike[0].by) | {"said": sorted(said, key=lambda text: not text.startswith("state "))}


def _table(run: Run) -> Table:
    """Return each thing that the run says of itself as a row."""
    told: list[tuple[str, Mapping[str, Any]]] = [("parameter", run.params), ("metric", run.metrics), ("tag", run.tags)]
    rows = [(group, name, plain(value)) for group, values in told for name, value in values.items()]
    return Table(("group", "name", "value"), rows)


def run_again(run: Run, inputs: list[Artifact], outputs: list[Artifact]) -> str:
    """Return Python that records such a run again: the same parameters and inputs, and room for what it made."""
    given = [repr(run.type)]
    given += [f"params={run.params!r}"] if run.params else []
    given += [f"tags={run.tags!r}"] if run.tags else []
    lines = ["import mlmd", "", "store = mlmd.open()", f"with store.run({', '.join(given)}) as run:"]
    lines += [f"    run.input({one.label!r}{_role(one)})" for one in inputs[:_ENDS_MAX]]
    lines.append("    ...")
    if run.metrics:
        lines.append(f"    run.log({{{', '.join(f'{name!r}: ...' for name in run.metrics)}}})")
    for one in outputs[:_ENDS_MAX]:
        named = f", name={one.name!r}" if one.version is not None else ""
        lines.append(f"    run.output(..., {one.type!r}{named}{_role(one)})")
    return "\n".join(lines)


def _role(artifact: Artifact) -> str:
    return "" if artifact.role is None else f", role={artifact.role!r}"
