"""A function as a step: each call is a run, and one that was made before, with the same code, inputs and parameters, is not made again.

    @s.step(cache=True)
    def train(data: mlmd.In["Dataset"], lr: float = 0.1) -> mlmd.Out["Model"]:
        ...
        return "s3://models/1"      # a URI or path: the artifact that the call returns

A parameter with `In` takes a reference ("taxi:7", a URI, an artifact) and hands the function the Artifact; every other one is a
parameter of the run. `Out` is what the function returns the URI of; `tuple[Out[...], Out[...]]` are several.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_origin

from mlmd import errors
from mlmd.recorder import caching
from mlmd.recorder.run import Recording
from mlmd.recorder.things import Artifact, Run
from mlmd.recorder.values import name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlmd.store import MetadataStore

WHY: Final = "why"
_CURRENT: Final[ContextVar[Recording | None]] = ContextVar("run", default=None)


class _Marker:
    """An annotation: the type of an artifact, and the name of a new one. `In["Dataset"]`, `Out["Model", "taxi-model"]`."""

    def __init__(self, type_name: str | type, name: str | None = None) -> None:
        self.type = text_of(
            type_name.__name__ if isinstance(type_name, type) else type_name, f"{type(self).__name__}[...]"
        )
        self.name = None if name is None else name_of(name)

    def __class_getitem__(cls, said: Any) -> Any:
        return cls(*said) if isinstance(said, tuple) else cls(said)

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.type!r}]"


class In(_Marker):
    """Marks a parameter of a step that is an artifact: `data: mlmd.In["Dataset"]`."""


class Out(_Marker):
    """Marks what a step returns the URI of: `-> mlmd.Out["Model"]`, `-> mlmd.Out["Model", "taxi-model"]` with its name."""


def this_run() -> Recording:
    """Return the run of the step that is being executed here, to log to. Raises FailedPreconditionError outside of a step."""
    found = _CURRENT.get()
    if found is None:
        raise errors.FailedPreconditionError("there is no run here: mlmd.this_run() is for the body of a step")
    return found


class _Form(NamedTuple):
    """What a function's signature says. several: it returns a tuple."""

    signature: inspect.Signature
    inputs: Mapping[str, In]
    outputs: tuple[Out, ...]
    several: bool


class _Names(dict[str, Any]):
    """Names of a function's surroundings; one that is none stands for itself, so that `In[Dataset]` is `In["Dataset"]`."""

    def __missing__(self, key: str) -> str:
        return key


def _read(function: Callable[..., Any], annotation: Any) -> Any:
    """Return an annotation as what it means, as it is where it cannot be ours. Raises InvalidArgumentError for one of ours that is wrong."""
    if not isinstance(annotation, str):
        return annotation
    inner: Any = inspect.unwrap(function)
    around = zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True)
    try:
        names = _Names(vars(builtins) | inner.__globals__ | {name: cell.cell_contents for name, cell in around})
        return eval(annotation, {}, names)  # noqa: S307 - the user's own code, as Python would have evaluated it
    except Exception as error:
        if "In[" not in annotation and "Out[" not in annotation:
            return annotation  # Of a type that is imported for checkers alone, perhaps.
        message = f"{function.__qualname__}: the annotation {annotation} cannot be read: {error}"
        raise errors.InvalidArgumentError(message) from error


def _form_of(function: Callable[..., Any]) -> _Form:
    """Read a signature. Raises InvalidArgumentError for annotations that cannot be read."""
    plain = inspect.signature(function)
    signature = plain.replace(
        parameters=[one.replace(annotation=_read(function, one.annotation)) for one in plain.parameters.values()],
        return_annotation=_read(function, plain.return_annotation),
    )
    inputs = {name: one.annotation for name, one in signature.parameters.items() if isinstance(one.annotation, In)}
    said = signature.return_annotation
    several = get_origin(said) is tuple
    outputs = tuple(one for one in (get_args(said) if several else (said,)) if isinstance(one, Out))
    if several and outputs and len(outputs) < len(get_args(said)):
        raise errors.InvalidArgumentError(
            f"{function.__qualname__}: all that a tuple holds is mlmd.Out[...], or none of it"
        )
    return _Form(signature, inputs, outputs, several)


