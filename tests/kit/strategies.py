"""Hypothesis strategies for requests, biased to collisions: few names, ids, versions and keys, so that puts meet each other.

An operation is a Call (a request as it is), a Rewrite (a stored node read, edited and put back) or a Walk (a listing followed
to its last page). SAFE draws from values that the reference stores exactly; WILD from every value a message can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct
from hypothesis import strategies as st

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    Strategy = st.SearchStrategy[Any]

KINDS: Final = ("artifact", "execution", "context")
MESSAGES: Final = {"artifact": pb.Artifact, "execution": pb.Execution, "context": pb.Context}
TYPE_MESSAGES: Final = {"artifact": pb.ArtifactType, "execution": pb.ExecutionType, "context": pb.ContextType}
STATES: Final = {"artifact": ("state", range(6)), "execution": ("last_known_state", range(7))}

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

# The types that every sequence begins with; the first of them has id 10.
ALL_ARMS: Final = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "t": pb.STRUCT, "p": pb.PROTO, "b": pb.BOOLEAN}
FIRST_TYPES: Final = service.PutTypesRequest(
    artifact_types=[
        pb.ArtifactType(name="Data", properties=ALL_ARMS | {"a.b": pb.INT}),
        pb.ArtifactType(name="Data", version="1", properties={"s": pb.STRING}),
        pb.ArtifactType(name="Blob"),
    ],
    execution_types=[
        pb.ExecutionType(name="Data", properties=ALL_ARMS),
        pb.ExecutionType(name="Run", version="1", properties={"i": pb.INT}),
    ],
    context_types=[
        pb.ContextType(name="Data", properties=ALL_ARMS),
        pb.ContextType(name="Pipe"),
    ],
)
TYPE_IDS: Final = {"artifact": (10, 11, 12, 1), "execution": (13, 14, 5), "context": (15, 16)}

# And the nodes: two of each kind, some of them linked, so that most ids drawn below are taken.
_VALUES: Final = {"i": pb.Value(int_value=1), "s": pb.Value(string_value="s")}


class Call(NamedTuple):
    """One request."""

    method: str
    request: Message

    def __repr__(self) -> str:
        return f"{self.method}({str(self.request).strip()})"


FIRST_CALLS: Final = [
    Call("PutTypes", FIRST_TYPES),
    Call(
        "PutArtifacts",
        service.PutArtifactsRequest(
            artifacts=[
                pb.Artifact(
                    type_id=10,
                    name="a",
                    external_id="x",
                    uri="u",
                    properties=_VALUES,
                    custom_properties={"c": _VALUES["i"]},
                ),
                pb.Artifact(type_id=10, state=pb.Artifact.LIVE),
            ]
        ),
    ),
    Call(
        "PutExecutions",
        service.PutExecutionsRequest(
            executions=[
                pb.Execution(
                    type_id=13, name="a", external_id="x", properties=_VALUES, custom_properties={"c": _VALUES["i"]}
                ),
                pb.Execution(type_id=13, last_known_state=pb.Execution.RUNNING),
            ]
        ),
    ),
    Call(
        "PutContexts",
        service.PutContextsRequest(
            contexts=[
                pb.Context(
                    type_id=15, name="a", external_id="x", properties=_VALUES, custom_properties={"c": _VALUES["i"]}
                ),
                pb.Context(type_id=15, name="b"),
            ]
        ),
    ),
    Call(
        "PutAttributionsAndAssociations",
        service.PutAttributionsAndAssociationsRequest(
            attributions=[pb.Attribution(context_id=1, artifact_id=1)],
            associations=[pb.Association(context_id=1, execution_id=2)],
        ),
    ),
]


class Rewrite(NamedTuple):
    """Nodes read, edited and put back: `cleared` fields are unset, then `patch` is merged in. guarded: with OCC."""

    kind: str
    ids: Sequence[int]
    cleared: Sequence[str]
    patch: Message
    mask: Sequence[str]
    guarded: bool

    def request(self, nodes: Sequence[Message]) -> Call:
        """Return the put, given the nodes that were read."""
        many = f"{self.kind}s"
        request = getattr(service, f"Put{many.capitalize()}Request")()
        for node in nodes:
            edited = getattr(request, many).add()
            edited.CopyFrom(node)
            for field in self.cleared:
                if field in node.DESCRIPTOR.fields_by_name:
                    edited.ClearField(field)
            edited.MergeFrom(self.patch)
        request.update_mask.paths.extend(self.mask)
        if self.guarded and self.kind == "artifact":
            request.options.abort_if_latest_updated_time_changed = True
        return Call(f"Put{many.capitalize()}", request)


class Walk(NamedTuple):
    """A listing, followed by its tokens to the last page."""

    method: str
    request: Message


# Values --------------------------------------------------------------------------------------------------------------


def struct(fields: dict[str, Any]) -> Struct:
    """Return a Struct message."""
    message = Struct()
    message.update(fields)
    return message


def nested(depth: int) -> Struct:
    """Return a Struct of so many lists, one in the other."""
    message = Struct()
    value = message.fields["deep"]
    for _ in range(depth):
        value = value.list_value.values.add()
    value.number_value = 1
    return message


def unset_inside() -> Struct:
    """Return a Struct with a value that has no kind, directly and in a list."""
    message = Struct()
    message.fields["nothing"].SetInParent()
    message.fields["list"].list_value.values.add()
    return message


def packed() -> AnyMessage:
    """Return an Any that holds an event."""
    message = AnyMessage()
    message.Pack(pb.Event(artifact_id=1))
    return message


_SAFE_VALUES: Final[dict[str, list[Any]]] = {
    "int_value": [0, 1, 1, 2, -1, INT64_MAX, -INT64_MAX - 1],
    "double_value": [0.0, 1.0, 1.0, 1.5, -2.25, 1e6, 0.000001, 999999.999999, 1e14],
    "string_value": ["", "1", "s", "s", "größe 🙂", "'; --", '{"a": 1}', '\t\n\\"'],
    "struct_value": [
        {},
        {"a": 1},
        {"a": True},
        {"n": None, "l": [1, "x", {}, []], "b": True},
        {"": {"a.b": "ß"}},
        {"e": 1e300, "z": -0.0, "i": 2.0**53 + 2},
        nested(40),
        unset_inside(),
    ],
    "proto_value": [packed(), AnyMessage(type_url="x"), AnyMessage(type_url="x", value=b"\0\xff")],
    "bool_value": [True, False],
}
_WILD_VALUES: Final[dict[str, list[Any]]] = {
    "int_value": _SAFE_VALUES["int_value"],
    "double_value": [
        *_SAFE_VALUES["double_value"],
        *(float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 0.1 + 0.2, 1.7976931348623157e308, 2.0**53 + 2),
    ],
    "string_value": [
        *_SAFE_VALUES["string_value"],
        "a\0b",
        "\0",
        "__MLMD_NULL__",
        "mlmd-struct::CgA=",
        "\u2028\ufeff\U0010ffff",
    ],
    "struct_value": [*_SAFE_VALUES["struct_value"], {"x": float("inf"), "y": float("nan")}],
    "proto_value": [*_SAFE_VALUES["proto_value"], AnyMessage(), AnyMessage(value=b"only bytes")],
    "bool_value": _SAFE_VALUES["bool_value"],
}


def _value(arm: str, plain: Any) -> pb.Value:
    return pb.Value(**{arm: struct(plain) if isinstance(plain, dict) else plain})


def _values_of(pool: dict[str, list[Any]], arm: str) -> list[pb.Value]:
    return [_value(arm, plain) for plain in pool[arm]]


class Pools(NamedTuple):
    """What requests are drawn from."""

    names: Strategy
    external_ids: Strategy
    uris: Strategy
    values: dict[str, Strategy]  # By arm.
    any_value: Strategy
    custom_keys: Sequence[str]
    wild: bool

    def __repr__(self) -> str:
        """Keep the strategies' own texts short: Hypothesis warns of long ones."""
        return "WILD" if self.wild else "SAFE"


