"""The text of an event of OpenLineage -> what it says, checked. Text that others wrote: whatever is wrong is an EventError that names it.

Source: OpenLineage 2-0-2, RunEvent, JobEvent and DatasetEvent. Fields that it does not know are left out; facets are kept whole.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from mlmd.exchange.errors import EventError

EVENT_BYTES_MAX: Final = 16 << 20
DEPTH_MAX: Final = (
    24  # Of facets. A property is a protobuf message, in which each level takes three or four of a hundred.
)
DATASETS_MAX: Final = 10_000  # Of one event, which others wait for while it is put.
_EXACT_MAX: Final = 2**53  # A number of a struct is a double.
_STATES: Final = frozenset({"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"})

Facets = dict[str, dict[str, Any]]


class _Run(msgspec.Struct):
    runId: str  # noqa: N815 - as the standard has it, here and below
    facets: Facets | None = None


class _Job(msgspec.Struct):
    namespace: str
    name: str
    facets: Facets | None = None


class _Dataset(msgspec.Struct):
    namespace: str
    name: str
    facets: Facets | None = None
    inputFacets: Facets | None = None  # noqa: N815
    outputFacets: Facets | None = None  # noqa: N815


class _Event(msgspec.Struct):
    eventTime: str  # noqa: N815
    eventType: str | None = None  # noqa: N815
    producer: str | None = None
    run: _Run | None = None
    job: _Job | None = None
    dataset: _Dataset | None = None
    inputs: list[_Dataset] | None = None
    outputs: list[_Dataset] | None = None


class Job(msgspec.Struct, frozen=True):
    """A job and its facets."""

    namespace: str
    name: str
    facets: Facets


class Dataset(msgspec.Struct, frozen=True):
    """A dataset. version: as its facet says, "" if it does not. own: what this run said of it, as its input or output."""

    namespace: str
    name: str
    version: str
    facets: Facets
    own: Facets

    @property
    def label(self) -> str:
        """Return what it is called where its version does not matter."""
        return f"{self.namespace}/{self.name}"


class Event(msgspec.Struct, frozen=True):
    """What an event says. run_id: "" for one of a job or a dataset; state: START, RUNNING, COMPLETE, ABORT, FAIL or OTHER.

    stamp: orders events: two are equal if they have the same text, of two the later one is greater.
    """

    time: datetime
    stamp: str
    state: str
    run_id: str
    run_facets: Facets
    job: Job | None
    inputs: list[Dataset]
    outputs: list[Dataset]
    datasets: list[Dataset]

    @property
    def time_ms(self) -> int:
        """Return the event's time, in milliseconds since 1970."""
        return int(self.time.timestamp() * 1000)


_decoder: Final = msgspec.json.Decoder(_Event)


def read_event(text: bytes | str) -> Event:
    """Return what an event in JSON says. Raises EventError."""
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > EVENT_BYTES_MAX:
        raise EventError(f"{len(data):,} bytes; an event has {EVENT_BYTES_MAX:,} at most")
    try:
        given = _decoder.decode(data)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        raise EventError(reason, where=where.strip("`.")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError(f"this is no JSON: {error}") from None
    except RecursionError:
        raise EventError("it is nested too deep") from None
    return _checked(given, sha256(data).hexdigest()[:16])


def _checked(given: _Event, digest: str) -> Event:
    time = _time(given.eventTime)
    state = given.eventType or "OTHER"
    if state not in _STATES:
        raise EventError(f"{state!r} is none of {', '.join(sorted(_STATES))}", where="eventType")
    if given.run is None and given.job is None and given.dataset is None:
        raise EventError("this is no event of OpenLineage: it has neither a run, nor a job, nor a dataset")
    if given.run is not None and given.job is None:
        raise EventError("a run has a job", where="job")
    if len(given.inputs or ()) + len(given.outputs or ()) > DATASETS_MAX:
        raise EventError(f"more than {DATASETS_MAX:,} inputs and outputs in one event: send several of the same run")
    run_id = "" if given.run is None else _run_id(given.run.runId)
    return Event(
        time=time,
        stamp=f"{time.isoformat(timespec='microseconds')} {digest}",
        state=state,
        run_id=run_id,
        run_facets={} if given.run is None else _facets(given.run.facets, "run.facets"),
        job=None if given.job is None else _job(given.job),
        inputs=[_dataset(one, f"inputs[{at}]") for at, one in enumerate(given.inputs or ())],
        outputs=[_dataset(one, f"outputs[{at}]") for at, one in enumerate(given.outputs or ())],
        datasets=[] if given.dataset is None else [_dataset(given.dataset, "dataset")],
    )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise EventError(f"{text!r} is no time such as 2026-03-01T09:30:00Z", where="eventTime") from None


def _run_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise EventError(f"{text!r} is no UUID", where="run.runId") from None


def _job(given: _Job) -> Job:
    _names(given, "job")
    return Job(given.namespace, given.name, _facets(given.facets, "job.facets"))


def _dataset(given: _Dataset, where: str) -> Dataset:
    _names(given, where)
    facets = _facets(given.facets, f"{where}.facets")
    version = facets.get("version", {}).get("datasetVersion")
    if version is not None and not isinstance(version, str):
        raise EventError("a version is a text", where=f"{where}.facets.version.datasetVersion")
    own = _facets(given.inputFacets, f"{where}.inputFacets") | _facets(given.outputFacets, f"{where}.outputFacets")
    return Dataset(given.namespace, given.name, version or "", facets, own)


def _names(given: _Job | _Dataset, where: str) -> None:
    for field in ("namespace", "name"):
        if not getattr(given, field):
            raise EventError("it is empty, and names nothing", where=f"{where}.{field}")


def _facets(given: Facets | None, where: str) -> Facets:
    return {name: _held(facet, f"{where}.{name}", 1) for name, facet in (given or {}).items()}


def _held(value: Any, where: str, depth: int) -> Any:
    """Return a value as a struct can hold it exactly: an integer that no double holds becomes text. Raises EventError for one too deep."""
    if isinstance(value, dict | list) and depth > DEPTH_MAX:
        raise EventError(f"it is nested deeper than {DEPTH_MAX} levels", where=where)
    if isinstance(value, dict):
        return {key: _held(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_held(item, where, depth + 1) for item in value]
    if type(value) is int and abs(value) > _EXACT_MAX:
        return str(value)  # The decoder has refused one of more digits than Python would write.
    return value
