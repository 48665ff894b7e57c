"""The store as plain dicts: a second, naive implementation of the contract, to compare the first one with.

Nothing here is shared with mlmd but its messages. A put works on a copy of everything, so a refusal has no trace by construction.
"""

from __future__ import annotations

import base64
import copy
import re
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Row = dict[str, Any]

INVALID, NOT_FOUND, EXISTS, PRECONDITION, ABORTED, RANGE, UNIMPLEMENTED = 3, 5, 6, 9, 10, 11, 12
KINDS: Final = ("artifact", "execution", "context")
NODES: Final = {"artifact": pb.Artifact, "execution": pb.Execution, "context": pb.Context}
TYPES: Final = {"artifact": pb.ArtifactType, "execution": pb.ExecutionType, "context": pb.ContextType}
PLAIN: Final = {  # The fields of a node, besides properties, that a put may set.
    "artifact": ("uri", "external_id", "state"),
    "execution": ("external_id", "last_known_state"),
    "context": ("name", "external_id"),
}
ARMS: Final = (None, "int_value", "double_value", "string_value", "struct_value", "proto_value", "bool_value")
SYSTEM: Final = {
    "artifact": ("mlmd.Dataset", "mlmd.Model", "mlmd.Metrics", "mlmd.Statistics"),
    "execution": ("mlmd.Train", "mlmd.Transform", "mlmd.Process", "mlmd.Evaluate", "mlmd.Deploy"),
    "context": (),
}
HIDDEN: Final = {name for names in SYSTEM.values() for name in names}
DEFAULT_SIZE, SIZE_MAX, INT32_MAX = 20, 100, 2**31 - 1