_ODD_TEXTS: Final = ["'\"`\\$0", "e\u0301", "\n\t\x7f", "\u2028\U0010ffff", "NULL", "🙂" * 300]


def _pools(*, wild: bool) -> Pools:
    more = ["a\0", "__MLMD_NULL__", "\ufeff", "x" * 3000] if wild else []
    pool = _WILD_VALUES if wild else _SAFE_VALUES
    return Pools(
        names=st.sampled_from([None, None, "a", "a", "b", "b", "c", "", "größe 🙂", "A", "a ", *_ODD_TEXTS, *more]),
        external_ids=st.sampled_from([None, None, None, "x", "x", "y", "z", "", "ß%_", "X", *_ODD_TEXTS, *more]),
        uris=st.sampled_from([None, "", "u", "u", "s3://b/k ü", "U", *_ODD_TEXTS, *more]),
        values={arm: st.sampled_from(_values_of(pool, arm)) for arm in pool},
        any_value=st.sampled_from([value for arm in pool for value in _values_of(pool, arm)]),
        # The reference mixes up a custom property with a typed one of the same key.
        custom_keys=["c", "text", "c.d", "", 'q"uo\\te', "größe 🙂"] + (["i", "s", "a\0"] if wild else []),
        wild=wild,
    )


SAFE: Final = _pools(wild=False)
WILD: Final = _pools(wild=True)
_ARMS: Final = {"i": "int_value", "d": "double_value", "s": "string_value", "t": "struct_value", "p": "proto_value"} | {
    "b": "bool_value",
    "a.b": "int_value",
}

