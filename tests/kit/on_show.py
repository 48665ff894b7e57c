"""A store on show, and where each of its pages is: the story of `evlog demo`, and names that would break a careless page.

A page that is added to the table of pages is visited by itself. Only what its path names must be known here.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

import mlmd
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.serving.http import HttpServer
from mlmd.story import record_story
from mlmd.web.pages import PAGES
from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlmd.recorder.store import Store
    from mlmd.web.pages import Entry

HOSTILE: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "javascript:alert(3)",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 400,  # No place to break the line.
    "a/b?c#d%25&e=f+g",
    "\u202egnp.exe",
    "two\nlines\tand a tab",
    "naïve 模型 🚖",
)
RUNS, ARTIFACTS, CONTEXTS, TRAINING, MODEL, FAILED = 60, 53, 22, 38, 34, 14
"""Of the story: how many; the training of taxi-model:4, which is tainted; that model; a run that failed."""
LONG: Final = HOSTILE.index("x" * 400) + 1
FILLED: Final = {
    "/runs/{id}": (TRAINING, FAILED, RUNS + LONG),
    "/artifacts/{id}": (MODEL, ARTIFACTS + LONG),
    "/contexts/{id}": (1, CONTEXTS + LONG),
    "/lineage/{object}": (f"art:{MODEL}", f"run:{RUNS + LONG}"),
    "/audit/{offset}": (12, 160),
    "/evidence/{day}": ("1999-12-31", datetime.now(UTC).date()),
}
"""What the field of a path is filled with."""
ASKED: Final = {
    "/runs": "limit=16",  # Rows are all made in the same way: fewer are looked through sooner.
    "/artifacts": "n=16",
    "/contexts": "n=16",
    "/audit": "limit=16",
    "/compare": "run=26&run=38",
    "/search": "q=taxi",
    "/taint": f"object=art:{MODEL}",
    "/untaint": f"object=art:{MODEL}",
}
"""What is asked of a page, for it to show anything, and not too much."""


class OnShow(NamedTuple):
    """A server of a store. url: ends in a slash."""

    store: Store
    engine: Engine
    url: str


def record(store: Store) -> None:
    """Tell the story, then give every kind of thing each hostile name, by MLMD's own calls: the recorder takes no such names."""
    record_story(store)
    puts = store.metadata
    model = puts.get_artifacts_by_id([MODEL])[0]
    for name in HOSTILE:
        text = pb.Value(string_value=name)
        run_type = puts.put_execution_type(pb.ExecutionType(name=name, properties={name: pb.STRING}))
        artifact_type = puts.put_artifact_type(pb.ArtifactType(name=name, properties={name: pb.STRING}))
        context_type = puts.put_context_type(pb.ContextType(name=name))
        run = pb.Execution(type_id=run_type, name=name, properties={name: text}, custom_properties={name: text})
        made = pb.Artifact(
            type_id=artifact_type, name=name, uri=name, properties={name: text}, custom_properties={name: text}
        )
        run.last_known_state = pb.Execution.COMPLETE
        pairs = [(model, pb.Event(type=pb.Event.INPUT)), (made, pb.Event(type=pb.Event.OUTPUT))]
        with store.acting(actor=name, reason=name):
            _, [_, made_id], _ = puts.put_execution(run, pairs, [pb.Context(type_id=context_type, name=name)])
    store.taint(f"art:{made_id}", HOSTILE[1])
    with contextlib.suppress(ValueError), store.run("Trainer", params={"lr": 1.0, "note": HOSTILE[1]}) as failing:
        failing.log(acc=0.5)
        raise ValueError(HOSTILE[0])
    store.mark("release-4")
    puts.put_executions([pb.Execution(type_id=run_type, name="under way", last_known_state=pb.Execution.RUNNING)])


@contextlib.contextmanager
def on_show(folder: Path) -> Iterator[OnShow]:
    """Serve the store in a folder, on a free port of loopback."""
    engine = Engine(open_folder(folder, create=True))
    try:
        site = Site(engine, "demo", place=folder)
        server = HttpServer(application(site), "127.0.0.1", 0, ending=site.close)
        server.start()
        try:
            yield OnShow(mlmd.open(mlmd.MetadataStore.over(engine)), engine, server.url)
        finally:
            server.stop()
    finally:
        engine.close()


def addresses(entry: Entry) -> list[str]:
    """Return where a page is to be seen, relative to the site: for each way to fill its path."""
    fields = re.findall(r"\{(\w+)\}", entry.path)
    assert not fields or (len(fields) == 1 and entry.path in FILLED), f"{entry.path}: FILLED does not know it"
    paths = [entry.filled({fields[0]: str(value)}) for value in FILLED[entry.path]] if fields else [entry.path]
    return [f"{path.lstrip('/')}?{ASKED.get(entry.path, '')}".rstrip("?") for path in paths]


ADDRESSES: Final = tuple(address for entry in PAGES for address in addresses(entry))
OF_NOW: Final = {address for entry in PAGES if entry.role == "writer" for address in addresses(entry)}
"""Pages that lead to an act: there is none in the past, so they are refused there."""


def of_moment(address: str, offset: int) -> str:
    """Return the same page as of a record."""
    return f"{address}{'&' if '?' in address else '?'}at={quote(f'#{offset}')}"