class RefusedError(Exception):
    """The model refuses a request, with a status code."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(f"{code} {why}")
        self.code = code


def refuse(code: int, why: str = "") -> Any:
    raise RefusedError(code, why)


class Model:
    """State: types {id: row}, one dict {id: row} for each kind of node, and lists of events and links."""

    def __init__(self) -> None:
        self.types: dict[int, Row] = {}
        self.nodes: dict[str, dict[int, Row]] = {kind: {} for kind in KINDS}
        self.events: list[Row] = []
        self.links: dict[str, list[tuple[int, int]]] = {"artifact": [], "execution": []}  # (context, node)
        self.parents: list[tuple[int, int]] = []  # (parent, child)
        self.now_ms = 0
        for kind, names in SYSTEM.items():
            for name in names:
                self._new_type(kind, TYPES[kind](name=name))

    def copy(self) -> Model:
        """Return the store as it is now."""
        return copy.deepcopy(self)

    def call(self, method: str, request: Any, now_ms: int) -> Any:
        """Answer a request. Raises RefusedError."""
        if not method.startswith("Put"):
            return getattr(Reader(self), method)(request)
        attempt = self.copy()
        attempt.now_ms = now_ms
        response = getattr(attempt, method)(request)
        self.__dict__ = attempt.__dict__
        return response

    # Types ----------------------------------------------------------------------------------------------------------

    def PutArtifactType(self, request: Any) -> Any:  # noqa: N802
        return self._put_type("artifact", request, service.PutArtifactTypeResponse)

    def PutExecutionType(self, request: Any) -> Any:  # noqa: N802
        return self._put_type("execution", request, service.PutExecutionTypeResponse)

    def PutContextType(self, request: Any) -> Any:  # noqa: N802
        return self._put_type("context", request, service.PutContextTypeResponse)

    def _put_type(self, kind: str, request: Any, response: Any) -> Any:
        return response(type_id=self._put_types(request, [(kind, getattr(request, f"{kind}_type"))])[0])

    def PutTypes(self, request: Any) -> Any:  # noqa: N802
        given = [(kind, message) for kind in KINDS for message in getattr(request, f"{kind}_types")]
        ids = self._put_types(request, given)
        response = service.PutTypesResponse()
        for (kind, _), type_id in zip(given, ids, strict=True):
            getattr(response, f"{kind}_type_ids").append(type_id)
        return response

    def _put_types(self, request: Any, given: Iterable[tuple[str, Any]]) -> list[int]:
        if not request.all_fields_match:
            refuse(UNIMPLEMENTED)
        ids: list[int] = []
        as_first_seen: dict[int, Row] = {}
        for kind, message in given:
            if not message.name:
                refuse(INVALID, "no name")
            row = self._type_named(kind, message.name, message.version)
            if row is None:
                row = self._new_type(kind, message)
                as_first_seen[row["id"]] = copy.deepcopy(row)
            else:
                before = as_first_seen.setdefault(row["id"], copy.deepcopy(row))
                self._extend(row, before["properties"], message, request)
            ids.append(row["id"])
        return ids

    def _type_named(self, kind: str, name: str, version: str) -> Row | None:
        rows = [
            row for row in self.types.values() if (row["kind"], row["name"], row["version"]) == (kind, name, version)
        ]
        return rows[0] if rows else None

    def _new_type(self, kind: str, message: Any) -> Row:
        row: Row = {
            "id": max(self.types, default=0) + 1,
            "kind": kind,
            "name": message.name,
            "version": message.version,
            "description": message.description if message.HasField("description") else None,
            "external_id": None,
            "properties": {},
            "base_type": 0,
            "shapes": {
                field: getattr(message, field).SerializeToString(deterministic=True)
                for field in ("input_type", "output_type")
                if kind == "execution" and message.HasField(field)
            },
        }
        self._set_type_external_id(row, message)
        if 0 in message.properties.values():
            refuse(INVALID, "UNKNOWN")
        row["properties"] = dict(message.properties)
        self.types[row["id"]] = row
        self._set_base_type(row, message)
        return row

    def _extend(self, row: Row, before: dict[str, int], message: Any, request: Any) -> None:
        given = dict(message.properties)
        if not request.can_omit_fields and set(before) - set(given):
            refuse(EXISTS, "omitted")
        added = set(given) - set(before)
        if any(given[key] != before[key] for key in set(given) & set(before)) or (added and not request.can_add_fields):
            refuse(EXISTS, "conflict or added")
        odd = [key for key in added if given[key] == 0]
        other = [key for key in added if row["properties"].get(key, given[key]) != given[key]]
        if odd and other:
            refuse(INVALID, "unspecified which comes first")
        if odd:
            refuse(INVALID, "UNKNOWN")
        if other:
            refuse(EXISTS, "other type")
        row["properties"].update({key: given[key] for key in added})
        self._set_type_external_id(row, message)
        self._set_base_type(row, message)

    def _set_type_external_id(self, row: Row, message: Any) -> None:
        if not message.external_id:
            return
        for other in self.types.values():
            if (other["kind"], other["external_id"]) == (row["kind"], message.external_id) and other["id"] != row["id"]:
                refuse(EXISTS, "external_id")
        row["external_id"] = message.external_id

    def _set_base_type(self, row: Row, message: Any) -> None:
        if not message.HasField("base_type"):
            return
        if message.base_type == 0:
            refuse(UNIMPLEMENTED, "deletion")
        if row["base_type"] not in (0, message.base_type):
            refuse(UNIMPLEMENTED, "update")
        row["base_type"] = message.base_type
        seen = row
        while seen["base_type"]:
            above = self._type_named(row["kind"], SYSTEM[row["kind"]][seen["base_type"] - 1], "")
            assert above is not None
            if above is row:
                refuse(INVALID, "cycle")
            seen = above

    def type_message(self, row: Row) -> Any:
        """Return a type as every getter answers it."""
        message = TYPES[row["kind"]](id=row["id"], name=row["name"], properties=row["properties"])
        for field in ("version", "base_type"):
            if row[field]:
                setattr(message, field, row[field])
        for field in ("description", "external_id"):
            if row[field] is not None:
                setattr(message, field, row[field])
        for field, data in row["shapes"].items():
            getattr(message, field).MergeFromString(data)
            getattr(message, field).SetInParent()
        return message

    # Nodes ----------------------------------------------------------------------------------------------------------

    def PutArtifacts(self, request: Any) -> Any:  # noqa: N802
        guarded = request.options.abort_if_latest_updated_time_changed
        ids = [self._put("artifact", node, request.update_mask.paths, guarded=guarded) for node in request.artifacts]
        return service.PutArtifactsResponse(artifact_ids=ids)

    def PutExecutions(self, request: Any) -> Any:  # noqa: N802
        ids = [self._put("execution", node, request.update_mask.paths) for node in request.executions]
        return service.PutExecutionsResponse(execution_ids=ids)

    def PutContexts(self, request: Any) -> Any:  # noqa: N802
        ids = [self._put("context", node, request.update_mask.paths) for node in request.contexts]
        return service.PutContextsResponse(context_ids=ids)

    def _put(
        self, kind: str, node: Any, mask: Sequence[str] = (), *, guarded: bool = False, force: bool = False
    ) -> int:
        if node.HasField("id"):
            return self._update(kind, node, list(mask), guarded=guarded, force=force)
        return self._create(kind, node)

    def _create(self, kind: str, node: Any) -> int:
        if not node.HasField("type_id"):
            refuse(INVALID, "no type id")
        self._type(kind, node.type_id)
        self._check(kind, node.type_id, node.properties)
        self._check(kind, None, node.custom_properties)
        if kind == "context" and not node.name:
            refuse(INVALID, "no name")
        row: Row = {
            "id": max(self.nodes[kind], default=0) + 1,
            "type_id": node.type_id,
            "name": node.name if node.HasField("name") else None,
            "properties": _values(node.properties),
            "custom_properties": _values(node.custom_properties),
            "created": self.now_ms,
            "updated": self.now_ms,
        }
        row |= {field: _given(node, field) for field in PLAIN[kind]}
        self._refuse_taken(kind, row)
        self.nodes[kind][row["id"]] = row
        return row["id"]

    def _type(self, kind: str, type_id: int) -> Row:
        row = self.types.get(type_id)
        return row if row and row["kind"] == kind else refuse(NOT_FOUND, "type")

    def _check(self, kind: str, type_id: int | None, given: Any) -> None:
        for key, value in given.items():
            arm = value.WhichOneof("value")
            if type_id is None:
                fits = arm is not None
            else:
                declared = self._type(kind, type_id)["properties"]
                fits = key in declared and ARMS[declared[key]] == arm
            if not fits:
                refuse(INVALID, f"property {key}")

    def _refuse_taken(self, kind: str, row: Row) -> None:
        for other in self.nodes[kind].values():
            if other["id"] == row["id"]:
                continue
            if row["name"] is not None and (other["type_id"], other["name"]) == (row["type_id"], row["name"]):
                refuse(EXISTS, "name")
            if row["external_id"] is not None and other["external_id"] == row["external_id"]:
                refuse(EXISTS, "external_id")

    def _update(self, kind: str, node: Any, mask: list[str], *, guarded: bool, force: bool) -> int:
        row = self.nodes[kind].get(node.id) or refuse(INVALID, "no such id")
        if guarded and node.last_update_time_since_epoch != row["updated"]:
            refuse(PRECONDITION)
        if node.HasField("type_id") and node.type_id != row["type_id"]:
            refuse(INVALID, "type changed")
        new = copy.deepcopy(row)
        for field, type_id in (("properties", row["type_id"]), ("custom_properties", None)):
            given = getattr(node, field)
            keys = set(given) | set(row[field])
            if mask and field not in mask:
                keys &= {path.removeprefix(f"{field}.") for path in mask if path.startswith(f"{field}.")}
            chosen = {key: given[key] for key in keys if key in given}
            self._check(kind, type_id, chosen)
            for key in keys:
                new[field].pop(key, None)
            new[field].update(_values(chosen))
        for field in PLAIN[kind]:
            if not mask or field in mask:
                new[field] = _given(node, field)
        changed = any(new[field] != row[field] for field in ("properties", "custom_properties"))
        if not (changed or force or self._looks_different(kind, node, row)):
            return node.id
        if kind == "context" and not new["name"]:
            refuse(INVALID, "no name")
        self._refuse_taken(kind, new)
        new["updated"] = max(self.now_ms, row["updated"] + 1) if guarded else self.now_ms
        self.nodes[kind][node.id] = new
        return node.id

    def _looks_different(self, kind: str, node: Any, row: Row) -> bool:
        """Tell whether a field differs from what a get answers, whatever the mask."""
        stored = self.node_message(kind, row)
        fields = {*PLAIN[kind], "name", "type", "system_metadata"}
        return any(
            node.HasField(field) != stored.HasField(field) or getattr(node, field) != getattr(stored, field)
            for field in fields
        )

    def node_message(self, kind: str, row: Row) -> Any:
        """Return a node as every getter answers it."""
        message = NODES[kind](id=row["id"], type_id=row["type_id"], type=self.types[row["type_id"]]["name"])
        message.create_time_since_epoch, message.last_update_time_since_epoch = row["created"], row["updated"]
        for field in {"name", *PLAIN[kind]}:
            if row[field] is not None:
                setattr(message, field, row[field])
        for field in ("properties", "custom_properties"):
            for key, data in row[field].items():
                getattr(message, field)[key].MergeFromString(data)
        return message

    # Events and links -----------------------------------------------------------------------------------------------

    def PutEvents(self, request: Any) -> Any:  # noqa: N802
        for event in request.events:
            artifact_id = event.artifact_id if event.HasField("artifact_id") else None
            execution_id = event.execution_id if event.HasField("execution_id") else None
            self._put_event(event, artifact_id, execution_id)
        return service.PutEventsResponse()

    def _put_event(self, event: Any, artifact_id: int | None, execution_id: int | None) -> None:
        if artifact_id is None or execution_id is None or not event.type:
            refuse(INVALID, "incomplete event")
        if artifact_id not in self.nodes["artifact"] or execution_id not in self.nodes["execution"]:
            refuse(INVALID, "event of an unknown node")
        key = (artifact_id, execution_id, event.type)
        if any(row["key"] == key for row in self.events):
            refuse(EXISTS, "event")
        time_ms = event.milliseconds_since_epoch if event.HasField("milliseconds_since_epoch") else self.now_ms
        path = pb.Event.Path(steps=[step for step in event.path.steps if step.WhichOneof("value")])
        self.events.append({"key": key, "time_ms": time_ms, "path": path.SerializeToString()})

    def PutAttributionsAndAssociations(self, request: Any) -> Any:  # noqa: N802
        for kind, links in (("artifact", request.attributions), ("execution", request.associations)):
            for link in links:
                node_id = getattr(link, f"{kind}_id")
                if link.context_id not in self.nodes["context"] or node_id not in self.nodes[kind]:
                    refuse(INVALID, "link of an unknown node")
                self._link(kind, link.context_id, node_id)
        return service.PutAttributionsAndAssociationsResponse()

    def _link(self, kind: str, context_id: int, node_id: int) -> None:
        if (context_id, node_id) not in self.links[kind]:
            self.links[kind].append((context_id, node_id))

    def PutParentContexts(self, request: Any) -> Any:  # noqa: N802
        for link in request.parent_contexts:
            if not (link.HasField("parent_id") and link.HasField("child_id")):
                refuse(INVALID, "missing id")
            parent, child = link.parent_id, link.child_id
            if parent == child or not {parent, child} <= set(self.nodes["context"]):
                refuse(INVALID, "unknown or the same")
            above = {parent}
            while more := {up for up, down in self.parents if down in above} - above:
                above |= more
            if child in above:
                refuse(INVALID, "cycle")
            if (parent, child) in self.parents:
                refuse(EXISTS, "parent link")
            self.parents.append((parent, child))
        return service.PutParentContextsResponse()

    # Composite puts -------------------------------------------------------------------------------------------------

    def PutExecution(self, request: Any) -> Any:  # noqa: N802
        if not request.HasField("execution"):
            refuse(INVALID, "no execution")
        options = request.options
        slots: list[int] = []
        for pair in request.artifact_event_pairs:
            artifact = pair.artifact
            if options.reuse_artifact_if_already_exist_by_external_id:
                artifact = self._with_known_id(artifact)
            slots.append(self._put("artifact", artifact) if pair.HasField("artifact") else -1)
        execution_id = self._put("execution", request.execution, force=options.force_update_time)
        for index, pair in enumerate(request.artifact_event_pairs):
            if pair.HasField("event"):
                slots[index] = self._put_pair_event(pair.event, slots[index], execution_id)
        context_ids = []
        for context in request.contexts:
            if context.HasField("id") and options.force_reuse_context:
                if context.id not in self.nodes["context"]:
                    refuse(NOT_FOUND, "context")
                context_ids.append(context.id)
            else:
                context_ids.append(self._put_context(context, reuse=options.reuse_context_if_already_exist))
            self._link("execution", context_ids[-1], execution_id)
            for artifact_id in slots:
                if artifact_id != -1:
                    self._link("artifact", context_ids[-1], artifact_id)
        return service.PutExecutionResponse(execution_id=execution_id, artifact_ids=slots, context_ids=context_ids)

    def _with_known_id(self, artifact: Any) -> Any:
        known = [row["id"] for row in self.nodes["artifact"].values() if row["external_id"] == artifact.external_id]
        if artifact.HasField("id") or not artifact.external_id or not known:
            return artifact
        found = pb.Artifact()
        found.CopyFrom(artifact)
        found.id = known[0]
        return found

    def _put_pair_event(self, event: Any, artifact_id: int, execution_id: int) -> int:
        if event.HasField("execution_id") and event.execution_id != execution_id:
            refuse(INVALID, "other execution")
        if artifact_id == -1:
            if not event.HasField("artifact_id"):
                refuse(INVALID, "no artifact")
            artifact_id = event.artifact_id
        elif event.HasField("artifact_id") and event.artifact_id != artifact_id:
            refuse(INVALID, "not aligned")
        self._put_event(event, artifact_id, execution_id)
        return artifact_id

    def _put_context(self, context: Any, *, reuse: bool) -> int:
        if not context.HasField("type_id") or not context.HasField("name"):
            refuse(INVALID, "no type id or name")
        if context.HasField("id"):
            return self._put("context", context)
        for row in self.nodes["context"].values():
            if reuse and (row["type_id"], row["name"]) == (context.type_id, context.name):
                return row["id"]
        try:
            return self._create("context", context)
        except RefusedError as error:
            return refuse(ABORTED if reuse and error.code == EXISTS else error.code)

    def PutLineageSubgraph(self, request: Any) -> Any:  # noqa: N802
        for edge in request.event_edges:
            self._check_edge(request, edge)
        for kind in KINDS:
            nodes = getattr(request, f"{kind}s")
            if not all(node.HasField("type_id") for node in nodes):
                refuse(INVALID, "no type id")
            for node in nodes:
                self._type(kind, node.type_id)
            for node in nodes:
                self._check(kind, node.type_id, node.properties)
        options = request.options
        ids: dict[str, list[int]] = {
            "context": [
                self._put_context(context, reuse=options.reuse_context_if_already_exist) for context in request.contexts
            ]
        }
        artifacts: Any = request.artifacts
        if options.reuse_artifact_if_already_exist_by_external_id:
            artifacts = [
                self._with_known_id(artifact) for artifact in artifacts
            ]  # All of them before the first is put.
        ids["artifact"] = [self._put("artifact", artifact) for artifact in artifacts]
        ids["execution"] = [self._put("execution", execution) for execution in request.executions]
        for context_id in ids["context"]:
            for kind in ("execution", "artifact"):
                for node_id in ids[kind]:
                    self._link(kind, context_id, node_id)
        for edge in request.event_edges:
            ends = [
                ids[kind][getattr(edge, f"{kind}_index")]
                if edge.HasField(f"{kind}_index")
                else getattr(edge.event, f"{kind}_id")
                for kind in ("artifact", "execution")
            ]
            self._put_event(edge.event, *ends)
        return service.PutLineageSubgraphResponse(
            execution_ids=ids["execution"], artifact_ids=ids["artifact"], context_ids=ids["context"]
        )

    def _check_edge(self, request: Any, edge: Any) -> None:
        if not edge.HasField("event"):
            refuse(INVALID, "no event")
        for kind in ("execution", "artifact"):
            nodes, named = getattr(request, f"{kind}s"), edge.event.HasField(f"{kind}_id")
            if not edge.HasField(f"{kind}_index"):
                if not named:
                    refuse(INVALID, f"no {kind}")
                continue
            index = getattr(edge, f"{kind}_index")
            if index not in range(len(nodes)):
                refuse(RANGE, f"{kind} index")
            if named and not (nodes[index].HasField("id") and nodes[index].id == getattr(edge.event, f"{kind}_id")):
                refuse(INVALID, f"other {kind}")


def _given(node: Any, field: str) -> Any:
    """Return a plain field of a request, None where it is unset; a uri is never unset."""
    return getattr(node, field) if node.HasField(field) or field == "uri" else None


def _values(given: Any) -> dict[str, bytes]:
    # Bytes, because a NaN is not equal to itself.
    return {key: value.SerializeToString(deterministic=True) for key, value in given.items()}


# Reads ---------------------------------------------------------------------------------------------------------------


class Reader:
    """Every read, by name."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __getattr__(self, method: str) -> Callable[[Any], Any]:
        """Return the read of a method that exists for each kind."""
        for kind in KINDS:
            one, many = kind.capitalize(), f"{kind.capitalize()}s"
            shapes = {
                f"Get{one}Type": self._type,
                f"Get{one}Types": self._types,
                f"Get{one}TypesByID": self._types_by_id,
                f"Get{one}TypesByExternalIds": self._types_by_external_ids,
                f"Get{many}": self._list,
                f"Get{many}ByType": self._list_by_type,
                f"Get{many}ByContext": self._list_by_context,
                f"Get{many}ByID": self._by_id,
                f"Get{one}ByTypeAndName": self._by_name,
                f"Get{many}ByExternalIds": self._by_external_ids,
                f"GetContextsBy{one}": self._contexts_of,
                f"GetEventsBy{one}IDs": self._events,
            }
            if method in shapes:
                response = getattr(service, f"{method}Response")
                return lambda request: shapes[method](kind, request, response())
        raise AttributeError(method)

    def _type(self, kind: str, request: Any, response: Any) -> Any:
        row = self.model._type_named(kind, request.type_name, request.type_version)
        if row is None:
            refuse(NOT_FOUND, "type")
        getattr(response, f"{kind}_type").CopyFrom(self.model.type_message(row))
        return response

    def _types_answer(self, kind: str, response: Any, rows: Iterable[Row]) -> Any:
        getattr(response, f"{kind}_types").extend(self.model.type_message(row) for row in rows)
        return response

    def _types(self, kind: str, _request: Any, response: Any) -> Any:
        rows = [row for row in self._of_kind(kind) if kind == "context" or row["name"] not in HIDDEN]
        return self._types_answer(kind, response, rows)

    def _of_kind(self, kind: str) -> list[Row]:
        return [row for _, row in sorted(self.model.types.items()) if row["kind"] == kind]

    def _types_by_id(self, kind: str, request: Any, response: Any) -> Any:
        rows = {row["id"]: row for row in self._of_kind(kind)}
        return self._types_answer(kind, response, [rows[type_id] for type_id in request.type_ids if type_id in rows])

    def _types_by_external_ids(self, kind: str, request: Any, response: Any) -> Any:
        found = self._external(self._of_kind(kind), request)
        return self._types_answer(kind, response, sorted(found, key=lambda row: row["external_id"].encode()))

    def _external(self, rows: Iterable[Row], request: Any) -> list[Row]:
        if "" in request.external_ids:
            refuse(INVALID, "empty external_id")
        found = [row for row in rows if row["external_id"] in list(request.external_ids)]
        if request.external_ids and not found:
            refuse(NOT_FOUND)
        return found

    def _rows(self, kind: str) -> list[Row]:
        return [row for _, row in sorted(self.model.nodes[kind].items())]

    def _answer(self, kind: str, response: Any, rows: Iterable[Row]) -> Any:
        getattr(response, f"{kind}s").extend(self.model.node_message(kind, row) for row in rows)
        return response

    def _by_id(self, kind: str, request: Any, response: Any) -> Any:
        wanted = set(getattr(request, f"{kind}_ids"))
        rows = [row for row in self._rows(kind) if row["id"] in wanted]
        if kind == "artifact" and request.populate_artifact_types:
            for type_id in dict.fromkeys(row["type_id"] for row in rows):
                response.artifact_types.append(self.model.type_message(self.model.types[type_id]))
        return self._answer(kind, response, rows)

    def _by_external_ids(self, kind: str, request: Any, response: Any) -> Any:
        return self._answer(kind, response, self._external(self._rows(kind), request))

    def _by_name(self, kind: str, request: Any, response: Any) -> Any:
        for row in self._of_type(kind, request) or []:
            if row["name"] == getattr(request, f"{kind}_name"):
                getattr(response, kind).CopyFrom(self.model.node_message(kind, row))
        return response

    def _of_type(self, kind: str, request: Any) -> list[Row] | None:
        of_type = self.model._type_named(kind, request.type_name, request.type_version)
        return of_type and [row for row in self._rows(kind) if row["type_id"] == of_type["id"]]

    def _list(self, kind: str, request: Any, response: Any) -> Any:
        return self._page(kind, request, response, self._rows(kind))

    def _list_by_type(self, kind: str, request: Any, response: Any) -> Any:
        rows = self._of_type(kind, request)
        return self._page(kind, request, response, rows, last="") if rows else response

    def _list_by_context(self, kind: str, request: Any, response: Any) -> Any:
        rows = [row for row in self._rows(kind) if (request.context_id, row["id"]) in self.model.links[kind]]
        return self._page(kind, request, response, rows) if rows else response

    def _page(self, kind: str, request: Any, response: Any, rows: list[Row], last: str | None = None) -> Any:
        if not request.HasField("options"):
            return self._answer(kind, response, rows)
        options = request.options
        size = options.max_result_size if options.HasField("max_result_size") else DEFAULT_SIZE
        if size <= 0 or size == INT32_MAX:
            refuse(INVALID, "size")
        order = options.order_by_field
        token = _token(options.next_page_token)
        if token is not None:
            made_for = token.set_options.order_by_field
            if (made_for.field, made_for.is_asc) != (order.field, order.is_asc):
                refuse(INVALID, "mismatch")
            if order.field == order.LAST_UPDATE_TIME and not token.listed_ids:
                refuse(INVALID, "listed_ids")
        if order.field == order.FIELD_UNSPECIFIED:
            refuse(INVALID, "order")
        value = {order.ID: "id", order.CREATE_TIME: "created", order.LAST_UPDATE_TIME: "updated"}[order.field]
        rows = sorted(rows, key=lambda row: (row[value], row["id"]), reverse=not order.is_asc)
        rows = [row for row in rows if _follows(row, value, token, ascending=order.is_asc)]
        shown = rows[: min(size, SIZE_MAX)]
        if len(rows) > len(shown):
            response.next_page_token = _next_token(options, shown, value)
        elif last is not None:
            response.next_page_token = last
        return self._answer(kind, response, shown)

    def _contexts_of(self, kind: str, request: Any, response: Any) -> Any:
        node_id = getattr(request, f"{kind}_id")
        rows = [row for row in self._rows("context") if (row["id"], node_id) in self.model.links[kind]]
        return self._answer("context", response, rows) if rows else refuse(NOT_FOUND)

    def _events(self, kind: str, request: Any, response: Any) -> Any:
        wanted = set(getattr(request, f"{kind}_ids"))
        mine = 0 if kind == "artifact" else 1
        rows = [row for row in self.model.events if row["key"][mine] in wanted]
        rows.sort(key=lambda row: row["key"] if kind == "artifact" else row["key"][1])
        for row in rows:
            artifact_id, execution_id, event_type = row["key"]
            event = response.events.add(artifact_id=artifact_id, execution_id=execution_id, type=event_type)
            event.milliseconds_since_epoch = row["time_ms"]
            if row["path"]:
                event.path.MergeFromString(row["path"])
        return response

    def GetArtifactsByURI(self, request: Any) -> Any:  # noqa: N802
        response = service.GetArtifactsByURIResponse()
        for uri in dict.fromkeys(request.uris):
            self._answer("artifact", response, [row for row in self._rows("artifact") if row["uri"] == uri])
        return response

    def _relatives(self, context_id: int, *, up: bool) -> list[Row]:
        contexts = self.model.nodes["context"]
        if up:
            return [
                contexts[parent]
                for parent in sorted(parent for parent, child in self.model.parents if child == context_id)
            ]
        return [contexts[child] for parent, child in self.model.parents if parent == context_id]

    def GetParentContextsByContext(self, request: Any) -> Any:  # noqa: N802
        response = service.GetParentContextsByContextResponse()
        return self._answer("context", response, self._relatives(request.context_id, up=True))

    def GetChildrenContextsByContext(self, request: Any) -> Any:  # noqa: N802
        rows = sorted(self._relatives(request.context_id, up=False), key=lambda row: row["id"])
        return self._answer("context", service.GetChildrenContextsByContextResponse(), rows)

    def GetParentContextsByContexts(self, request: Any) -> Any:  # noqa: N802
        return self._relatives_of_many(
            request, service.GetParentContextsByContextsResponse(), "parent_contexts", up=True
        )

    def GetChildrenContextsByContexts(self, request: Any) -> Any:  # noqa: N802
        return self._relatives_of_many(
            request, service.GetChildrenContextsByContextsResponse(), "children_contexts", up=False
        )

    def _relatives_of_many(self, request: Any, response: Any, field: str, *, up: bool) -> Any:
        if not request.context_ids:
            refuse(INVALID, "context_ids is empty")
        for context_id in request.context_ids:
            rows = self._relatives(context_id, up=up)
            if rows and context_id not in response.contexts:
                messages = [self.model.node_message("context", row) for row in rows]
                getattr(response.contexts[context_id], field).extend(messages)
        return response


