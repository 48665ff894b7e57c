"""What the web UI takes: to come up, to show each page of a large store, to draw large lineages, to tell of a new run.

    python tests/bench/web.py [--quick]

The store has 100,000 runs of 13 properties, and lineages of 300, 2,000 and 10,000 nodes; it is made once, in `.bench/`. The server is
`evlog ui` in a process of its own, the browser Debian's Chromium without a GPU. Milliseconds are wall time, the median of several
requests; pages are warm, and asked over one connection.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "kit"))

import chromium
import searching
from drawings import pipelines, put
from stores import opened
from three import run

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.web.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Response

ROOT: Final = Path(__file__).parents[2]
RUNS: Final = 100_000
LINEAGES: Final = (300, 2_000, 10_000)
MEMBERS: Final = 1_000
ROUNDS: Final = 15
_READY_S: Final = 60
_STEPS: Final = 40
_FRAMES: Final = """seconds => new Promise(done => {
    let frames = 0, began = performance.now();
    const count = now => { frames += 1; now - began < seconds * 1000 ? requestAnimationFrame(count) : done(frames / (now - began) * 1000); };
    requestAnimationFrame(count);
})"""
_SLIDE: Final = """async steps => {
    const slider = document.querySelector("input[type=range]"), least = Number(slider.min), most = Number(slider.max), took = [];
    for (let step = 0; step <= steps; step += 1) {
        slider.value = String(Math.round(least + (most - least) * step / steps));
        const began = performance.now();
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
        await new Promise(done => setTimeout(done));  // After what the frame painted.
        took.push(performance.now() - began);
    }
    return took;
}"""


class Line(NamedTuple):
    """One figure. bar: what we hold ourselves to, None for none; most: whether it is the most or the least that is right."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    most: bool = True

    @property
    def kept(self) -> bool:
        """Tell whether the bar is kept."""
        return self.bar is None or (self.value <= self.bar if self.most else round(self.value) >= self.bar)


class Served(NamedTuple):
    """`evlog ui` at work."""

    process: subprocess.Popen[str]
    host: str
    up_s: float

    @property
    def rss_mb(self) -> float:
        """Return the memory that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        [line] = [one for one in status.splitlines() if one.startswith("VmRSS")]
        return int(line.split()[1]) / 1000


def fill(folder: Path, runs: int = RUNS, lineages: tuple[int, ...] = LINEAGES) -> dict[str, str]:
    """Make the store, if it is not there; return the names of the roots of its lineages, by their size."""
    told = folder.with_suffix(".json")
    if not told.exists():
        searching.fill(folder, runs)
        store = opened(folder)
        context_type = store.put_context_type(pb.ContextType(name="Pipeline"))
        [context] = store.put_contexts([pb.Context(type_id=context_type, name="nightly")])
        members = [pb.Association(context_id=context, execution_id=number + 1) for number in range(min(runs, MEMBERS))]
        store.put_attributions_and_associations([], members)
        roots = {}
        for size in lineages:
            ids = put(store, pipelines(size, warm_starts=10_000), f"{size}-")
            roots[str(size)] = f"art:{ids['art:1']}"
        store.close()
        told.write_text(json.dumps(roots), encoding="utf-8")
    found: dict[str, str] = json.loads(told.read_text(encoding="utf-8"))
    return found


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Run `evlog ui` on a store; it is up when the first page has been answered."""
    words = ["-s", str(folder), "-o", "json", "ui", "--no-browser"]
    # People's Python keeps what it compiled; told not to, it would compile all anew, which is half of the time.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mlmd.cli", *words], stdout=subprocess.PIPE, text=True, env=kept)
    try:
        assert process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "evlog ui ended before it was up"
            told += line
        host = urlsplit(json.loads(told)["url"]).netloc
        with contextlib.closing(http.client.HTTPConnection(host, timeout=_READY_S)) as connection:
            connection.request("GET", "/static/style.css")
            answer = connection.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (200, True)
        yield Served(process, host, time.perf_counter() - began)
    finally:
        process.terminate()
        process.communicate(timeout=_READY_S)


