"""What the pages say of random stores, at random moments, beside a fold over the log that knows nothing of the view."""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from histories import State, put, recorded, states
from hypothesis import given, settings
from hypothesis import strategies as st
from shown import Demo, asking
from strategies import SAFE, puts

import mlmd
from mlmd import errors
from mlmd.recorder.words import ALIAS_TYPE, MARK_TYPE, TAINTED
from mlmd.web.site import Site

if TYPE_CHECKING:
    from evlog.records import NodePut
    from mlmd.engine import Engine

pytestmark = [pytest.mark.deep, pytest.mark.slow]
EXAMPLES: Final = max(6, settings().max_examples // 8)
INPUTS: Final = ("INPUT", "DECLARED_INPUT", "INTERNAL_INPUT")
OUTPUTS: Final = ("OUTPUT", "DECLARED_OUTPUT", "INTERNAL_OUTPUT", "PENDING_OUTPUT")
PATHS: Final = (
    "/index",
    "/runs",
    "/artifacts",
    "/contexts",
    "/types",
    "/search?q=a",
    "/runs/1",
    "/artifacts/1",
    "/contexts/1",
    "/lineage/art:1",
    "/lineage/run:1?by=type",
    "/compare?run=1&run=2",
    "/audit",
    "/audit/0",
)


@st.composite
def acts(draw: Any) -> tuple[Any, ...]:
    """What people do with the recorder: a few names, so that versions, aliases and marks meet."""
    name = draw(st.sampled_from(["taxi", "taxi model", "模型"]))
    one = draw(st.sampled_from(["art:1", "art:2", "art:3", "run:1", "run:3"]))
    return draw(
        st.sampled_from(
            [
                ("run", name, draw(st.integers(0, 2)), draw(st.booleans())),
                ("run", name, draw(st.integers(0, 2)), True),
                ("taint", one, name),
                ("untaint", one, name),
                ("alias", f"{name}@prod", one),
                ("mark", name),
            ]
        )
    )


def act(store: Any, done: tuple[Any, ...]) -> None:
    """Do it; what is refused leaves no trace."""
    with contextlib.suppress(errors.StatusError, ZeroDivisionError):
        match done:
            case ("run", name, number, well):
                with store.run("Trainer", params={"lr": number}) as run:
                    run.input(f"s3://in/{number}", "Data set")
                    run.log(acc=number / 2)
                    run.output(f"s3://{name}/{number}", "Model", name=name)
                    1 / int(well)
            case ("taint" | "untaint" as verb, one, why):
                getattr(store, verb)(one, why)
            case ("alias", alias, one):
                store.alias(alias, one)
            case ("mark", name):
                store.mark(name)


HISTORIES: Final = st.lists(st.one_of(puts(SAFE), acts()), min_size=2, max_size=12)


def do(engine: Engine, operations: list[Any]) -> None:
    store = mlmd.open(mlmd.MetadataStore.over(engine))
    for one in operations:
        if isinstance(one, tuple) and isinstance(one[0], str) and not hasattr(one, "_fields"):
            act(store, one)
        else:
            put(engine, one)


def shown(engine: Engine) -> Demo:
    site = Site(engine, "store")
    return Demo(engine, mlmd.open(mlmd.MetadataStore.over(engine)), site, asking(site))


class Known:
    """A store at a moment, as the log alone tells."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.types = {change.id: change.name for row, change in state.items() if row[0].endswith("TypePut")}

    def of(self, kind: str) -> dict[int, Any]:
        return {row[1]: change for row, change in self.state.items() if row[0] == f"{kind.capitalize()}Put"}

    def type_of(self, node: NodePut) -> str:
        return str(self.types[node.type_id])

    @property
    def events(self) -> list[Any]:
        return [change for row, change in self.state.items() if row[0] == "EventPut"]

    def edges(self) -> set[tuple[str, str]]:
        """Return which thing leads to which: what a run read to the run, the run to what it made."""
        return {
            (f"art:{one.artifact_id}", f"run:{one.execution_id}")
            if one.type in INPUTS
            else (f"run:{one.execution_id}", f"art:{one.artifact_id}")
            for one in self.events
            if one.type in INPUTS + OUTPUTS
        }

    def ends(self, execution_id: int, types: tuple[str, ...]) -> list[int]:
        return sorted(
            {one.artifact_id for one in self.events if one.execution_id == execution_id and one.type in types}
        )


def all_of(demo: Demo, path: str, step: int, limit: str, **query: Any) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of every part of a list, and the total that each part told."""
    rows: list[dict[str, Any]] = []
    while True:
        facts = demo.facts(path, skip=len(rows), **{limit: step}, **query)
        rows += facts["rows"]
        if len(facts["rows"]) < step:
            assert facts["total"] == len(rows)
            return rows, facts["total"]


def in_order(nodes: dict[int, Any], sort: str) -> list[int]:
    keys = {
        "id": lambda one: one.id,
        "created": lambda one: (one.create_time_ms, one.id),
        "updated": lambda one: (one.update_time_ms, one.id),
    }
    return [one.id for one in sorted(nodes.values(), key=keys[sort.removeprefix("-")], reverse=sort.startswith("-"))]


SORTS: Final = st.sampled_from(["id", "-id", "created", "-created", "updated", "-updated"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_lists_hold_what_was_put_in_the_order_asked_for_to_their_end(operations: list[Any], data: Any) -> None:
    engine = recorded([])
    do(engine, operations)
    demo = shown(engine)
    at = data.draw(st.integers(0, engine.log.end), label="at")
    known = Known(states(engine.log)[at])
    sort, step = data.draw(SORTS), data.draw(st.integers(1, 4))
    moment = f"#{at}"
    for kind, path, limit in (
        ("execution", "/runs", "limit"),
        ("artifact", "/artifacts", "n"),
        ("context", "/contexts", "n"),
    ):
        nodes = known.of(kind)
        if kind == "context":
            nodes = {number: one for number, one in nodes.items() if known.type_of(one) not in (ALIAS_TYPE, MARK_TYPE)}
        rows, _ = all_of(demo, f"{path}.json", step, limit, at=moment, sort=sort)
        assert [row["id"] for row in rows] == in_order(nodes, sort), (kind, sort)
        for row in rows:
            node = nodes[row["id"]]
            assert row["type"] == known.type_of(node)
            if kind != "context":
                assert row["state"] == (node.state or "UNKNOWN")
                assert (row["tainted"] is not None) == (TAINTED in node.custom_properties)
        if kind == "execution":
            for row in rows:
                read, made = known.ends(row["id"], INPUTS), known.ends(row["id"], OUTPUTS)
                assert (row["inputs_total"], row["outputs_total"]) == (len(read), len(made))
                assert {one["id"] for one in row["inputs"]} <= set(read)
                assert {one["id"] for one in row["outputs"]} <= set(made)
        if kind == "context":
            for row in rows:
                inside = Counter(name for name, context, *_ in known.state if context == row["id"])
                links = [
                    change
                    for name, change in known.state.items()
                    if name[0] in ("AssociationPut", "AttributionPut") and change.context_id == row["id"]
                ]
                assert row["runs"] == sum(hasattr(one, "execution_id") for one in links), inside
                assert row["artifacts"] == sum(hasattr(one, "artifact_id") for one in links)
        for name in {known.type_of(one) for one in nodes.values()}:
            rows, _ = all_of(demo, f"{path}.json", step, limit, at=moment, sort=sort, type=name)
            mine = {number: one for number, one in nodes.items() if known.type_of(one) == name}
            assert [row["id"] for row in rows] == in_order(mine, sort), (kind, name)
        if kind != "context":
            rows, _ = all_of(demo, f"{path}.json", step, limit, at=moment, sort=sort, q="not tainted")
            mine = {number: one for number, one in nodes.items() if TAINTED not in one.custom_properties}
            assert [row["id"] for row in rows] == in_order(mine, sort), kind
        _forms_agree(demo, path, moment, sort)
    told = demo.facts("/types.json", at=moment, system=1)["rows"]
    counts = Counter(one.type_id for kind in ("artifact", "execution", "context") for one in known.of(kind).values())
    assert {row["id"]: row["count"] for row in told} == {number: counts[number] for number in known.types}
    engine.close()


def _forms_agree(demo: Demo, path: str, moment: str, sort: str) -> None:
    """The page, its CSV and its JSON have the same rows."""
    query = {"at": moment, "sort": sort}
    rows = demo.facts(f"{path}.json", **query)["rows"]
    cells = list(csv.DictReader(io.StringIO(demo.browser.get(f"{path}.csv", params=query).text)))
    name = "run" if path == "/runs" else "id"
    assert [int(cell[name]) for cell in cells] == [row["id"] for row in rows]
    html = demo.browser.get(path, params=query).text
    places = [html.find(f'<a href="{path}/{row["id"]}?') for row in rows]
    assert -1 not in places
    assert places == sorted(places), "the page has another order"


@settings(max_examples=EXAMPLES, deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_the_page_of_a_thing_says_what_the_log_says_of_it(operations: list[Any], data: Any) -> None:
    engine = recorded([])
    do(engine, operations)
    demo = shown(engine)
    at = data.draw(st.integers(1, engine.log.end), label="at")
    folded = states(engine.log)
    known, moment = Known(folded[at]), f"#{at}"
    for kind, path in (("execution", "runs"), ("artifact", "artifacts"), ("context", "contexts")):
        for number, node in known.of(kind).items():
            facts = demo.facts(f"/{path}/{number}.json", at=moment)
            row = (f"{kind.capitalize()}Put", number)
            versions = [n for n in range(at) if folded[n + 1].get(row) is not folded[n].get(row)]
            if kind == "execution":
                links = [
                    n
                    for n in range(at)
                    if any(
                        folded[n + 1][one] is not folded[n].get(one) and getattr(change, "execution_id", None) == number
                        for one, change in folded[n + 1].items()
                    )
                ]
                touched = sorted({*versions, *links})
                assert [one["offset"] for one in facts["events"]] == touched[::-1]
                assert (facts["first"]["offset"], facts["last"]["offset"]) == (touched[0], touched[-1])
                ends = [(one["id"], one["role"]) for one in facts["inputs"]]
                assert sorted({one for one, _ in ends}) == known.ends(number, INPUTS)
                assert len(ends) == len(set(ends))
                ends = [(one["id"], one["role"]) for one in facts["outputs"]]
                assert sorted({one for one, _ in ends}) == known.ends(number, OUTPUTS)
                assert len(ends) == len(set(ends))
                assert set(facts["properties"]) == set(node.properties)
                assert set(facts["custom_properties"]) == set(node.custom_properties)
            else:
                assert [one["offset"] for one in facts["puts"]] == versions[::-1]
                assert {one["field"] for one in facts["fields"]} >= {f"properties.{name}" for name in node.properties}
            if kind == "artifact":
                for name, types in (("made_by", OUTPUTS), ("read_by", INPUTS)):
                    runs = sorted(
                        {one.execution_id for one in known.events if one.artifact_id == number and one.type in types}
                    )
                    assert facts[name]["total"] == len(runs)
                    assert sorted(one["id"] for one in facts[name]["runs"]) == runs
                after = reached(known.edges(), {f"art:{number}"})
                assert facts["impact"]["artifacts"] == sum(one.startswith("art:") for one in after - {f"art:{number}"})
                assert facts["impact"]["runs"] == sum(one.startswith("run:") for one in after)
            if kind == "context":
                members = [
                    known.of("execution")[row[2]] for row in known.state if row[:2] == ("AssociationPut", number)
                ]
                told = {one["component"]: one["runs"] for one in facts["components"]}
                assert told == Counter(known.type_of(one) for one in members)
                days = demo.facts(f"/{path}/{number}.json", at=moment, by="day")["matrix"]["rows"]
                assert sum(row["runs"] for row in days) == len(members)
                failed = {one["component"]: one["failed"] for one in facts["components"]}
                assert failed == {
                    name: sum(one.state == "FAILED" for one in members if known.type_of(one) == name) for name in told
                }
    engine.close()


def reached(edges: set[tuple[str, str]], start: set[str]) -> set[str]:
    """Return all that is behind some things."""
    found, waiting = set(start), list(start)
    while waiting:
        here = waiting.pop()
        for one, other in edges:
            if one == here and other not in found:
                found.add(other)
                waiting.append(other)
    return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_a_lineage_is_at_every_moment_what_was_known_then(operations: list[Any], data: Any) -> None:
    engine = recorded([])
    do(engine, operations)
    demo = shown(engine)
    folded = states(engine.log)
    end = data.draw(st.integers(4, engine.log.end), label="at")
    last = Known(folded[end])
    keys = [
        f"{short}:{number}" for kind, short in (("artifact", "art"), ("execution", "run")) for number in last.of(kind)
    ]
    root = data.draw(st.sampled_from(keys))
    union = reached(last.edges(), {root}) | reached({(b, a) for a, b in last.edges()}, {root})
    until = data.draw(st.integers(0, end))
    since = data.draw(st.one_of(st.none(), st.integers(0, until)))
    query = {"at": f"#{end}", "by": "none", "up": 1000, "down": 1000, "until": f"#{until}"}
    facts = demo.facts(f"/lineage/{root}.json", **query, **({} if since is None else {"since": f"#{since}"}))
    assert {node["key"] for node in facts["graph"]["nodes"]} == union
    keyed = [node["key"] for node in facts["graph"]["nodes"]]
    drawn = {(keyed[one["source"]], keyed[one["target"]]) for one in facts["graph"]["edges"]}
    assert drawn == {(a, b) for a, b in last.edges() if {a, b} <= union}
    changed: Counter[str] = Counter()
    there = 0
    for node in facts["graph"]["nodes"]:
        kind, number = ("artifact" if node["key"].startswith("art") else "execution"), int(node["key"][4:])
        row = (f"{kind.capitalize()}Put", number)
        for moment in range(end + 1):
            state = folded[moment].get(row)
            version = [one for one in node["versions"] if one[0] < moment]
            assert bool(version) == (state is not None), moment
            if state is not None:
                assert version[-1][1] == (state.state or "UNKNOWN")
                assert ("tainted" in version[-1][2]) == (TAINTED in state.custom_properties)
        now = folded[until].get(row)
        there += now is not None
        if since is not None and now is not None:
            then = folded[since].get(row)
            going = ("DELETED", "MARKED_FOR_DELETION", "ABANDONED")
            if now.state in going and (then is None or then.state not in going):
                changed["gone"] += 1
            elif then is None:
                changed["added"] += 1
            elif then is not now:
                changed["changed"] += 1
    assert facts["there"] == there
    if since is not None:
        assert facts["changes"] == {name: changed[name] for name in ("added", "changed", "gone")}
    for by in ("fan", "type", "day"):
        _fold_and_unfold(demo, root, query | {"by": by}, union)
    rows = list(csv.DictReader(io.StringIO(demo.browser.get(f"/lineage/{root}.csv", params=query).text)))
    assert {row["node"] for row in rows} == union
    assert sum(row["state"] != "not yet" for row in rows) == there
    engine.close()


def _fold_and_unfold(demo: Demo, root: str, query: dict[str, Any], union: set[str]) -> None:
    """Groups hold each node once, and those that are opened give all of them back."""
    nodes = demo.facts(f"/lineage/{root}.json", **query)["graph"]["nodes"]
    groups = [node for node in nodes if "members" in node]
    alone = [node["key"] for node in nodes if "members" not in node]
    held = [key for node in groups for key in node["members"]]
    assert sorted([*alone, *held]) == sorted(union)
    assert root in alone
    opened = demo.facts(f"/lineage/{root}.json", open=[node["key"] for node in groups], **query)["graph"]["nodes"]
    assert {node["key"] for node in opened} == union


@settings(max_examples=EXAMPLES, deadline=None)
@given(operations=HISTORIES, data=st.data())
def test_the_first_page_and_the_trail_count_what_is_there(operations: list[Any], data: Any) -> None:
    engine = recorded([])
    do(engine, operations)
    demo = shown(engine)
    folded = states(engine.log)
    at = data.draw(st.integers(0, engine.log.end), label="at")
    since = data.draw(st.integers(0, at))
    known, moment = Known(folded[at]), f"#{at}"
    runs = known.of("execution")
    facts = demo.facts("/index.json", at=moment, since=f"#{since}")
    assert (facts["records"], facts["runs_total"]) == (at, len(runs))
    newest = in_order(runs, "-created")
    assert [run["id"] for run in facts["runs"]] == newest[:10]
    failed = [number for number in newest if runs[number].state == "FAILED"]
    assert [run["id"] for run in facts["broken"]["failed"]] == failed[:10]
    assert facts["broken"]["running"] == sum(one.state == "RUNNING" for one in runs.values())
    assert sum(bar["records"] for bar in facts["calendar"]["bars"]) == at
    if since < at:
        before = Known(folded[since])
        added = Counter(
            kind for kind in ("artifact", "execution", "context") for n in known.of(kind) if n not in before.of(kind)
        )
        told = {one["kind"]: one["count"] for one in facts["since"]["counts"] if one["what"] == "added"}
        assert told == added
    entries = list(engine.log.read(0, at))
    for query, fits in (
        ({}, lambda _: True),
        ({"api": "PutArtifacts"}, lambda one: one.record.envelope.api == "PutArtifacts"),
        ({"since": f"#{since}"}, lambda one: one.offset >= since),
        ({"until": f"#{since}"}, lambda one: one.offset < since),
    ):
        expected = [one.offset for one in entries if fits(one)][::-1]
        found: list[int] = []
        before_offset = None
        while True:
            more = {} if before_offset is None else {"before": before_offset}
            part = demo.facts("/audit.json", at=moment, limit=3, **query, **more)
            found += [row["offset"] for row in part["rows"]]
            before_offset = part["go_on"]
            if before_offset is None:
                break
        assert found == expected, query
    engine.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(operations=HISTORIES, later=HISTORIES, data=st.data())
def test_a_link_to_a_page_as_it_is_answers_the_same_after_more_puts(
    operations: list[Any], later: list[Any], data: Any
) -> None:
    engine = recorded([])
    do(engine, operations)
    demo = shown(engine)
    at = data.draw(st.integers(1, engine.log.end), label="at")
    links = [f"{path.partition('?')[0]}.json?{path.partition('?')[2]}" for path in PATHS]
    first = {link: demo.browser.get(link, params={"at": f"#{at}"} | _query(link)) for link in links}
    do(engine, later)
    for link in links:
        again = demo.browser.get(link, params={"at": f"#{at}"} | _query(link))
        assert again.status_code == first[link].status_code
        assert again.content == first[link].content, link
    engine.close()


def _query(link: str) -> dict[str, Any]:
    from urllib.parse import parse_qs

    return dict(parse_qs(link.partition("?")[2]))