def _follows(row: Row, value: str, token: Any, *, ascending: bool) -> bool:
    if token is None:
        return True
    sign = 1 if ascending else -1
    if value == "id":
        return (row["id"] - token.field_offset) * sign > 0
    if value == "created":
        return (row["created"] - token.field_offset) * sign >= 0 and (row["id"] - token.id_offset) * sign > 0
    position, place = (row["updated"], row["id"]), (token.field_offset, token.listed_ids[0])
    return position > place if ascending else position < place


def _token(text: str) -> Any:
    if not text:
        return None
    text = re.sub(r"[ \t-\r]", "", text)
    if not re.fullmatch(r"[A-Za-z0-9_-]*[=.]{0,2}", text) or len(text.rstrip("=.")) % 4 == 1:
        refuse(INVALID, "decode")
    if text.endswith(("=", ".")) and len(text) % 4:
        refuse(INVALID, "padding")
    data = base64.urlsafe_b64decode(text.rstrip("=.") + "=" * (-len(text.rstrip("=.")) % 4))
    try:
        return pb.ListOperationNextPageToken.FromString(data)
    except DecodeError:
        return refuse(INVALID, "parse")


def _next_token(options: Any, shown: list[Row], value: str) -> str:
    last = shown[-1]
    token = pb.ListOperationNextPageToken(field_offset=last[value], set_options=options)
    token.set_options.ClearField("next_page_token")
    if value == "updated":
        token.listed_ids.extend(row["id"] for row in reversed(shown) if row["updated"] == last["updated"])
    else:
        token.id_offset = last["id"]
    return base64.urlsafe_b64encode(token.SerializeToString(deterministic=True)).decode().rstrip("=")