def asked(host: str, path: str, rounds: int) -> tuple[float, float, int]:
    """Return what the first request for a page takes and the median of those after it, in ms; and its bytes, compressed."""
    connection = http.client.HTTPConnection(host, timeout=_READY_S)
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        connection.request("GET", path, headers={"accept-encoding": "gzip", "accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, f"{path}: {answer.status} {body[:200]!r}"
    connection.close()
    return took[0], statistics.median(took[1:]), len(body)


def paths_of_pages() -> list[str]:
    """Return a path for each page of the table, in the store of `fill`."""
    filled = {"id": "1", "object": "run:1", "offset": "1", "day": str(datetime.now(UTC).date())}
    asked_of = {
        "/compare": "?run=1&run=2",
        "/search": "?q=nowhere",
        "/taint": "?object=art:1",
        "/untaint": "?object=art:1",
    }
    return [entry.filled(filled) + asked_of.get(entry.path, "") for entry in PAGES]


def pages(server: Served, rounds: int) -> Iterator[Line]:
    """Measure every page."""
    for path in paths_of_pages():
        first, warm, _ = asked(server.host, path, rounds)
        yield Line(f"{path}, first time", first, "ms")
        yield Line(f"{path}, warm", warm, "ms", 150)


def lineages(server: Served, roots: dict[str, str], rounds: int) -> Iterator[Line]:
    """Measure what the server takes for large lineages: looked up, laid out and encoded the first time, then kept."""
    for size, root in roots.items():
        path = f"/lineage/{root}.json?up=1000&down=1000&nodes=10000&by=none"
        first, warm, length = asked(server.host, path, rounds)
        yield Line(f"lineage of {int(size):,}, first time", first, "ms", {"300": 50, "10000": 1_000}.get(size))
        yield Line(f"lineage of {int(size):,}, again", warm, "ms")
        yield Line(f"lineage of {int(size):,}, compressed", length / 1000, "KB")


def in_browser(server: Served, folder: Path, roots: dict[str, str]) -> Iterator[Line]:
    """Measure what only a browser can tell."""
    with chromium.running() as browser:
        for path in paths_of_pages():
            if not path.startswith("/sql"):
                yield Line(f"{path}, first visit", _visited(browser, server, path) / 1000, "KB", 100)
        window = chromium.Visitor(browser, f"http://{server.host}/")
        yield _news(window.page, folder)
        for size, root in roots.items():
            yield from _moved(window.page, size, root)
        window.close()


def _visited(browser: Browser, server: Served, path: str) -> int:
    """Return the bytes that a first visit takes, as they come over the wire."""
    window = chromium.Visitor(browser, f"http://{server.host}/")
    answers: list[Response] = []
    window.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - a method of a list cannot be marked, as Playwright does
    window.visit(path)
    ended = [one for one in answers if one.request.resource_type != "eventsource"]  # News have no end.
    total = sum(one.request.sizes()["responseBodySize"] for one in ended)
    window.close()
    return total


def _news(page: Page, folder: Path) -> Line:
    """Measure from the commit of a run, in this process, to its row in the window."""
    page.goto("/runs")
    page.wait_for_load_state("load")
    store = opened(folder)
    type_id = store.get_execution_type("Trainer").id
    name = f"new-{time.time_ns()}"
    store.put_executions([run(type_id, name=name, last_known_state=pb.Execution.COMPLETE)])
    began = time.perf_counter()
    page.get_by_text(name).first.wait_for(state="attached")
    took = time.perf_counter() - began
    store.close()
    return Line("a new run is shown after", took * 1000, "ms", 1_000)


def _moved(page: Page, size: str, root: str) -> Iterator[Line]:
    """Measure panning and the slider of a large lineage."""
    page.goto(f"/lineage/{root}?up=1000&down=1000&nodes=10000&by=none")
    canvas = page.locator("canvas").first
    canvas.wait_for()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(f"window.counted = ({_FRAMES})(3)")
    began = time.perf_counter()
    step = 0
    while time.perf_counter() - began < 3:
        step += 1
        page.mouse.move(x + 200 * ((step % 50) / 25 - 1), y + 60 * ((step % 30) / 15 - 1))
    page.mouse.up()
    frames = page.evaluate("window.counted")
    yield Line(f"panning {int(size):,} nodes", frames, "frames/s", 60 if size == "10000" else None, most=False)
    steps = page.evaluate(_SLIDE, _STEPS)
    yield Line(f"slider step of {int(size):,} nodes", statistics.median(steps), "ms", 30 if size == "2000" else None)


def measure(folder: Path, runs: int = RUNS, sizes: tuple[int, ...] = LINEAGES, rounds: int = ROUNDS) -> Iterator[Line]:
    """Measure everything, line by line."""
    roots = fill(folder, runs, sizes)
    with served(folder):
        pass  # Views are at hand, and what Python compiles is compiled.
    with served(folder) as server:
        yield Line("server up", server.up_s, "s", 0.5)
        yield Line("memory when up", server.rss_mb, "MB", 100)
        yield from pages(server, rounds)
        yield from lineages(server, roots, rounds)
        yield Line("memory after all of them", server.rss_mb, "MB")
        if chromium.program() is None:
            print("no Chromium: what a browser alone can tell is not measured", file=sys.stderr)
        else:
            yield from in_browser(server, folder, roots)


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv
    folder = ROOT / ".bench" / ("web-quick" if quick else "web")
    folder.parent.mkdir(exist_ok=True)
    print(f"| {'what':<44} | {'value':>14} | {'bar':>8} |")
    print(f"|{'-' * 46}|{'-' * 16}|{'-' * 10}|")
    for line in measure(folder, 1_000, (300,), 3) if quick else measure(folder):
        bar = "" if line.bar is None else f"{line.bar:,g}"
        print(
            f"| {line.what:<44} | {line.value:>9,.1f} {line.unit:<4} | {bar + ('' if line.kept else ' !'):>8} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