# Hypothesis likes the first of a pool best: what makes a request odd stands last.
_RARELY: Final = st.sampled_from([False] * 15 + [True])
_SOMETIMES: Final = st.sampled_from([False] * 4 + [True])
_FLAG: Final = st.sampled_from([None, None, False, True])
_NODE_IDS: Final = st.sampled_from([1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 99, 0, -1])
_ANY_ID: Final = st.one_of(_NODE_IDS, st.none())
_FIRST_IDS: Final = st.sampled_from([1, 2])
_FEW_NAMES: Final = st.sampled_from([None, None, None, "a", "b", "n1", "n2", "n3", "n4"])
_FEW_EXTERNAL_IDS: Final = st.sampled_from([None, None, None, None, None, "x", "e1", "e2", "e3"])
_NEW: Final = st.sampled_from([True, True, False])
_SOME_IDS: Final = st.lists(st.sampled_from([3, 1, 2, 2, 4, 5, 6, 7, 99, 0, -1, INT64_MAX]), max_size=5)
_TYPE_NAMES: Final = st.sampled_from(["Data", "Data", "Run", "Pipe", "Blob", "New", "mlmd.Model", "", "data", None])
_VERSIONS: Final = st.sampled_from([None, None, None, "", "1", "1", " "])
_PATHS: Final = [
    *("uri", "external_id", "state", "last_known_state", "name", "properties", "custom_properties"),
    *("properties.i", "properties.s", "properties.a.b", "properties.zz", "custom_properties.c"),
    *("custom_properties.c.d", "custom_properties.", "properties.", "id", "type_id", "type", "nope", "uri.x", ""),
]
_MASK: Final = st.one_of(st.just([]), st.just([]), st.lists(st.sampled_from(_PATHS), min_size=1, max_size=3))


def _set(message: Any, **fields: Any) -> Any:
    """Set the fields that are not None."""
    for field, value in fields.items():
        if value is not None:
            setattr(message, field, value)
    return message


# Nodes ---------------------------------------------------------------------------------------------------------------


@st.composite
def _properties(draw: Callable[..., Any], pools: Pools, kind: str, target: Any) -> None:
    keys = ["i", "s", *ALL_ARMS] + (["a.b"] if kind == "artifact" else [])
    for key in draw(st.lists(st.sampled_from(keys), max_size=3, unique=True)):
        target[key].CopyFrom(draw(pools.values[_ARMS[key]]))
    if draw(_RARELY):
        odd = draw(st.sampled_from(["i", "s", "zz", "", "unset"]))
        if odd == "unset":
            target["i"].SetInParent()
        else:
            target[odd].CopyFrom(draw(pools.any_value))


