"""Retention: what a policy lets go, why the rest stays, and that the lineage stays whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import stores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from three import FORMS, INPUT, OUTPUT, artifact, artifact_type, link, run, run_type, store_in

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import aliases
from mlmd.recorder.policy import policy_of
from mlmd.recorder.retention import plan
from mlmd.recorder.taint import taint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd import MetadataStore

DAY_MS = 86_400_000


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[MetadataStore]:
    with store_in(request.param, tmp_path / "store") as store:
        yield store


def versions(store: MetadataStore, name: str, number: int, kind: str = "Model") -> list[int]:
    type_id = artifact_type(store, kind)
    first = len(store.get_artifacts())
    return store.put_artifacts(
        [
            artifact(
                type_id,
                {"evlog.name": name, "evlog.digest": f"sha256:{first + at:064x}"},
                name=f"{name}:{at + 1}",
                uri=f"s3://m/{at}",
                state=pb.Artifact.LIVE,
            )
            for at in range(number)
        ]
    )


def going(found: Any) -> list[int]:
    return [one.id for one in found.going]


NEWEST_2 = {"keep": [{"type": "Model", "newest": 2}]}


def test_the_newest_of_each_name_stay_and_what_no_rule_fits(store: MetadataStore) -> None:
    taxi, fare, data = versions(store, "taxi", 4), versions(store, "fare", 1), versions(store, "raw", 3, "Data")
    found = plan(store, NEWEST_2)
    assert going(found) == taxi[:2]
    assert found.going[0].why == "rule 1: not of the newest 2"
    assert found.kept == {
        **dict.fromkeys([*taxi[2:], *fare], "newest: 2 of each name"),
        **dict.fromkeys(data, "no rule"),
    }
    assert "2 would go, 6 stay (3 newest, 3 no rule)" in found.in_words()
    assert [row[1] for row in found.table(1).rows] == taxi[:1]
    assert "<table" in found._repr_html_()


def test_age_is_another_way_to_stay(store: MetadataStore) -> None:
    taxi = versions(store, "taxi", 3)
    created = store.get_artifacts_by_id(taxi)[0].create_time_since_epoch
    rule = {"keep": [{"newest": 1, "younger": "90d"}]}
    assert going(plan(store, rule, now_ms=created + 89 * DAY_MS)) == []
    found = plan(store, rule, now_ms=created + 91 * DAY_MS)
    assert going(found) == taxi[:2]
    assert found.going[0].why == "rule 1: not of the newest 1, older than 90d"
    assert going(plan(store, {"keep": [{"younger": "1w"}]}, now_ms=created + 8 * DAY_MS)) == taxi


def test_what_is_aliased_and_what_it_was_made_from_stays(store: MetadataStore) -> None:
    taxi, data = versions(store, "taxi", 4), versions(store, "raw", 4, "Data")
    [trained] = store.put_executions([run(run_type(store))])
    link(store, trained, data[0], INPUT)
    link(store, trained, taxi[0], OUTPUT)
    aliases.move(store, "taxi@prod", store.get_artifacts_by_id([taxi[0]])[0])
    found = plan(store, {"keep": [{"newest": 1}]})
    assert going(found) == [*taxi[1:3], *data[1:3]]
    assert found.kept[taxi[0]] == "aliased: taxi@prod"
    assert found.kept[data[0]] == "made into what is aliased"


@pytest.mark.parametrize(
    ("hold", "stays"),
    [
        ({"name": "taxi"}, [0, 1, 2]),
        ({"name": "taxi:2"}, [1, 2]),
        ({"filter": "uri = 's3://m/0'"}, [0, 2]),
        ({"type": "Model"}, [0, 1, 2]),
        ({"type": "Data", "filter": "id > 0"}, [2]),
        ({"name": "taxi", "filter": "id = 1"}, [0, 2]),
    ],
)
def test_a_hold_wins(store: MetadataStore, hold: dict[str, str], stays: list[int]) -> None:
    taxi = versions(store, "taxi", 3)
    found = plan(store, {"keep": [{"newest": 1}], "hold": [hold | {"because": "ticket 81"}]})
    assert going(found) == [one for at, one in enumerate(taxi) if at not in stays]
    assert all(found.kept[taxi[at]] in ("held: ticket 81", "newest: 1 of each name") for at in stays)


def test_a_hold_of_an_alias_that_is_not_there_is_a_mistake(store: MetadataStore) -> None:
    versions(store, "taxi", 3)
    with pytest.raises(errors.NotFoundError, match="no taxi@prod, which the policy holds"):
        plan(store, {"keep": [{"newest": 0}], "hold": [{"alias": "taxi@prod", "because": "law"}]})


def test_the_first_rule_that_fits_decides(store: MetadataStore) -> None:
    taxi, data = versions(store, "taxi", 2), versions(store, "raw", 2, "Data")
    found = plan(store, {"keep": [{"type": "Model", "newest": 2}, {"newest": 0}]})
    assert going(found) == data
    assert set(found.kept) == set(taxi)


def test_what_goes_is_marked_in_one_record_and_stays_as_a_stub(store: MetadataStore) -> None:
    taxi = versions(store, "taxi", 3)
    [trained, other] = store.put_executions([run(run_type(store)) for _ in range(2)])
    link(store, trained, taxi[0], OUTPUT)
    link(store, other, taxi[0], INPUT)
    found = plan(store, NEWEST_2)
    assert found.proof[:2] == (2, 2)
    assert found.apply("quarterly") == 1
    [gone] = store.get_artifacts_by_id(taxi[:1])
    assert (gone.state, gone.name, gone.uri) == (pb.Artifact.MARKED_FOR_DELETION, "taxi:1", "s3://m/0")
    assert gone.custom_properties["evlog.digest"].string_value == found.going[0].digest
    again = plan(store, NEWEST_2)
    assert going(again) == []
    assert again.kept[taxi[0]] == "marked already"
    assert again.apply() == 0
    assert "1 went" in found.in_words()


def test_the_record_says_why_and_which_stubs(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        versions(store, "taxi", 3)
        found = plan(store, NEWEST_2)
        end = store.log.end
        found.apply("quarterly")
        [entry] = store.log.read(end, store.log.end)
        assert entry.record.envelope.reason == f"quarterly; retention of 1 artifacts, stubs sha256:{found.proof.stubs}"
        assert json.loads(found.going[0].line) == [1, "Model", "taxi:1", found.going[0].digest, "s3://m/0"]


@pytest.mark.parametrize("meanwhile", ["alias", "alias of what was made from it", "put again"])
@pytest.mark.parametrize("form", FORMS)
def test_a_store_that_moved_on_is_planned_again(tmp_path: Any, form: str, meanwhile: str) -> None:
    with store_in(form, tmp_path / "store") as store:
        taxi = versions(store, "taxi", 3)
        found = plan(store, NEWEST_2)
        [first] = store.get_artifacts_by_id(taxi[:1])
        if meanwhile == "alias":
            aliases.move(store, "taxi@prod", first)
        elif meanwhile == "put again":
            first.custom_properties["note"].string_value = "in use"
            store.put_artifacts([first])
        else:
            [trained] = store.put_executions([run(run_type(store))])
            link(store, trained, taxi[0], INPUT)
            link(store, trained, taxi[2], OUTPUT)
            aliases.move(store, "taxi@prod", store.get_artifacts_by_id(taxi[2:])[0])
        with pytest.raises(errors.FailedPreconditionError, match="plan again"):
            found.apply()
        assert [one.state for one in store.get_artifacts()] == [pb.Artifact.LIVE] * 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    names=st.lists(st.sampled_from(["a", "b", ""]), max_size=10),
    edges=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans())),
    keep=st.integers(0, 3),
    live=st.sets(st.integers(0, 9)),
)
def test_nothing_live_goes_and_every_edge_leads_somewhere(
    names: list[str], edges: list[Any], keep: int, live: set[int], tmp_path_factory: Any
) -> None:
    with store_in("memory", tmp_path_factory.mktemp("store")) as store:
        type_id, kind = artifact_type(store, "Model"), run_type(store)
        made = store.put_artifacts([artifact(type_id, {"evlog.name": name} if name else {}) for name in names])
        ran = store.put_executions([run(kind) for _ in range(4)])
        for one, number, out in edges:
            if number < len(made):
                try:
                    link(store, ran[one], made[number], OUTPUT if out else INPUT)
                except errors.AlreadyExistsError:
                    continue
        for at in live:
            if at < len(made):
                aliases.move(store, f"x@{'abcdefghij'[at]}", store.get_artifacts_by_id([made[at]])[0]) if not names[
                    at
                ] else aliases.move(store, f"{names[at]}@{'cdefghijkl'[at]}", store.get_artifacts_by_id([made[at]])[0])
        found = plan(store, {"keep": [{"newest": keep}]})
        gone = set(going(found))
        assert gone.isdisjoint(made[at] for at in live if at < len(made))
        assert gone | set(found.kept) == set(made)
        for name in set(names):
            of_name = [one for one, own in zip(made, names, strict=True) if own == name]
            assert gone.isdisjoint(of_name[len(of_name) - keep :])
        found.apply()
        nodes = {one.id for one in store.get_artifacts()}
        assert all(event.artifact_id in nodes for event in store.get_events_by_execution_ids(ran))


# Policies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "keeps everything"),
        ("[[keep]]", "newest or younger"),
        ("[[keep]]\nnewest = -1", "newest"),
        ("[[keep]]\nnewest = 'two'", "newest"),
        ("[[keep]]\nyounger = '90'", "'90' is no age"),
        ("[[keep]]\nyounger = '-1d'", "is no age"),
        ("[[keep]]\nnewst = 3", "newst"),
        ("[[kept]]\nnewest = 3", "kept"),
        ("[[keep]]\nnewest = 1\n[[hold]]\nname = 'a'", "because"),
        ("[[keep]]\nnewest = 1\n[[hold]]\nbecause = 'a'", "of what"),
        ("[[keep]]\nnewest = 1\n[[hold]]\nbecause = ' '\nname = 'a'", "say why"),
        ("[[keep]]\nnewest = 1\n[[hold]]\nbecause = 'a'\nfilter = 'x >'", r"\[\[hold\]\] 1: .*Unexpected end"),
        ("[[keep]]\nnewest = 1\n[[hold]]\nbecause = 'a'\nalias = 'a@b'\nname = 'c'", "nothing else"),
        ("keep = 3", "keep"),
        ("=", "no TOML"),
        ("a = " + "[" * 5000, "no TOML"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=said):
        policy_of(text)


def test_the_command_foretells_tells_and_does(tmp_path: Any) -> None:
    place, file = tmp_path / "store", tmp_path / "policy.toml"
    file.write_text('[[keep]]\ntype = "Model"\nnewest = 1\n[[hold]]\nname = "taxi:1"\nbecause = "ticket 81"\n')
    with store_in("folder", place) as store:
        taxi = versions(store, "taxi", 3)
    before = stores.run("-s", place, "status", "--json").output
    told = stores.run("-s", place, "retain", file, "--dry-run", "--json")
    assert told.exit_code == 0, told.output
    assert [row["id"] for row in json.loads(told.stdout)] == taxi[1:2]
    assert "1 would go" in stores.run("-s", place, "retain", file, "--dry-run", "-o", "table").stderr
    kept = stores.run("-s", place, "retain", file, "--kept", "-o", "table")
    assert "held: ticket 81" in kept.stdout
    assert stores.run("-s", place, "status", "--json").output.partition("bytes")[0] == before.partition("bytes")[0]
    done = stores.run("-s", place, "retain", file, "--reason", "quarterly", "-o", "table")
    assert done.exit_code == 0, done.output
    assert "nothing deleted" in done.stderr
    listed = stores.run("-s", place, "artifacts", "--filter", "state = MARKED_FOR_DELETION", "--json")
    assert [row["id"] for row in json.loads(listed.stdout)] == taxi[1:2]


@pytest.mark.parametrize("data", [b"\xff", b"[[keep]]", b"x" * 1_000_001])
def test_a_file_that_is_no_policy_is_wrong_usage(tmp_path: Any, data: bytes) -> None:
    place, file = tmp_path / "store", tmp_path / "policy.toml"
    file.write_bytes(data)
    with store_in("folder", place):
        pass
    told = stores.run("-s", place, "retain", file)
    assert told.exit_code == 2
    assert str(file) in told.stderr


def test_what_is_tainted_is_none_of_the_newest(store: MetadataStore) -> None:
    good, bad, worse = versions(store, "taxi", 3)
    taint(store, [f"art:{bad}", f"art:{worse}"], "label leak")
    found = plan(store, {"keep": [{"type": "Model", "newest": 1}]})
    assert good in found.kept