class _Step:
    """A function and how it is recorded."""

    def __init__(
        self,
        metadata: MetadataStore,
        function: Callable[..., Any],
        type_name: str | None,
        cache: bool | str,
        tags: Mapping[str, str] | None,
    ) -> None:
        if cache not in (True, False, WHY):
            raise errors.InvalidArgumentError(f"cache: {cache!r} is none of True, False and {WHY!r}")
        if not inspect.isfunction(inspect.unwrap(function)):
            raise errors.InvalidArgumentError(f"{function!r} is no function: a step is one")
        self.metadata, self.function, self.cache, self.tags = metadata, function, cache, tags
        self.type = type_name or function.__name__
        self.form = _form_of(function)
        if cache and not self.form.outputs:
            raise errors.InvalidArgumentError(
                f"{self.type}: what a step returns is found again as an artifact: write `-> mlmd.Out['Model']`, or cache=False"
            )

    def question(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[caching.Question, inspect.BoundArguments]:
        """Return what a call asks for, and its arguments. Raises TypeError as the function would."""
        bound = self.form.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        wanted = [
            caching.Wanted(role, value, marker.type, marker.name)
            for name, marker in self.form.inputs.items()
            for role, value in _each(name, bound.arguments[name])
        ]
        params = {name: value for name, value in bound.arguments.items() if name not in self.form.inputs}
        return caching.Question(self.metadata, self.type, wanted, params, self.function), bound

    def found(self, question: caching.Question) -> list[Artifact] | None:
        """Return what the run made that a call reuses, on record; None where it is to run."""
        if not self.cache:
            return None
        began = time.perf_counter()
        hit = caching.cached(question)
        took_ms = (time.perf_counter() - began) * 1e3
        if not isinstance(hit, Run):
            self._say(f"runs: {hit}")
            return None
        made, returned = hit.outputs, len(self.form.outputs)
        if len(made) < returned:  # It returned one thing twice, or is none of the step's.
            self._say(f"runs: {hit.label} made {len(made)}, a call returns {returned}")
            return None
        self._say(f"cached from {hit.label} in {took_ms:.1f} ms")
        caching.put_reused(hit, self.tags)
        return made

    def _say(self, text: str) -> None:
        if self.cache == WHY:
            sys.stderr.write(f"{self.type} {text}\n")

    def recording(self, question: caching.Question) -> Recording:
        """Return what records a call."""
        return Recording(
            self.metadata, self.type, params=question.params, tags=self.tags, code=f"sha256:{question.code}"
        )

    @contextmanager
    def noting(self, recording: Recording, question: caching.Question, bound: inspect.BoundArguments) -> Iterator[None]:
        """Note the inputs, hand them to the function, and let it find its run while it lasts."""
        given = {role: recording.note(artifact, {}, output=False, role=role) for role, artifact in question.found}
        for name in self.form.inputs:
            value = bound.arguments[name]
            if isinstance(value, list | tuple):
                bound.arguments[name] = [given[role] for role, _ in _each(name, value)]
            elif value is not None:
                bound.arguments[name] = given[name]
        before = _CURRENT.set(recording)
        try:
            yield
        finally:
            _CURRENT.reset(before)

    def made(self, recording: Recording, returned: Any) -> Any:
        """Note what the function returned; return the artifacts. Raises InvalidArgumentError where it is not what was said."""
        if not self.form.outputs:
            return returned
        values = returned if self.form.several else (returned,)
        if not isinstance(values, tuple | list) or len(values) != len(self.form.outputs):
            raise errors.InvalidArgumentError(
                f"{self.type} returned {returned!r}: it says that it returns {list(self.form.outputs)}"
            )
        made = [self._one(recording, value, out) for value, out in zip(values, self.form.outputs, strict=True)]
        recording.lead_with(made)  # So that `again` finds them before what else the function noted.
        return self._shaped(made)

    def _one(self, recording: Recording, value: Any, out: Out) -> Artifact:
        if value is None:
            raise errors.InvalidArgumentError(
                f"{self.type} returned None: it says that it returns the URI of a {out.type}"
            )
        if isinstance(value, Artifact) and not value.message.HasField("id"):
            return value  # Made by this_run().output(...).
        return recording.output(value, out.type, name=None if isinstance(value, Artifact) else out.name)

    def _shaped(self, artifacts: list[Artifact]) -> Any:
        return tuple(artifacts) if self.form.several else artifacts[0]

    def again(self, made: list[Artifact]) -> Any:
        """Return what the function would have, from what the run made that is reused."""
        return self._shaped(made[: len(self.form.outputs)])


def step_of(
    metadata: MetadataStore,
    function: Callable[..., Any],
    *,
    type_name: str | None = None,
    cache: bool | str = False,
    tags: Mapping[str, str] | None = None,
) -> Callable[..., Any]:
    """Return a function as a step. Raises InvalidArgumentError for one that cannot be."""
    step = _Step(metadata, function, type_name, cache, tags)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        question, bound = step.question(args, kwargs)
        if (reused := step.found(question)) is not None:
            return step.again(reused)
        with step.recording(question) as recording, step.noting(recording, question, bound):
            return step.made(recording, function(*bound.args, **bound.kwargs))

    @functools.wraps(function)
    async def call_later(*args: Any, **kwargs: Any) -> Any:
        from asyncio import to_thread  # noqa: PLC0415 - 30 ms, and who comes here has paid them

        question, bound = await to_thread(step.question, args, kwargs)
        if (reused := await to_thread(step.found, question)) is not None:
            return step.again(reused)
        async with step.recording(question) as recording:
            with step.noting(recording, question, bound):
                returned = await function(*bound.args, **bound.kwargs)
            return await to_thread(step.made, recording, returned)

    return call_later if inspect.iscoroutinefunction(function) else call


def _each(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return (role, reference) of what one argument holds: none, one, or a list, each of which has its place in its role."""
    if value is None:
        return []
    return (
        [(f"{name}[{at}]", one) for at, one in enumerate(value)] if isinstance(value, list | tuple) else [(name, value)]
    )