@st.composite
def _fill(draw: Callable[..., Any], pools: Pools, kind: str, node: Any) -> None:
    """Set fields of a node that a put may set."""
    if draw(_SOMETIMES):
        _set(node, external_id=draw(pools.external_ids), name=draw(pools.names))
    else:
        _set(node, external_id=draw(_FEW_EXTERNAL_IDS), name=draw(_FEW_NAMES))
    if kind == "artifact":
        _set(node, uri=draw(pools.uris))
    if kind != "context" and draw(st.booleans()):
        field, states = STATES[kind]
        setattr(node, field, draw(st.sampled_from(states)))
    if draw(st.booleans()):
        draw(_properties(pools, kind, node.properties))
    if draw(st.booleans()):
        for key in draw(st.lists(st.sampled_from(pools.custom_keys), max_size=2, unique=True)):
            node.custom_properties[key].CopyFrom(
                draw(pools.values["string_value"] if key == "text" else pools.any_value)
            )
    if pools.wild and draw(_RARELY):
        node.custom_properties["unset"].SetInParent()


@st.composite
def nodes(draw: Callable[..., Any], pools: Pools, kind: str, *, new: bool | None = None) -> Any:
    """Draw a node. new: without id, or with one; None for either."""
    node = MESSAGES[kind]()
    if not (draw(_NEW) if new is None else new):
        node.id = draw(_NODE_IDS if draw(_SOMETIMES) else _FIRST_IDS)
    right = TYPE_IDS[kind]
    others = st.sampled_from([*right, None, 99, 12, 13, 0, -1])
    _set(node, type_id=draw(others) if draw(_RARELY) else right[0])
    draw(_fill(pools, kind, node))
    if kind == "context" and not node.name and draw(st.sampled_from([True, True, True, True, False])):
        node.name = draw(st.sampled_from(["a", "b", "c", "d", "e", "f"]))
    if draw(_RARELY):
        _set(node, type=draw(st.sampled_from(["Data", "wrong", ""])), create_time_since_epoch=5)
        _set(node, last_update_time_since_epoch=draw(st.sampled_from([None, 0, 7])))
    if draw(_RARELY):
        node.system_metadata.type_url = "x"
    return node


@st.composite
def put_nodes(draw: Callable[..., Any], pools: Pools) -> Call:
    """Draw PutArtifacts, PutExecutions or PutContexts."""
    kind = draw(st.sampled_from(KINDS))
    many = f"{kind}s"
    request = getattr(service, f"Put{many.capitalize()}Request")()
    getattr(request, many).extend(draw(st.lists(nodes(pools, kind), max_size=3)))
    request.update_mask.paths.extend(draw(_MASK))
    if kind == "artifact" and draw(_SOMETIMES):
        _set(request.options, abort_if_latest_updated_time_changed=draw(_FLAG))
    if draw(_RARELY):
        request.transaction_options.tag = "t"
    return Call(f"Put{many.capitalize()}", request)


@st.composite
def rewrites(draw: Callable[..., Any], pools: Pools) -> Rewrite:
    """Draw a Rewrite: most change little or nothing, for the rule of when the update time moves."""
    kind = draw(st.sampled_from(KINDS))
    cleared = draw(
        st.lists(
            st.sampled_from(
                [
                    *("type", "type_id", "name", "uri", "external_id", "state", "last_known_state"),
                    *("properties", "custom_properties", "last_update_time_since_epoch"),
                ]
            ),
            max_size=2,
        )
    )
    patch = MESSAGES[kind]()
    change = draw(st.integers(0, 3))
    if change == 0:
        draw(_fill(pools, kind, patch))
    elif change == 1:
        draw(_properties(pools, kind, patch.properties))
    ids = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    return Rewrite(kind, ids, cleared, patch, draw(_MASK), draw(st.booleans()))


# Types ---------------------------------------------------------------------------------------------------------------

