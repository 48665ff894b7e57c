"""One artifact: its versions and the aliases that stood for them, who made and read it, what was made from it, who said what of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd import errors
from mlmd.display.facts import edges_of, nodes_of
from mlmd.display.graph import Graph
from mlmd.display.svg import picture
from mlmd.display.tables import Table
from mlmd.display.walk import lineage, moment_of
from mlmd.finding import FIND, Find
from mlmd.kinds import ARTIFACT, EXECUTION, INPUTS, OUTPUTS
from mlmd.names import name_of
from mlmd.plain import plain
from mlmd.recorder import references
from mlmd.recorder.aliases import ever_of, label_of, moves_of, own_name, standing_for
from mlmd.recorder.impact import Impact
from mlmd.recorder.search import filter_text
from mlmd.recorder.standing import why_tainted
from mlmd.recorder.things import Artifact, Run, roles_of
from mlmd.recorder.values import quoted
from mlmd.recorder.words import TAINTED
from mlmd.web.artifacts import artifact_row
from mlmd.web.page import Page
from mlmd.web.records import blamed, by, prove_command, puts_of
from mlmd.web.view import is_id, object_path
from mlmd.web.words import instant, rfc3339

if TYPE_CHECKING:
    from mlmd.display.graph import Node
    from mlmd.web.view import View

_VERSIONS_SHOWN: Final = 40
_ALIASES_SHOWN: Final = 12
_MOVES_SHOWN: Final = 20
_RUNS_SHOWN: Final = 50
_IMPACT_SHOWN: Final = 20
IMPACT_ENOUGH: Final = 5_000
HUB: Final = 5_000  # So many runs that read one thing are counted, not walked.
_NODES_SHOWN: Final = 24
_HOPS: Final = 2
_CONTEXTS_SHOWN: Final = 50


def artifact_page(view: View) -> Page:
    """Return the page of the artifact that the path names: by its id, or else as people name it, which leads there."""
    named, metadata = view.named["id"], view.store.metadata
    if not is_id(named):
        return Page.moved(object_path("artifact", references.artifact_of(metadata, named).id))
    artifact = Artifact(metadata, references.artifact_of(metadata, int(named)))
    made, read = _runs(view, artifact, OUTPUTS), _runs(view, artifact, INPUTS)
    graph = _nearest(artifact, made, read)
    fields = blamed(view, artifact.thing, artifact.message)
    moves = view.where_sound(lambda: _moves(artifact), [])
    facts = {
        **artifact_row(artifact, standing_for(metadata, [artifact.id]).get(artifact.id, [])),
        "thing": name_of(artifact.thing),
        "name": own_name(artifact.message),
        "version": artifact.version,
        "external_id": artifact.message.external_id or None,
        "digest": artifact.digest,
        "bytes": artifact.bytes,
        "updated": instant(artifact.message.last_update_time_since_epoch),
        "properties": plain(artifact.properties),
        **_versions(artifact, moves),
        "moves": moves,
        "made_by": made,
        "read_by": read,
        "contexts": _contexts(artifact),
        "impact": _impact(artifact, read["total"]),
        "fields": fields,
        "tainted_by": next((one for one in fields if one["field"] == f"custom_properties.{TAINTED}"), None),
        "puts": puts_of(view, artifact.thing),
        "prove": prove_command(artifact.thing),
    }
    return Page(
        "artifact.html",
        f"{artifact.type} {artifact.label}",
        facts,
        table=_table(facts),
        graph=graph,
        picture=lambda: linked_picture(view, graph),
        command=view.command("show", name_of(artifact.thing)),
        python=view.python(f".artifact({name_of(artifact.thing)!r})"),
    )


def _nearest(artifact: Artifact, made: dict[str, Any], read: dict[str, Any]) -> Graph:
    """Return the nearest lineage; of a hub, which very many runs read, the newest of these alone."""
    metadata = artifact.metadata
    if read["total"] < HUB:
        return lineage(metadata, artifact, up=_HOPS, down=_HOPS, nodes_max=_NODES_SHOWN)
    ids = [one["id"] for found in (made, read) for one in found["runs"][: _NODES_SHOWN // 2]]
    nodes = nodes_of(metadata, [(ARTIFACT.name, artifact.id), *((EXECUTION.name, one) for one in ids)])
    root, shown = name_of(artifact.thing), {node.key for node in nodes}
    edges = edges_of(metadata.get_events_by_execution_ids(ids))
    hidden = {root: made["total"] + read["total"] - len(ids)}
    return Graph(
        nodes, [one for one in edges if {one.source, one.target} <= shown], [root], hidden, moment_of(metadata)
    )


def linked_picture(view: View, graph: Graph) -> str:
    """Return the picture of a lineage in which each node leads to its page."""
    return picture(graph, link=lambda node: node_link(view, node))


def node_link(view: View, node: Node) -> str:
    """Return the link to a node of a picture; "" for one that stands for several."""
    _, _, number = node.key.rpartition(":")
    return view.link(object_path(node.kind, int(number))) if is_id(number) else ""


# Versions and aliases ------------------------------------------------------------------------------------------------


def _versions(artifact: Artifact, moves: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the newest versions of its name, each with the aliases that stand for it and those that did."""
    name = own_name(artifact.message)
    if name is None:
        return {"versions": [], "versions_in_all": 0, "versions_filter": ""}
    own = f"evlog.name = {quoted(name)}"
    wanted = filter_text("artifact", own)
    asked = Find("artifact", wanted, ascending=False, limit=_VERSIONS_SHOWN, counted=True)
    found = artifact.metadata.answer(FIND, asked)
    standing = standing_for(artifact.metadata, [node.id for node in found.nodes])
    rows = []
    for node in found.nodes:
        stood = [one for one in moves if one["artifact_id"] == node.id and one["until"] is not None]
        rows.append(
            {
                "id": node.id,
                "version": label_of(node),
                "state": ARTIFACT.states[node.state],
                "tainted": why_tainted(node) or None,
                "created": instant(node.create_time_since_epoch),
                "aliases": standing.get(node.id, []),
                "were": list(
                    dict.fromkeys(one["alias"] for one in stood if one["alias"] not in standing.get(node.id, []))
                ),
            }
        )
    return {"versions": rows, "versions_in_all": found.total, "versions_filter": own}


