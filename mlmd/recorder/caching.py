"""Has this been run before? A run is found by its key, in one look-up of an index, whatever the store holds.

The key is the SHA-256 of the type, the digest of the code, the inputs by role and content, and the parameters. Every run that completes
has one. A miss is told apart from the earlier run that comes nearest. Found again, a run is reused by a run of its own, in state CACHED.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from mlmd import errors
from mlmd.display.cells import apart
from mlmd.kinds import EXECUTION, INPUTS, OUTPUTS
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import alive, words
from mlmd.recorder.aliases import label_of
from mlmd.recorder.artifacts import Finder, identity_of
from mlmd.recorder.code import code_of
from mlmd.recorder.standing import is_tainted, usable, why_tainted
from mlmd.recorder.things import Run, roles_of
from mlmd.recorder.values import mapping_of, plain, put, quoted, text_of
from mlmd.store import ListOptions, OrderByField

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mlmd.store import MetadataStore

_FORM: Final = "evlog key 1"
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_EXACT: Final = 1 << 53
_NEAR: Final = 50  # So many earlier runs a miss is compared with.
_SHOWN: Final = 12
_VALUE_MAX: Final = 80

Input = tuple[str, str, str]
"""An input as it is compared: role, identity, how a person names it."""


class Miss:
    """No run to reuse, and why. False in a condition. run: the earlier run that comes nearest, None where there is none.

    differences: what differs from it, the first one first, such as "params.lr: 0.1 in run:5, 0.2 here".
    """

    def __init__(self, reason: str, run: Run | None = None, differences: Sequence[str] = ()) -> None:
        self.reason, self.run, self.differences = reason, run, tuple(differences)

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.reason

    def __repr__(self) -> str:
        return f"<miss: {self.reason}>"


# The key ------------------------------------------------------------------------------------------------------------


def key_of(type_name: str, code: str | None, inputs: Iterable[tuple[str, str]], params: Mapping[str, Any]) -> str:
    """Return the key of a run, in hexadecimal. inputs: (role, identity), in any order; params: plain values."""
    parts = [_FORM, type_name, code, sorted(inputs), canonical(params)]
    return hashlib.sha256(_encode(parts)).hexdigest()


def canonical(value: Any) -> Any:
    """Return a plain value so that equal ones are the same JSON: 1.0 is 1, and NaN and the infinities are objects of their own."""
    if isinstance(value, dict):
        return {key: canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        return [canonical(one) for one in value]
    if isinstance(value, float):
        if value - value != 0:  # Not finite.
            return {"float": repr(value)}
        if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
    return value


class Question:
    """What is asked for: a run of a type, with this code, these inputs and parameters."""

    def __init__(
        self, metadata: MetadataStore, type_name: str, inputs: Any, params: Mapping[str, Any] | None, code: Any
    ) -> None:
        """Settle what the inputs are now. Raises NotFoundError for one that is not there, InvalidArgumentError."""
        self.metadata, self.type = metadata, text_of(type_name, "type of the run")
        self.params = {key: plain(value, key) for key, value in mapping_of(params or {}, "params").items()}
        finder = Finder(metadata)
        self.found = [(role, finder.read(value, kind, name)) for role, value, kind, name in _with_roles(inputs)]
        self.inputs: list[Input] = [(role, identity_of(one), label_of(one)) for role, one in self.found]
        self.code = _last_code(metadata, self.type) if code is None else code_of(code)

    @property
    def key(self) -> str:
        """Return the key."""
        return key_of(self.type, self.code, [one[:2] for one in self.inputs], self.params)


class Wanted(NamedTuple):
    """An input that is asked for: its role, what names it, and, as of `Recording.input`, type and name."""

    role: str
    value: Any
    type: str | None = None
    name: str | None = None


def _with_roles(inputs: Any) -> Iterator[Wanted]:
    """Yield what inputs are meant: a mapping by role, or references without one. Raises InvalidArgumentError."""
    if inputs is None:
        return
    if hasattr(inputs, "items"):
        yield from (Wanted(role, value) for role, value in inputs.items())
    elif isinstance(inputs, str) or not hasattr(inputs, "__iter__"):
        raise errors.InvalidArgumentError(f"inputs: {inputs!r}: give a list, such as ['taxi:7'], or a dict by role")
    else:
        yield from (value if isinstance(value, Wanted) else Wanted("", value) for value in inputs)


def _last_code(metadata: MetadataStore, type_name: str) -> str | None:
    """Return the digest of the code of the newest run of a type."""
    by_type = METHODS["GetExecutionsByType"]
    request = by_type.request(type_name=type_name)
    request.options.max_result_size = 1
    request.options.order_by_field.field = pb.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = False
    newest = metadata.answer(by_type, request).executions
    return Run(metadata, newest[0]).code if newest else None


# Asking -------------------------------------------------------------------------------------------------------------


def cached(question: Question) -> Run | Miss:
    """Return the newest run that answers a question and may be used, else a Miss that says why."""
    metadata, refused = question.metadata, None
    for execution in _with_key(metadata, question.key):
        why_not = _unusable(metadata, execution)
        if why_not is None:
            return Run(metadata, execution)
        refused = refused or (execution, why_not)
    if refused is not None:
        execution, why_not = refused
        return Miss(f"run:{execution.id} is the same, but {why_not}", Run(metadata, execution), [why_not])
    return _nearest(question)


def _with_key(metadata: MetadataStore, key: str) -> Iterator[pb.Execution]:
    """Yield the completed runs with a key, the newest first."""
    wanted = f"custom_properties.`{words.KEY}`.string_value = {quoted(key)}"
    options = ListOptions(limit=1, order_by=OrderByField.ID, is_asc=False, filter_query=wanted)
    first = metadata.get_executions(options)
    yield from first
    if first:
        rest = ListOptions(order_by=OrderByField.ID, is_asc=False, filter_query=f"{wanted} AND id < {first[0].id}")
        yield from metadata.get_executions(rest)


def _unusable(metadata: MetadataStore, execution: pb.Execution) -> str | None:
    """Return why a run is not to be used again, None where it may be."""
    if is_tainted(execution):
        return f"it is tainted: {why_tainted(execution)}"
    if execution.last_known_state != pb.Execution.COMPLETE:
        return f"it is {EXECUTION.states[execution.last_known_state]}"
    events = [one for one in metadata.get_events_by_execution_ids([execution.id]) if one.type in OUTPUTS]
    outputs = metadata.get_artifacts_by_id([event.artifact_id for event in events])
    for artifact in outputs:
        if is_tainted(artifact):
            return f"{label_of(artifact)}, which it made, is tainted: {why_tainted(artifact)}"
        if not usable(artifact):
            return f"{label_of(artifact)}, which it made, is {pb.Artifact.State.Name(artifact.state)}"
    return None


# Why not ------------------------------------------------------------------------------------------------------------


def _nearest(question: Question) -> Miss:
    """Return a miss with what differs from the newest of those earlier runs that differ least."""
    metadata = question.metadata
    newest_first = ListOptions(
        limit=_NEAR,
        order_by=OrderByField.ID,
        is_asc=False,
        filter_query=f"type = {quoted(question.type)} AND last_known_state = COMPLETE",
    )
    earlier = metadata.get_executions(newest_first)
    if not earlier:
        return Miss(f"no {question.type} has completed yet")
    inputs = _inputs_of(metadata, earlier)
    runs = [Run(metadata, one) for one in earlier]
    told = [_differences(question, run, inputs.get(run.id, [])) for run in runs]
    run, differences = min(zip(runs, told, strict=True), key=lambda one: len(one[1]))
    if not differences:  # Put by another client: it has no key.
        return Miss(f"{run.label} looks the same, but was not recorded with a key", run)
    return Miss(differences[0], run, differences)


def _inputs_of(metadata: MetadataStore, executions: Sequence[pb.Execution]) -> dict[int, list[Input]]:
    events = [
        event for event in metadata.get_events_by_execution_ids([one.id for one in executions]) if event.type in INPUTS
    ]
    artifacts = {one.id: one for one in metadata.get_artifacts_by_id({event.artifact_id for event in events})}
    found: dict[int, list[Input]] = {}
    for event in events:
        artifact = artifacts[event.artifact_id]
        for role in roles_of(event) or [""]:
            found.setdefault(event.execution_id, []).append((role, identity_of(artifact), label_of(artifact)))
    return found


def _differences(question: Question, run: Run, inputs: Sequence[Input]) -> list[str]:
    """Return what differs between a run and what is asked for, in words: the code, then inputs, then parameters."""
    told = []
    if run.code != question.code:
        told.append(f"code: {_short(run.code)} in {run.label}, {_short(question.code)} here")
    there, here = {one[:2] for one in inputs}, {one[:2] for one in question.inputs}
    for role in sorted({role for role, _ in there ^ here}):
        had = ", ".join(label for one, identity, label in inputs if one == role and (role, identity) not in here)
        has = ", ".join(
            label for one, identity, label in question.inputs if one == role and (role, identity) not in there
        )
        told.append(f"input{f's.{role}' if role else ''}: {had or 'none'} in {run.label}, {has or 'none'} here")
    params = run.params
    for key in sorted(params.keys() | question.params.keys()):
        one, other = params.get(key, _ABSENT), question.params.get(key, _ABSENT)
        if (one is _ABSENT) != (other is _ABSENT) or _encode_one(one) != _encode_one(other):
            there_is, here_is = apart([_value(one), _value(other)], _VALUE_MAX)
            told.append(f"params.{key}: {there_is} in {run.label}, {here_is} here")
    return told


_ABSENT: Final = object()


def _encode_one(value: Any) -> bytes:
    return b"" if value is _ABSENT else _encode(canonical(value))


def _value(value: Any) -> str:
    return "none" if value is _ABSENT else repr(value)


def _short(code: str | None) -> str:
    return code[:_SHOWN] if code else "none"


# Reusing ------------------------------------------------------------------------------------------------------------


def reuse(run: Run, *, tags: Mapping[str, str] | None = None) -> Run:
    """Record that a run is used again: a run in state CACHED, with the same inputs, outputs and parameters. One record.

    Raises InvalidArgumentError for a run that is none to reuse.
    """
    if run.state == "CACHED" and (first := run.reuses) is not None:
        run = first
    if run.state != "COMPLETE":
        raise errors.InvalidArgumentError(f"{run.label} is {run.state}: a run that is COMPLETE can be used again")
    if (why_not := _unusable(run.metadata, run.message)) is not None:
        raise errors.InvalidArgumentError(f"{run.label} cannot be used again: {why_not}")
    [found] = run.metadata.get_executions_by_id([put_reused(run, tags)])
    return Run(run.metadata, found)


def put_reused(run: Run, tags: Mapping[str, str] | None = None) -> int:
    """Put the run that stands for one that may be used again, such as one that was just found by `cached`; return its id."""
    execution = pb.Execution(type_id=run.message.type_id, last_known_state=pb.Execution.CACHED)
    values = execution.custom_properties
    for key, value in run.message.custom_properties.items():
        if key.startswith(words.PARAMETER) or key == words.CODE:
            values[key].CopyFrom(value)
    for key, text in mapping_of(tags or {}, "tags").items():
        put(values, words.TAG + key, text_of(text, key))
    values[words.REUSES].int_value = run.id
    values[words.PROCESS].string_value = alive.this_process()
    pairs = []
    for event in run.metadata.get_events_by_execution_ids([run.id]):
        again = pb.Event(artifact_id=event.artifact_id, type=event.type)
        again.path.CopyFrom(event.path)
        pairs.append((None, again))
    execution_id, _, _ = run.metadata.put_execution(execution, pairs, [])
    return execution_id