_PROPERTY_TYPES: Final = (
    [("i", pb.INT)] * 4
    + [("s", pb.STRING)] * 4
    + [
        *(("d", pb.DOUBLE), ("new", pb.INT), ("new", pb.STRING), ("", pb.STRING), ("a.b", pb.INT)),
        *(("i", pb.STRING), ("i", pb.UNKNOWN), ("u", pb.UNKNOWN)),
    ]
)


@st.composite
def types(draw: Callable[..., Any], pools: Pools, kind: str) -> Any:
    """Draw a type."""
    message = TYPE_MESSAGES[kind]()
    names = ["Data"] * 3 + [
        "Run",
        "Pipe",
        "Blob",
        "New",
        "New",
        "mlmd.Model",
        "mlmd.Dataset",
        "mlmd.Train",
        "",
        "größe 🙂",
        None,
    ]
    _set(message, name=draw(st.sampled_from(names)), version=draw(_VERSIONS))
    if draw(st.booleans()):
        # The reference keeps one space of external ids for the three kinds, so each kind has its own here.
        external_ids = [None, f"{kind}1", f"{kind}1", f"{kind}2"] + ([""] if pools.wild else [])
        _set(message, external_id=draw(st.sampled_from(external_ids)))
        _set(
            message, description=draw(st.sampled_from([None, "", "d"])), id=draw(st.sampled_from([None, None, 10, 99]))
        )
    for key, property_type in draw(st.lists(st.sampled_from(_PROPERTY_TYPES), max_size=4)):
        message.properties[key] = property_type
    if message.name == "Data" and not message.version and draw(st.booleans()):
        message.properties.clear()
        message.properties.update(FIRST_TYPES.artifact_types[0].properties if kind == "artifact" else ALL_ARMS)
    if draw(st.integers(0, 3)) == 0:
        message.base_type = draw(st.sampled_from([*range(5)] if kind != "context" else [0]))
    if kind == "execution" and draw(st.integers(0, 2)) == 0:
        message.input_type.CopyFrom(draw(_STRUCT_TYPES))
    return message


_STRUCT_TYPES: Final = st.sampled_from(
    [
        pb.ArtifactStructType(),
        pb.ArtifactStructType(simple=pb.ArtifactType(name="Data", properties={"i": pb.INT, "": pb.DOUBLE})),
        pb.ArtifactStructType(none=pb.NoneArtifactStructType()),
        pb.ArtifactStructType(
            dict=pb.DictArtifactStructType(
                properties={
                    "k": pb.ArtifactStructType(
                        union_type=pb.UnionArtifactStructType(
                            candidates=[pb.ArtifactStructType(any=pb.AnyArtifactStructType())]
                        )
                    )
                },
                none_type_not_required=False,
                extra_properties_type=pb.ArtifactStructType(list=pb.ListArtifactStructType()),
            )
        ),
    ]
)


@st.composite
def put_types(draw: Callable[..., Any], pools: Pools) -> Call:
    """Draw Put{Artifact,Execution,Context}Type or PutTypes."""
    kind = draw(st.sampled_from([*KINDS, None]))
    if kind is None:
        request = service.PutTypesRequest()
        for each in KINDS:
            getattr(request, f"{each}_types").extend(draw(st.lists(types(pools, each), max_size=2)))
        if not pools.wild:
            _one_external_id_a_type(request)
    else:
        request = getattr(service, f"Put{kind.capitalize()}TypeRequest")()
        getattr(request, f"{kind}_type").CopyFrom(draw(types(pools, kind)))
    _set(
        request,
        can_add_fields=draw(_FLAG),
        can_omit_fields=draw(_FLAG),
        all_fields_match=draw(st.sampled_from([None] * 9 + [True, False])),
        can_delete_fields=draw(st.sampled_from([None, None, True])),
    )
    return Call(type(request).__name__.removesuffix("Request"), request)


def _one_external_id_a_type(request: Any) -> None:
    """Take external ids off types that stand twice in a request: the reference then writes "" over them."""
    for kind in KINDS:
        messages = getattr(request, f"{kind}_types")
        seen = [(message.name, message.version) for message in messages]
        for message in messages:
            if seen.count((message.name, message.version)) > 1:
                message.ClearField("external_id")