def _moves(artifact: Artifact) -> list[dict[str, Any]]:
    """Return how the aliases of its name were moved, the newest move first: what each stood for, from when until when, and who said so."""
    name = own_name(artifact.message)
    rows: list[dict[str, Any]] = []
    for alias in ever_of(artifact.metadata, name)[:_ALIASES_SHOWN] if name is not None else ():
        until = None
        for move in moves_of(artifact.metadata, alias.context_id, _MOVES_SHOWN):
            since = rfc3339(move.by.time)
            rows.append(
                {"alias": alias.name, "artifact_id": move.artifact_id, "since": since, "until": until, **by(move.by)}
            )
            until = since
    known = {one["artifact_id"] for one in rows} - {None}
    labels = {one.id: label_of(one) for one in artifact.metadata.get_artifacts_by_id(sorted(known))} if known else {}
    for row in rows:
        row["artifact"] = labels.get(row["artifact_id"])
    return sorted(rows, key=lambda row: -row["offset"])


# Runs, contexts, impact ----------------------------------------------------------------------------------------------


def _runs(view: View, artifact: Artifact, types: frozenset[int]) -> dict[str, Any]:
    """Return the newest runs that made or read it, each with its roles, and how many there are: of a hub very many."""
    outputs = types is OUTPUTS
    ids, total = view.ask(lambda lookup: lookup.runs_of(artifact.id, outputs=outputs, limit=_RUNS_SHOWN))
    nodes = artifact.metadata.get_executions_by_id(ids) if ids else []
    roles: dict[int, list[str]] = {}
    for event in artifact.metadata.get_events_by_execution_ids(ids) if ids else ():
        if event.artifact_id == artifact.id and event.type in types:
            roles.setdefault(event.execution_id, []).extend(roles_of(event))
    rows = [run_row(Run(artifact.metadata, node)) | {"roles": roles.get(node.id, [])} for node in reversed(nodes)]
    return {"runs": rows, "total": total}


def run_row(run: Run) -> dict[str, Any]:
    """Return what a list says of a run that is not about its numbers."""
    return {
        "id": run.id,
        "run": run.name or run.label,
        "type": run.type,
        "state": run.state,
        "tainted": run.tainted,
        "started": instant(run.message.create_time_since_epoch),
    }


def _contexts(artifact: Artifact) -> list[dict[str, Any]]:
    try:
        found = artifact.metadata.get_contexts_by_artifact(artifact.id)
    except errors.NotFoundError:  # It is in none.
        return []
    return [{"id": one.id, "context": one.name, "type": one.type} for one in found[:_CONTEXTS_SHOWN]]


def _impact(artifact: Artifact, users: int) -> dict[str, Any]:
    """Return what was made from it, what is in use first. Where that is very much, it is not all counted here: the page of a taint does."""
    if users >= HUB:
        said = f"what {users:,} runs made that read it"
        return {"artifacts": None, "runs": users, "live": None, "whole": False, "in_words": said, "rows": []}
    found = Impact(artifact.metadata, artifact.thing, IMPACT_ENOUGH)
    table = found.table(_IMPACT_SHOWN)
    rows = [
        {**record, "created": None if record["created"] is None else rfc3339(record["created"])}
        for record in table.records()
    ]
    return {
        "artifacts": len(found.artifacts),
        "runs": len(found.executions),
        "live": len(found.live),
        "whole": found.whole,
        "in_words": found.in_words(),
        "rows": rows,
    }


def _table(facts: dict[str, Any]) -> Table:
    """Return fields and properties, each with the record that set it."""
    columns = ("field", "value", "offset", "time", "actor", "reason")
    return Table(columns, [[one[name] for name in columns] for one in facts["fields"]])
