"""A run while it is recorded: one record RUNNING when it begins, one when it ends, with all that it read, made and measured.

What a call is given is checked in that call. Nothing that a run made is in the store before it ends; then all of it is, or nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Self

from mlmd import errors
from mlmd.kinds import CONTEXT, EXECUTION
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import alive, artifacts, types, words
from mlmd.recorder import code as codes
from mlmd.recorder.aliases import own_name
from mlmd.recorder.artifacts import Finder, Noted, checked_values, identity_of
from mlmd.recorder.caching import key_of
from mlmd.recorder.pulse import PULSE
from mlmd.recorder.things import Artifact, Run
from mlmd.recorder.values import mapping_of, number_of, plain, stored, text_of
from mlmd.running import RUN_PUT, RunPut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from mlmd.running import Done
    from mlmd.store import MetadataStore
    from replay.things import Thing

_LOG: Final = logging.getLogger(__name__)
_TRIES: Final = 50
_ERROR_MAX: Final = 20_000
_POINTS_MAX: Final = 5_000  # Held until the next put: as many fit a message of gRPC's four megabytes many times over.


class Recording:
    """What `with store.run(...) as r` gives: takes notes of a run. Safe for threads.

    After the block it reads as a `Run`: `r.state`, `r.metrics`, `r.outputs`, ... `r.run` is that object.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        type_name: str,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        name: str | None = None,
        contexts: Mapping[str, str | Iterable[str]] | None = None,
        code: Any = None,
    ) -> None:
        """See `Store.run`. Raises InvalidArgumentError, before anything is put."""
        if metadata.is_past:
            raise errors.FailedPreconditionError(
                "this is the store as it was, which cannot change: record into the store itself"
            )
        self._metadata = metadata
        self._finder = Finder(metadata)
        self._type = text_of(type_name, "type of the run")
        self._name = None if name is None else text_of(name, "name of the run")
        self._named = _contexts(contexts)
        self._code = codes.code_of(code)
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._metrics: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._singles: dict[str, list[float]] = {}  # A metric's only point yet: it needs no list.
        self._points: dict[str, list[list[float]]] = {}  # Since the last put.
        self._held = 0  # How many points those are.
        self._noted: dict[tuple[str | int, bool], Noted] = {}  # By artifact, and whether it is an output.
        self._last: dict[str, pb.Artifact] = {}  # The new artifact of each name that was noted last.
        self._contexts: list[pb.Context] = []  # From the first put on by id.
        self._own: dict[str, Any] = {}  # What every put says, beside what was noted.
        self._done: Done | None = None  # Of the last put.
        self._type_id = self._execution_id = 0
        self._guard = threading.RLock()  # Held by whoever notes or puts.
        self._open = False
        self._pid: int | None = None  # Of who began it: a fork has all of this too, and it is not its run.
        self.put_s = 0.0
        self.param(**mapping_of(params or {}, "params"))
        self.tag(**mapping_of(tags or {}, "tags"))

    # Taking notes ---------------------------------------------------------------------------------------------------

    def input(
        self, value: Any, type: str | None = None, *, name: str | None = None, role: str | None = None
    ) -> Artifact:
        """Note what the run reads; return it.

        value: a name ("taxi:7", "taxi@prod", "taxi"), an id ("art:3"), an artifact, or a URI, path or local file, which is made known
        with its type. name: what to call it; its version follows from its content. role: what it is to the run, such as
        "warm_start". Raises NotFoundError for a name that is none, InvalidArgumentError.
        """
        found = self._finder.read(value, type, name)
        return self.note(found, {}, output=False, role=role)

    def output(
        self,
        uri: Any,
        type: str | None = None,
        *,
        name: str | None = None,
        role: str | None = None,
        digest: str | None = None,
        **properties: Any,
    ) -> Artifact:
        """Note what the run made; return it. It is put when the run ends.

        uri: a URI, or a file or folder of this machine. type: not needed where the name is known. name: what to call it; the same
        content is the same version, other content the next one. digest: "sha256:HEX" of content that is not at hand; without one the
        URI stands for the content. Raises InvalidArgumentError.
        """
        values = checked_values(properties)
        if isinstance(uri, Artifact | pb.Artifact):
            found = self._finder.read(uri, type, name)
        else:
            found = self._finder.described(uri, type, name, digest)
        return self.note(found, values, output=True, role=role)

    def log(self, metrics: Mapping[str, Any] | None = None, /, *, step: float | None = None, **more: Any) -> None:
        """Note metrics, which are numbers: `r.log(acc=.941)`, `r.log({"val/acc": .93}, step=3)`. All points are kept, the last is the value.

        step: counted from 0 where it is not given. Raises InvalidArgumentError.
        """
        given = {**mapping_of(metrics, "metrics"), **more} if metrics is not None else more
        values = {text_of(key, "a metric"): number_of(value, key) for key, value in given.items()}
        at = None if step is None else number_of(step, "step")
        if at is not None and at != at:  # noqa: PLR0124 - NaN alone
            raise errors.InvalidArgumentError("step: NaN is none: give the number of the step")
        now_ms = time.time_ns() // 1_000_000
        with self._noting("a metric"):
            for key, value in values.items():
                self._point(key, at, now_ms, value)
        if self._held > _POINTS_MAX and self._open:
            self.beat()

    def _point(self, key: str, step: float | None, now_ms: int, value: float) -> None:
        count = self._counts.get(key, 0)
        self._counts[key], self._metrics[key] = count + 1, value
        point = [count if step is None else step, now_ms, value]
        if count == 0 and step is None:
            self._singles[key] = point
            return
        before = self._singles.pop(key, None)
        points = self._points.setdefault(key, [])
        points += [point] if before is None else [before, point]
        self._held += 1

    def param(self, /, **params: Any) -> None:
        """Note parameters: int, float, str, bool, None, or lists and dicts of them. Raises InvalidArgumentError."""
        values = {text_of(key, "a parameter"): plain(value, key) for key, value in params.items()}
        with self._noting("a parameter"):
            self._params |= values

    def tag(self, /, **tags: Any) -> None:
        """Note tags, which are texts. Raises InvalidArgumentError."""
        values = {text_of(key, "a tag"): _tag(value, key) for key, value in tags.items()}
        with self._noting("a tag"):
            self._tags |= values

    def note(self, found: pb.Artifact, values: Mapping[str, Any], *, output: bool, role: str | None) -> Artifact:
        """Note an artifact of `artifacts.Finder`, once, whatever roles it has. values: plain ones, to be set."""
        if role is not None:
            text_of(role, "role")
        with self._noting("an output" if output else "an input"):
            key = found.external_id or found.id
            noted = self._noted.get((key, output))
            if noted is None:
                other = self._noted.get((key, not output))
                message = other.artifact.message if other is not None else self._numbered(found)
                noted = self._noted[key, output] = Noted(Artifact(self._metadata, message, role), output)
            noted.values |= values
            if values and noted.is_new:
                artifacts.put_values(noted.artifact.given, values)
            if role is not None and role not in noted.roles:
                noted.roles.append(role)
        return noted.artifact if noted.artifact.role == role else Artifact(self._metadata, noted.artifact.message, role)

    def lead_with(self, made: Sequence[Artifact]) -> None:
        """Let these be the first of what the run made, in this order."""
        places = {id(one.given): at for at, one in enumerate(made)}

        def place(noted: Noted) -> int:
            return places.get(id(noted.artifact.given), len(places)) if noted.output else -1

        with self._guard:
            self._noted = dict(sorted(self._noted.items(), key=lambda one: place(one[1])))

    def _numbered(self, made: pb.Artifact) -> pb.Artifact:
        """Return a new artifact, numbered after those of its name that the run made before. Raises InvalidArgumentError."""
        name = own_name(made)
        if name is None or made.HasField("id"):
            return made
        before = self._last.get(name)
        if before is not None:
            if before.type != made.type:
                raise errors.InvalidArgumentError(
                    f"{name} is the name of a {before.type}: choose another for a {made.type}"
                )
            artifacts.number(made, before.custom_properties[words.VERSION].int_value + 1)
        self._last[name] = made
        return made

    def _noting(self, what: str) -> threading.RLock:
        """Return the lock under which notes are taken. Raises FailedPreconditionError where the run has ended, or is another process's."""
        if self._is_forked:
            raise self._forked()
        if self._execution_id and not self._open:
            raise errors.FailedPreconditionError(
                f"run:{self._execution_id} has ended: note {what} inside the `with` block"
            )
        return self._guard

    @property
    def _is_forked(self) -> bool:
        """Tell whether this is a fork of the process that began the run."""
        return self._pid is not None and self._pid != os.getpid()

    def _forked(self) -> errors.FailedPreconditionError:
        return errors.FailedPreconditionError(
            f"run:{self._execution_id} is recorded by process {self._pid}, and a fork of it notes nothing:"
            " hand what there is to note back to it"
        )

    # Beginning ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._execution_id:
            raise errors.FailedPreconditionError(
                f"run:{self._execution_id} was recorded: begin another with s.run(...)"
            )
        self._type_id = types.id_of(self._metadata, EXECUTION, self._type)
        self._contexts = [
            pb.Context(type_id=types.id_of(self._metadata, CONTEXT, type_name), name=name)
            for type_name, name in self._named
        ]
        self._own, self._pid = _who_runs(self._code), os.getpid()
        try:
            self._put("RUNNING", {}, [])
        except errors.AlreadyExistsError as error:
            if self._name is None:
                raise
            raise errors.AlreadyExistsError(
                f"{error}: a name is that of one run; give this one another, or none"
            ) from None
        self._saying, self._open = copy_context(), True
        PULSE.add(self)
        return self

    async def __aenter__(self) -> Self:
        from asyncio import to_thread  # noqa: PLC0415 - 30 ms, and who comes here has paid them

        return await to_thread(self.__enter__)

    # Going on -------------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Put the run as it is, with the metrics so far: it is alive."""
        with self._guard:
            if self._open:
                self._saying.run(self._put, "RUNNING", {}, [])

    def _said(self) -> dict[str, Any]:
        """Return what the run says of itself: parameters, tags, metrics, and the points since the last put."""
        said = {words.PARAMETER + key: stored(value) for key, value in self._params.items()}
        said |= {words.TAG + key: text for key, text in self._tags.items()}
        said |= {words.METRIC + key: number for key, number in self._metrics.items()}
        if self._points:
            said[words.POINTS] = stored(self._points)
        return said | self._own

    def _put(self, state: str, more: Mapping[str, Any], noted: list[Noted]) -> Sequence[int]:
        """Put the run, in a state; return the ids of what is noted. What others say of it stays: see `mlmd.running`."""
        done = self._done
        links = [one.link(ended_well=state == "COMPLETE") for one in noted]
        wanted = RunPut(None, self._type_id, self._name, state, {**self._said(), **more}, links, self._contexts)
        if done is not None:
            wanted = wanted._replace(id=done.id, since=done.since, created_ms=done.created_ms)
        self._done = done = self._metadata.answer(RUN_PUT, wanted)
        self._execution_id = done.id
        self._contexts = [pb.Context(id=one) for one in done.context_ids]
        self._points, self._held, self.put_s = {}, 0, time.monotonic()
        return done.artifact_ids

    # Ending ---------------------------------------------------------------------------------------------------------

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_forked:  # The other one ends it, and this one's copy of the lock may be held for ever.
            if error is None:
                raise self._forked()
            return
        try:
            self._end(error)
        except Exception as refused:
            told = f"run:{self._execution_id} ({self._type}): its end was not recorded: {refused}"
            if error is None:
                refused.add_note(f"{told}. {self._give_up(refused)}")
                raise
            error.add_note(told)
            _LOG.exception(told)
        finally:
            self._open = False
            PULSE.remove(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from asyncio import to_thread  # noqa: PLC0415 - as above

        await to_thread(self.__exit__, kind, error, trace)

    def _end(self, error: BaseException | None) -> None:
        """Put the run as it ended, with all it read and made, in one record."""
        state = _ending(error)
        said: dict[str, Any] = {words.ENDED_MS: time.time_ns() // 1_000_000}
        if state == "FAILED" and error is not None:
            said[words.ERROR] = _traceback(error)
        with self._guard:
            if state == "COMPLETE":
                said[words.KEY] = self._key()
            else:
                self._abandon()
            for attempt in range(_TRIES):
                made = [one for one in self._noted.values() if one.is_new]
                try:
                    self._put_both(made)
                    ids = self._put(state, said, [*self._noted.values()])
                except errors.AlreadyExistsError:
                    if attempt == _TRIES - 1 or not made:
                        raise
                    self._resolve_again(made)
                    continue
                for one, artifact_id in zip(self._noted.values(), ids, strict=True):
                    self._finder.is_there(one, artifact_id)
                return

    def _resolve_again(self, made: Iterable[Noted]) -> None:
        """Give new artifacts other numbers: another writer made a version of the same name this very moment."""
        taken: dict[str, int] = {}
        for message in (one.artifact.message for one in made if one.is_new):
            self._finder.resolve_again(message)
            name = own_name(message)
            if name is None or message.HasField("id"):
                continue
            if name in taken:
                artifacts.number(message, taken[name] + 1)
            taken[name] = message.custom_properties[words.VERSION].int_value

    def _put_both(self, made: list[Noted]) -> None:
        """Put those new artifacts which the run both read and made: a put of a run can link a new one but once."""
        seen: set[int] = set()
        for one in made:
            message = one.artifact.message
            if id(message) in seen:
                [message.id] = self._metadata.put_artifacts([message])
            seen.add(id(message))

    def _abandon(self) -> None:
        """Let what a run made that did not end well be what ML Metadata calls abandoned: `latest` does not find it."""
        for one in self._noted.values():
            if one.output and one.is_new:
                one.artifact.message.state = pb.Artifact.ABANDONED

    def _give_up(self, refused: Exception) -> str:
        """Say in the store that the run failed, where its end could not be put; return what became of it, in words."""
        said = {
            words.ENDED_MS: time.time_ns() // 1_000_000,
            words.ERROR: f"its end was refused: {refused}"[:_ERROR_MAX],
        }
        try:
            with self._guard:
                self._put("FAILED", said, [])
        except Exception as again:  # noqa: BLE001 - the first error is the one to tell
            return f"It stays RUNNING, and will be shown as lost; nothing it made was recorded ({again})"
        return "It is recorded as FAILED, without what it made"

    def _key(self) -> str:
        inputs = [
            (role, identity_of(one.artifact.message))
            for one in self._noted.values()
            if not one.output
            for role in one.roles or [""]
        ]
        return key_of(self._type, self._code, inputs, self._params)

    # Reading --------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Return the id of the execution. Raises FailedPreconditionError before the run has begun."""
        if not self._execution_id:
            raise errors.FailedPreconditionError(
                f"the run of {self._type} has not begun: write `with s.run(...) as r:`"
            )
        return self._execution_id

    @property
    def thing(self) -> Thing:
        """Return what names it for `history`, `blame` and the like."""
        return (EXECUTION.name, self.id)

    @property
    def run(self) -> Run:
        """Return the run as the store has it now."""
        [execution] = self._metadata.get_executions_by_id([self.id])
        return Run(self._metadata, execution)

    def __getattr__(self, name: str) -> Any:
        """Return what a Run has: state, params, metrics, inputs, outputs, ..."""
        if name.startswith("__") or not hasattr(Run, name):
            raise AttributeError(f"a run has no {name!r}")
        return getattr(self.run, name)

    def _repr_html_(self) -> str | None:
        return self.run._repr_html_() if self._execution_id else None

    def __str__(self) -> str:
        return str(self.run) if self._execution_id else repr(self)

    def __repr__(self) -> str:
        return repr(self.run) if self._execution_id else f"<{self._type}, not begun>"


def _who_runs(code: str | None) -> dict[str, Any]:
    """Return who runs a run, as properties: process, command line, commit and code, as far as they are known."""
    said = {
        words.PROCESS: alive.this_process(),
        words.COMMAND: codes.command_line() or None,
        words.COMMIT: codes.commit_at_hand(),
        words.CODE: code,
    }
    return {key: value for key, value in said.items() if value is not None}


def _ending(error: BaseException | None) -> str:
    """Return the state in which a run ends."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "COMPLETE"
    cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", KeyboardInterrupt)
    return "CANCELED" if isinstance(error, KeyboardInterrupt | GeneratorExit | cancelled) else "FAILED"


def _traceback(error: BaseException) -> str:
    """Return a traceback, its end where it is long."""
    text = "".join(traceback.format_exception(error))
    return text.encode(errors="replace").decode()[-_ERROR_MAX:]


def _tag(value: Any, key: str) -> str:
    found = plain(value, key)
    if found.__class__ not in (str, int, float, bool):
        raise errors.InvalidArgumentError(f"{key}: {value!r} is a {type(value).__name__}: a tag is a text")
    return str(found)


def _contexts(given: Mapping[str, str | Iterable[str]] | None) -> list[tuple[str, str]]:
    """Return (type, name) of the contexts that a run belongs to. Raises InvalidArgumentError."""
    return [
        (text_of(type_name, "type of a context"), text_of(name, f"contexts: the name of the {type_name}"))
        for type_name, names in mapping_of(given or {}, "contexts").items()
        for name in (names if isinstance(names, Iterable) and not isinstance(names, str | bytes) else [names])
    ]