# Events, links, composites -------------------------------------------------------------------------------------------


@st.composite
def events(draw: Callable[..., Any], *, own_ids: bool = False) -> Any:
    """Draw an event. own_ids: mostly without ids, where the request implies them."""
    event = pb.Event()
    usual = st.none() if own_ids else _FIRST_IDS
    for field in ("artifact_id", "execution_id"):
        _set(event, **{field: draw(_ANY_ID if draw(_RARELY) else usual)})
    _set(
        event,
        type=draw(st.sampled_from([4, 3, 1, 2, 5, 6, 7])) if not draw(_RARELY) else draw(st.sampled_from([None, 0])),
    )
    _set(event, milliseconds_since_epoch=draw(st.sampled_from([None, None, 0, -5, 123, INT64_MAX])))
    for step in draw(st.lists(st.sampled_from([0, 1, -1, "", "k", "größe 🙂", INT64_MAX, None]), max_size=3)):
        added = event.path.steps.add()
        if step is not None:
            setattr(added, "key" if isinstance(step, str) else "index", step)
    return event


_PUT_EVENTS: Final = st.builds(
    lambda found: Call("PutEvents", service.PutEventsRequest(events=found)), st.lists(events(), max_size=3)
)


@st.composite
def put_links(draw: Callable[..., Any]) -> Call:
    """Draw PutAttributionsAndAssociations."""
    request = service.PutAttributionsAndAssociationsRequest()
    ids = st.one_of(_FIRST_IDS, _FIRST_IDS, _FIRST_IDS, _FIRST_IDS, _FIRST_IDS, _ANY_ID)
    for _ in range(draw(st.integers(0, 2))):
        _set(request.attributions.add(), context_id=draw(ids), artifact_id=draw(ids))
    for _ in range(draw(st.integers(0, 2))):
        _set(request.associations.add(), context_id=draw(ids), execution_id=draw(ids))
    return Call("PutAttributionsAndAssociations", request)


@st.composite
def put_parents(draw: Callable[..., Any]) -> Call:
    """Draw PutParentContexts."""
    request = service.PutParentContextsRequest()
    ids = st.sampled_from([1, 2, 1, 2, 3, 1, 2, 3, 4, 5, 99, None])
    for _ in range(draw(st.integers(0, 3))):
        _set(request.parent_contexts.add(), child_id=draw(ids), parent_id=draw(ids))
    return Call("PutParentContexts", request)


@st.composite
def put_execution(draw: Callable[..., Any], pools: Pools) -> Call:
    """Draw PutExecution."""
    request = service.PutExecutionRequest()
    if not draw(_RARELY):
        request.execution.CopyFrom(draw(nodes(pools, "execution")))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        pair = request.artifact_event_pairs.add()
        shape = draw(st.sampled_from(["both", "both", "both", "artifact", "event", "event", "none"]))
        if shape in ("both", "artifact"):
            pair.artifact.CopyFrom(draw(nodes(pools, "artifact")))
        if shape in ("both", "event"):
            pair.event.CopyFrom(draw(events(own_ids=True)))
            if shape == "event" and not draw(_SOMETIMES):
                pair.event.artifact_id = draw(_FIRST_IDS)
    request.contexts.extend(draw(st.lists(nodes(pools, "context"), max_size=2)))
    if not pools.wild and any(not pair.ListFields() for pair in request.artifact_event_pairs):
        del request.contexts[:]  # The reference would attribute an artifact -1 to them.
    _set(
        request.options,
        reuse_context_if_already_exist=draw(_FLAG),
        reuse_artifact_if_already_exist_by_external_id=draw(_FLAG),
        force_reuse_context=draw(_FLAG),
        force_update_time=draw(_FLAG),
    )
    return Call("PutExecution", request)


