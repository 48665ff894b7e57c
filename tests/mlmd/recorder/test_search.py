"""Runs found by the short filter language, in any order: the same answers as Python's, in process, of a server, and as of a moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from three import FORMS, INPUT, OUTPUT, artifact, artifact_type, link, run, run_type, store_in

from evlog.records import Struct
from mlmd import errors
from mlmd.finding import FIND, Find, sort_key
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.rows import differing
from mlmd.recorder.search import every, filter_text, latest, order_of, runs, search
from projections.query import Variable
from projections.sqlite import listing
from projections.sqlite.properties import Property

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd import MetadataStore

LR, ACC = Variable("custom_properties", "p.lr", exact=True), Variable("custom_properties", "m.acc", exact=True)


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[MetadataStore]:
    with store_in(request.param, tmp_path / "store") as store:
        yield store


def ids(found: Any) -> list[int]:
    return [one.id for one in found]


def put_runs(store: MetadataStore, *properties: dict[str, Any], kind: str = "Trainer", **fields: Any) -> list[int]:
    type_id = run_type(store, kind)
    return store.put_executions([run(type_id, one, **fields) for one in properties])


# The language ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p.lr = 1", [0, 1]),
        ("p.lr = 1.0", [0, 1]),
        ("p.lr in (1, 0.5)", [0, 1, 2]),
        ("p.lr between 0.2 and 0.9", [2]),
        ("p.lr != 1", [2]),
        ("p.lr = '1'", [3]),
        ("p.lr = true", [4]),
        ("p.lr", [4]),
        ("not p.lr = 1", [2]),
        ("p.lr is null", [5, 6]),
        ("p.lr is not null", [0, 1, 2, 3, 4]),
        ("m.acc is not null and t.who is null", [5]),
        ("p.lr + 1 > 1.9", [0, 1]),
        ("p.lr = 1 or m.acc > 0.5", [0, 1, 5]),
        ("upper(t.who) = 'ANA'", [6]),
        ("t.who like 'an%' and state = FAILED", []),
        ("p.`max-depth` = 3", [6]),
        ("p.opt.name = 'adam'", [6]),
        ("tainted", [6]),
        ("NOT tainted and p.lr is null", [5]),
        ("evlog.tainted = 'leak'", [6]),
        ("state = RUNNING", []),
        ("p.big = 9007199254740993", [5]),
        ("p.big = 9007199254740992", []),
        ("type = 'Trainer' and id > 0 # a comment", [0, 1, 2, 3, 4, 5, 6]),
        ("custom_properties.`p.lr`.int_value = 1", [0]),
        ("", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_filter_finds_what_it_says(store: MetadataStore, text: str, expected: list[int]) -> None:
    made = put_runs(
        store,
        {"p.lr": 1},
        {"p.lr": 1.0},
        {"p.lr": 0.5},
        {"p.lr": "1"},
        {"p.lr": True},
        {"m.acc": 0.9, "p.big": 9007199254740993},
        {"t.who": "Ana", "p.max-depth": 3, "p.opt.name": "adam", "evlog.tainted": "leak"},
    )
    found = runs(store, text, sort="id")
    assert ids(found) == [made[at] for at in expected]
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acc > 0.9", r"Unrecognized name: acc; of a run there are p.KEY, m.KEY, .*\[at 1:1\]"),
        ("m.acc > 0.9 and p.max-depth = 3", r"name: depth; .*back quotes: p.`max-depth` \[at 1:23\]"),
        ("m.acc > ", r"Unexpected end of expression \[at 1:9\]"),
        ("m.acc = 'x' + 1", "No matching signature"),
        ("m.acc > 'x'", r"No matching signature for operator > for argument types: DOUBLE, STRING \[at 1:7\]"),
        ("m.acc", "not a valid boolean"),
        ("t.who = 3", "argument types: STRING, INT64"),
        ("m.acc + 1", "not a valid boolean"),
        ("state = DONE", "DONE"),
        ("(m.acc > 1", "Expected"),
        ("m.acc > 1) or (1 = 1", "Expected end of input"),
        ("m. > 1", "Unexpected"),
        ("m.acc > 1 --evlog\n and", "Unexpected"),
        ("x\n\n = 'a", r"Unclosed string literal \[at 3:4\]"),
        ("'" + "(" * 300, "Unclosed"),
        ("(" * 300 + "tainted" + ")" * 300, "nested"),
        (7, "a filter is a text"),
        ("m.\udcff = 1", "Illegal"),
    ],
)
def test_a_wrong_filter_is_refused_at_its_spot(store: MetadataStore, text: Any, said: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=said):
        runs(store, text)


def test_an_artifact_s_own_properties_are_bare_words(store: MetadataStore) -> None:
    model = artifact_type(store, "Model")
    made = store.put_artifacts(
        [artifact(model, {"acc": 0.95}), artifact(model, {"acc": 1}), artifact(model, {"state": 1})]
    )
    found = store.answer(FIND, Find("artifact", filter_text("artifact", "acc > 0.9 and state is null", types="Model")))
    assert ids(found.nodes) == made[:2]


def test_mlmd_s_own_language_passes_and_other_servers_see_a_comment() -> None:
    text = filter_text("execution", "contexts_a.name = 'x' and last_known_state = RUNNING")
    assert text == "(contexts_a.name = 'x' and last_known_state = RUNNING\n)\n--evlog"
    assert filter_text("execution", "") == ""
    assert filter_text("execution", "  ", types=[]) == "FALSE\n--evlog"
    assert filter_text("execution", types=["a'\\b"]) == "type IN ('a\\'\\\\b')\n--evlog"


def test_types_narrow_and_an_unknown_one_finds_nothing(store: MetadataStore) -> None:
    trained, pushed = put_runs(store, {}), put_runs(store, {}, kind='Push"er')
    assert ids(runs(store, types="Trainer")) == trained
    assert ids(runs(store, types=['Push"er', "Trainer"], sort="id")) == trained + pushed
    assert list(runs(store, types=["Nobody"])) == []


# Order -----------------------------------------------------------------------------------------------------------------

values = (
    st.none()
    | st.integers(-3, 3)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=16)
    | st.sampled_from(["", "a", "Z", "é", "\U0001f600", "10", "9"])
    | st.booleans()
    | st.just(Struct({"a": [1, None, "x"]}))
)
histories = st.lists(st.fixed_dictionaries({"m.acc": values, "p.lr": values}), max_size=12)


def in_python(nodes: list[Any], by: Variable, *, ascending: bool) -> list[int]:
    placed = [(sort_key(node, by), node.id) for node in nodes]
    there = sorted(((key, number) for key, number in placed if key is not None), reverse=not ascending)
    absent = sorted((number for key, number in placed if key is None), reverse=not ascending)
    return [number for _, number in there] + absent


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(puts=histories, again=histories, data=st.data())
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("indexed", [False, True])
def test_the_order_is_python_s_now_and_then(
    form: str, indexed: bool, puts: list[Any], again: list[Any], data: st.DataObject, tmp_path_factory: Any
) -> None:
    with store_in(form, tmp_path_factory.mktemp("store") / "store") as store:
        if indexed and form != "server":
            for key in ("m.acc", "p.lr"):
                store._backend.view.index_property(Property("execution", "custom_properties", key))
        made = put_runs(store, *(given_of(one) for one in puts))
        then = store.as_of("now")
        before = store.get_executions()
        type_id = run_type(store)
        store.put_executions([run(type_id, given_of(one), id=number) for number, one in zip(made, again, strict=False)])
        put_runs(store, *(given_of(one) for one in again))
        few = data.draw(st.sampled_from([listing.FEW, (0,), (1,)]))
        start, stop = data.draw(st.integers(0, 14)), data.draw(st.none() | st.integers(0, 14))
        before_few, listing.FEW = listing.FEW, few
        try:
            for when, nodes in ((store, store.get_executions()), (then, before)):
                for sort, by in (("m.acc", ACC), ("p.lr", LR)):
                    for text in ("", "p.lr = 1", "m.acc > 0", "p.lr < 3 or p.lr is null"):
                        passing = {
                            one.id for one in when.answer(FIND, Find("execution", filter_text("execution", text))).nodes
                        }
                        for ascending in (True, False):
                            found = runs(when, text, sort=sort if ascending else f"-{sort}")
                            expected = in_python([one for one in nodes if one.id in passing], by, ascending=ascending)
                            assert ids(found) == expected
                            assert ids(found[start:stop]) == expected[start:stop]
                            assert len(found) == len(expected)
        finally:
            listing.FEW = before_few


def given_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value is not None}


def test_a_slice_is_a_page_and_an_index_a_run(store: MetadataStore) -> None:
    made = put_runs(store, *({"m.acc": at / 10} for at in range(7)))
    found = runs(store, "m.acc >= 0.1", sort="-m.acc")
    down = made[:0:-1]
    assert len(found) == 6
    for wanted in (
        slice(None),
        slice(2),
        slice(2, 4),
        slice(-2, None),
        slice(None, None, -1),
        slice(4, 1, -2),
        slice(5, 2),
        slice(9, 12),
    ):
        assert ids(found[wanted]) == down[wanted]
    assert [found[at].id for at in range(-6, 6)] == down + down
    for at in (6, -7):
        with pytest.raises(IndexError, match="there are 6"):
            found[at]
    assert found


def test_a_list_longer_than_any_page_is_whole(store: MetadataStore) -> None:
    made = put_runs(store, *({"m.acc": (at * 7) % 523 / 523} for at in range(523)))
    by_acc = [made[at] for at in sorted(range(523), key=lambda at: (at * 7) % 523)]
    found = runs(store, "m.acc >= 0", sort="m.acc")
    assert ids(found) == by_acc
    assert ids(found[210:330]) == by_acc[210:330]
    assert ids(runs(store, sort="-id")[150:260]) == made[::-1][150:260]
    assert len(runs(store)) == 523
    assert [one.id for one in every(store, "execution")] == made
    assert [one.id for one in every(store, "execution", filter_text("execution", "m.acc > 0.5"))] == [
        one for at, one in enumerate(made) if (at * 7) % 523 / 523 > 0.5
    ]


@pytest.mark.parametrize("sort", ["created", "-created", "updated", "-updated", "id", "-id"])
def test_other_orders_are_mlmd_s(store: MetadataStore, sort: str) -> None:
    made = put_runs(store, {}, {}, {})
    put_again = store.get_executions_by_id(made[:1])
    store.put_executions(put_again)
    up = made if not sort.endswith("updated") else [*made[1:], made[0]]
    found = runs(store, "id > 0", sort=sort)
    if not sort.endswith("updated"):  # Several may be of one millisecond.
        assert ids(found) == (up if not sort.startswith("-") else up[::-1])
    assert len(found) == 3


@pytest.mark.parametrize("sort", ["", "-", "acc", "m.", "name", None, 3, "--m.acc"])
def test_what_is_no_order_is_refused(sort: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="is no order: m.KEY"):
        order_of("execution", sort)


def test_an_index_is_made_once_the_order_has_cost_as_much(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.sqlite.properties.INDEX_S", 0.0)
    monkeypatch.setattr("projections.sqlite.properties.INDEX_S_PER_NODE", 0.0)
    with store_in("folder", tmp_path / "store") as store:
        put_runs(store, *({"m.Acc": math.sin(at)} for at in range(50)))
        first = ids(runs(store, sort="-m.Acc")[:10])
        assert store._backend.view.indexed_properties() == [Property("execution", "custom_properties", "m.Acc")]
        steps = store._backend.view.lookup._connection.execute(
            "explain query plan select id from execution n where (n.custom_properties ->> '$.\"m.Acc\"') is not null"
            " order by (n.custom_properties ->> '$.\"m.Acc\"') desc, n.id desc limit 5"
        ).fetchall()
        assert "INDEX execution_custom" in str(steps)
        assert "TEMP B-TREE" not in str(steps)
        assert ids(runs(store, sort="-m.Acc")[:10]) == first


# Tables ----------------------------------------------------------------------------------------------------------------


def test_what_differs_is_told_by_type_and_bits() -> None:
    values = [
        {"m.acc": math.nan, "p.lr": 1, "p.options": {"deep": [1]}},
        {"m.acc": math.nan, "p.lr": 1.0, "p.options": {"deep": [True]}},
    ]
    assert differing(values) == ["p.lr", "p.options"]
    assert differing([{"p.lr": 1, "p.same": 0}, {"p.same": 0}]) == ["p.lr"]


def test_a_table_shows_what_differs_and_what_was_read_and_made(store: MetadataStore) -> None:
    first, second = put_runs(
        store, {"p.lr": 1, "p.same": 2, "m.acc": 0.5, "evlog.code": "ab"}, {"p.lr": True, "p.same": 2, "m.acc": 0.7}
    )
    data, model = artifact_type(store, "Data"), artifact_type(store, "Model")
    (taxi, made) = store.put_artifacts([artifact(data, name="taxi:7"), artifact(model)])
    link(store, first, taxi, INPUT)
    link(store, first, made, OUTPUT)
    table = runs(store, "m.acc > 0", sort="-m.acc").table()
    assert list(table.columns) == ["run", "type", "state", "started", "m.acc", "p.lr", "input", "output"]
    assert [(row[0], *row[4:]) for row in table.rows] == [
        (second, 0.7, True, "", ""),
        (first, 0.5, 1, "taxi:7", f"art:{made}"),
    ]
    assert table.note.startswith("2 of 2 matching")
    assert list(runs(store).table(1, ["p.same"]).columns) == [
        "run",
        "type",
        "state",
        "started",
        "p.same",
        "input",
        "output",
    ]
    found = runs(store, "m.acc > 0.6")
    assert f"{second}" in str(found)
    assert "<table" in found._repr_html_()
    assert found.markdown().startswith("| run |")
    assert runs(store, "m.acc > 7").table().rows == []


# The latest ------------------------------------------------------------------------------------------------------------


def test_the_latest_skips_what_is_not_to_be_used(store: MetadataStore) -> None:
    model = artifact_type(store, "Model")
    states = ["LIVE", "LIVE", "LIVE", "MARKED_FOR_DELETION", "DELETED", "ABANDONED"]
    made = store.put_artifacts(
        [
            artifact(
                model,
                {"evlog.name": "taxi", "acc": at / 10} | ({"evlog.tainted": "leak"} if at == 2 else {}),
                state=state,
            )
            for at, state in enumerate(states)
        ]
    )
    unset, other = store.put_artifacts(
        [artifact(model, {"evlog.name": "fare"}), artifact(artifact_type(store, "Other"), {"evlog.name": "taxi"})]
    )
    assert latest(store, "Model").id == unset
    assert latest(store, "Model", name="taxi").id == made[1]
    assert latest(store, "Model", "acc < 0.1", name="taxi").id == made[0]
    assert latest(store, "Model", name="taxi", even=True).id == made[-1]
    assert latest(store, "Other").id == other
    assert latest(store, "Nobody") is None
    assert latest(store, "Model", "acc > 7") is None
    assert latest(store.as_of("now"), "Model", name="taxi").id == made[1]


# By a text -------------------------------------------------------------------------------------------------------------


def test_a_text_is_found_in_names_uris_and_properties_the_best_first(store: MetadataStore) -> None:
    data = artifact_type(store, "Data")
    described, at_uri, contains, begins, exact = store.put_artifacts(
        [
            artifact(data, {"note": 'a Taxi\'s "data"'}),
            artifact(data, uri="s3://b/taxi/7"),
            artifact(data, name="old-taxi:1"),
            artifact(data, name="taxi:7"),
            artifact(data, name="TAXI"),
        ]
    )
    [trained] = put_runs(
        store, {"t.who": "ana", "p.data": Struct({"set": "taxi"}), "evlog.points": Struct({"x": "taxi-points"})}
    )
    context_type = store.put_context_type(pb.ContextType(name="Experiment"))
    [context] = store.put_contexts([pb.Context(type_id=context_type, name="the taxi experiment")])
    found = search(store, "taxi")
    assert [(one.kind, one.node.id, one.field) for one in found[:2]] == [
        ("artifact", exact, "name"),
        ("artifact", begins, "name"),
    ]
    assert {(one.kind, one.node.id, one.field) for one in found[2:4]} == {
        ("artifact", contains, "name"),
        ("context", context, "name"),
    }
    assert (found[4].node.id, found[4].field) == (at_uri, "uri")
    assert {(one.kind, one.node.id, one.field) for one in found[5:]} == {
        ("artifact", described, "note"),
        ("execution", trained, "p.data"),
    }
    assert [one.node.id for one in search(store, "taxi", limit=1)] == [exact]
    assert [one.node.id for one in search(store, 'taxi\'s "DATA"')] == [described]
    assert [one.field for one in search(store, "who")] == ["t.who"]
    for nothing in ("taxi-points", "%", "_", "\\", "a%a", '":', "x" * 1_000):
        assert search(store, nothing) == []
    assert search(store.as_of(0), "taxi") == []


def test_the_best_are_found_however_many_are_worse(store: MetadataStore) -> None:
    data = artifact_type(store, "Data")
    named, at_uri, outside = store.put_artifacts(
        [
            artifact(data, {"note": "taxi"}, name="a taxi"),
            artifact(data, name="b", uri="s3://taxi"),
            artifact(data, name="c", external_id="taxi"),
        ]
    )
    noted = store.put_artifacts([artifact(data, {"note": "taxi", "evlog.points": Struct({})}) for _ in range(120)])
    found = [(one.node.id, one.field) for one in search(store, "TAXI", limit=5)]
    assert found == [
        (named, "name"),
        (at_uri, "uri"),
        (outside, "external_id"),
        (noted[-1], "note"),
        (noted[-2], "note"),
    ]
    assert len(search(store, "taxi", limit=500)) == 123


@pytest.mark.parametrize(
    ("text", "limit"),
    [("", 1), (" ", 1), (None, 1), ("x" * 1_001, 1), ("\udcff", 1), ("a", 0), ("a", True), ("a", "3"), ("a", 10_001)],
)
def test_what_is_no_text_to_search_is_refused(store: MetadataStore, text: Any, limit: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        search(store, text, limit=limit)