@st.composite
def put_subgraph(draw: Callable[..., Any], pools: Pools) -> Call:
    """Draw PutLineageSubgraph."""
    request = service.PutLineageSubgraphRequest()
    for kind in KINDS:
        getattr(request, f"{kind}s").extend(draw(st.lists(nodes(pools, kind), max_size=2)))
    odd = st.sampled_from([0, 1, 2, -1])
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        edge = request.event_edges.add()
        for kind in ("execution", "artifact"):
            count = len(getattr(request, f"{kind}s"))
            inside = st.integers(0, count - 1) if count and not draw(_SOMETIMES) else st.none()
            _set(edge, **{f"{kind}_index": draw(odd if draw(_RARELY) else inside)})
        if not draw(_RARELY):
            event = draw(events(own_ids=True))
            for kind in ("execution", "artifact"):
                if edge.HasField(f"{kind}_index") != draw(_RARELY):
                    event.ClearField(f"{kind}_id")
                else:
                    setattr(event, f"{kind}_id", draw(_NODE_IDS))
            edge.event.CopyFrom(event)
    _set(
        request.options,
        reuse_context_if_already_exist=draw(_FLAG),
        reuse_artifact_if_already_exist_by_external_id=draw(_FLAG),
    )
    return Call("PutLineageSubgraph", request)


# Gets ----------------------------------------------------------------------------------------------------------------


def _token(**fields: Any) -> str:
    import base64

    return base64.urlsafe_b64encode(pb.ListOperationNextPageToken(**fields).SerializeToString()).rstrip(b"=").decode()


_TOKENS: Final = [
    *("", " ", "CAMQAxoCCAM", "CAMQAxoCCAM=", "CAMQAxoCCAM==", "!!", "CAMQ AxoCCAM", "a", "AAAA", "____", "ä", "CAE"),
    _token(field_offset=2),
    _token(id_offset=2),
    _token(id_offset=2, field_offset=1, listed_ids=[1]),
    _token(set_options=pb.ListOperationOptions(order_by_field={"is_asc": False}), field_offset=3),
    _token(set_options=pb.ListOperationOptions(order_by_field={"field": 2})),
]


@st.composite
def options(draw: Callable[..., Any], *, walk: bool) -> Any:
    """Draw list options. walk: such as a well-behaved client sends."""
    message = pb.ListOperationOptions()
    sizes = [1, 2, 2, 3, None, 100] if walk else [1, 2, 3, None, 100, 0, -1, 101, INT32_MAX, INT32_MAX - 1]
    _set(message, max_result_size=draw(st.sampled_from(sizes)))
    if draw(st.booleans()):
        message.order_by_field.SetInParent()
        _set(
            message.order_by_field,
            field=draw(st.sampled_from([None, 1, 2, 3] if walk else [None, 0, 1, 2, 3])),
            is_asc=draw(_FLAG),
        )
    if not walk:
        _set(message, next_page_token=draw(st.sampled_from([None, *_TOKENS])))
        _set(message, filter_query=draw(st.sampled_from([None, None, ""])))
    return message


@st.composite
def list_requests(draw: Callable[..., Any]) -> tuple[str, str, Any]:
    """Draw (kind, method, request) of one of the eight listing methods, without options."""
    kind = draw(st.sampled_from(KINDS))
    by = draw(st.sampled_from(["", "ByType"] if kind == "context" else ["", "ByType", "ByContext"]))
    method = f"Get{kind.capitalize()}s{by}"
    request = getattr(service, f"{method}Request")()
    if by == "ByType":
        _set(request, type_name=draw(_TYPE_NAMES), type_version=draw(_VERSIONS))
    elif by == "ByContext":
        _set(request, context_id=draw(st.sampled_from([1, 1, 2, 3, 99, None])))
    return kind, method, request


@st.composite
def lists(draw: Callable[..., Any]) -> Call:
    """Draw one of the eight listing methods, with any options or none."""
    _, method, request = draw(list_requests())
    if draw(st.integers(0, 3)):
        request.options.CopyFrom(draw(options(walk=False)))
    return Call(method, request)


@st.composite
def walks(draw: Callable[..., Any]) -> Walk:
    """Draw a listing to follow to its end."""
    _, method, request = draw(list_requests())
    request.options.CopyFrom(draw(options(walk=True)))
    return Walk(method, request)


@st.composite
def gets(draw: Callable[..., Any], pools: Pools, *, batched: bool) -> Call:
    """Draw one of the other reads. batched: the two context RPCs that the reference's binding lacks, too."""
    return draw(st.sampled_from(_gets(pools, batched=batched)).flatmap(lambda each: each))


def _request(method: str, **fields: Strategy) -> Strategy:
    """Return the strategy of a method's calls, each field drawn; None leaves it unset."""
    request = getattr(service, f"{method}Request")

    def call(**values: Any) -> Call:
        return Call(method, request(**{field: value for field, value in values.items() if value is not None}))

    return st.builds(call, **fields)


def _gets(pools: Pools, *, batched: bool) -> list[Strategy]:
    text = pools.external_ids.filter(lambda value: value is not None)
    found = [
        _request("GetArtifactsByURI", uris=st.lists(pools.uris.filter(lambda value: value is not None), max_size=3)),
        _request("GetParentContextsByContext", context_id=_NODE_IDS),
        _request("GetChildrenContextsByContext", context_id=_NODE_IDS),
    ]
    if batched:
        found += [_request(f"Get{many}ContextsByContexts", context_ids=_SOME_IDS) for many in ("Parent", "Children")]
    type_ids = st.lists(st.sampled_from([10, 13, 15, 10, 12, 14, 1, 5, 99, 0, -1, 17, 18]), max_size=4)
    for kind in KINDS:
        one, many = kind.capitalize(), f"{kind.capitalize()}s"
        type_external_ids = st.sampled_from([f"{kind}1", f"{kind}2", f"{kind}1", "none", ""])
        populate = {"populate_artifact_types": _FLAG} if kind == "artifact" else {}
        found += [
            _request(f"Get{one}Type", type_name=_TYPE_NAMES, type_version=_VERSIONS),
            _request(f"Get{one}Types"),
            _request(f"Get{one}TypesByID", type_ids=type_ids),
            _request(f"Get{one}TypesByExternalIds", external_ids=st.lists(type_external_ids, max_size=3)),
            _request(f"Get{many}ByID", **{f"{kind}_ids": _SOME_IDS}, **populate),
            _request(
                f"Get{one}ByTypeAndName", type_name=_TYPE_NAMES, type_version=_VERSIONS, **{f"{kind}_name": pools.names}
            ),
            _request(f"Get{many}ByExternalIds", external_ids=st.lists(text, max_size=3)),
        ]
        if kind != "context":
            found += [
                _request(f"GetEventsBy{one}IDs", **{f"{kind}_ids": _SOME_IDS}),
                _request(f"GetContextsBy{one}", **{f"{kind}_id": _NODE_IDS}),
            ]
    return found


# Operations ----------------------------------------------------------------------------------------------------------


def puts(pools: Pools) -> Strategy:
    """Return the strategy of every put."""
    return st.one_of(
        put_nodes(pools),
        put_nodes(pools),
        rewrites(pools),
        rewrites(pools),
        put_types(pools),
        _PUT_EVENTS,
        put_links(),
        put_parents(),
        put_execution(pools),
        put_execution(pools),
        put_subgraph(pools),
    )


def reads(pools: Pools, *, batched: bool) -> Strategy:
    """Return the strategy of every read; see `gets`."""
    return st.one_of(st.sampled_from(_gets(pools, batched=batched)).flatmap(lambda each: each), lists(), walks())


def everything() -> list[Call]:
    """Return reads that together show every row of a small store."""
    ids = list(range(1, 30))
    calls = []
    for kind in KINDS:
        one, many = kind.capitalize(), f"{kind.capitalize()}s"
        calls.append(Call(f"Get{many}", getattr(service, f"Get{many}Request")()))
        calls.append(Call(f"Get{one}TypesByID", getattr(service, f"Get{one}TypesByIDRequest")(type_ids=ids)))
    calls.append(Call("GetEventsByExecutionIDs", service.GetEventsByExecutionIDsRequest(execution_ids=ids)))
    for context_id in range(1, 4):
        for method in ("GetArtifactsByContext", "GetExecutionsByContext", "GetParentContextsByContext"):
            calls.append(Call(method, getattr(service, f"{method}Request")(context_id=context_id)))
    return calls
