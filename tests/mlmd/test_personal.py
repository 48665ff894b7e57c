"""Personal values through the API: declared, sealed, read, erased."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from check import check_store
from personal import AGE, NAME, declared, holds, opened, put, run, seen, values
from serving import served

from evlog.author import Caller
from evlog.personal import ERASED
from evlog.records import ExecutionPut, NodePut, Sealed
from mlmd import MetadataStore, errors
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.serving.service import NAME as SERVICE
from replay.personal import verify_personal

if TYPE_CHECKING:
    from pathlib import Path

    from tally import Tally

SECRETS = (NAME.encode(), b"a secret note")


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = declared(tmp_path / "store" if request.param == "folder" else None)
    yield made
    check_store(made)
    assert verify_personal(made.log) == []
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


def stored(store: MetadataStore, offset: int = -1) -> NodePut:
    """Return the last node in a record as it is stored."""
    at = store.log.end + offset if offset < 0 else offset
    [entry] = store.log.read(at, at + 1, sealed=True)
    return next(change for change in reversed(entry.record.changes) if isinstance(change, NodePut))


def test_a_personal_value_is_sealed_in_the_log_and_plain_to_whoever_asks(store: MetadataStore) -> None:
    put(store)
    assert seen(store) == {"user": "u-17", "operator": NAME, "age": AGE}
    change = stored(store)
    assert {name: type(value) for name, value in change.properties.items()} == {
        "user": str,
        "operator": Sealed,
        "age": Sealed,
    }
    [node] = store.get_executions_by_id([1])
    assert store.put_executions([node]) == [1]  # As it was: nothing to put.
    assert [entry.record.changes for entry in store.log.read(store.log.end - 1)] == [[]]


def test_rules_reach_both_maps_every_kind_and_only_what_they_name(store: MetadataStore) -> None:
    with store.acting(subject="u-1"):
        put(
            store,
            operator=NAME,
            epochs=3,
            custom={"note_1": "a secret note", "other": "plain", "operator": "by custom"},
        )
        context = pb.Context(type_id=store.put_context_type(pb.ContextType(name="Lab")), name="lab")
        context.custom_properties["note_head"].string_value = "a secret note"
        context.custom_properties["operator"].string_value = "no run, so plain"
        store.put_contexts([context])
    change = stored(store, -3)
    assert {name for name, value in change.properties.items() if isinstance(value, Sealed)} == {"operator"}
    assert {name for name, value in change.custom_properties.items() if isinstance(value, Sealed)} == {
        "note_1",
        "operator",
    }
    assert {name for name, value in stored(store).custom_properties.items() if isinstance(value, Sealed)} == {
        "note_head"
    }


def test_every_way_to_put_a_node_seals_it(store: MetadataStore) -> None:
    store.put_execution(run(store, operator=NAME), [], [])
    store.put_lineage_subgraph([run(store, operator=NAME)], [], [], [])
    [node] = store.get_executions_by_id([1])
    node.properties["age"].int_value = 5
    request = service.PutExecutionsRequest(executions=[node])
    request.update_mask.paths.append("properties.age")
    store._call("PutExecutions", request)
    assert len(store.erase("u-17").keys) == 1
    assert [seen(store, number) for number in (1, 2)] == [{"user": "u-17", "operator": ERASED}] * 2


@pytest.mark.parametrize(
    ("user", "given", "told"),
    [
        (None, {"operator": NAME}, "'operator' is personal, and 'user', which says whose it is, is not set"),
        ("", {"operator": NAME}, "'user'"),
        ("x" * 2000, {"operator": NAME}, "2,000 characters"),
    ],
)
def test_a_personal_value_of_nobody_is_refused_and_leaves_no_trace(
    store: MetadataStore, user: str | None, given: Any, told: str
) -> None:
    end = store.log.end
    made = run(store, None, **given)
    if user is not None:
        made.properties["user"].string_value = user
    with pytest.raises(errors.InvalidArgumentError, match=told):
        store.put_executions([made])
    assert store.log.end == end
    assert store.log.subject_keys.ids() == []
    with pytest.raises(errors.InvalidArgumentError, match="acting"):
        put(store, "u-1", custom={"note_1": "whose?"}, epochs=1)
    with store.acting(subject="u-1"):
        put(store, "u-1", custom={"note_1": "mine"}, epochs=1)


def test_a_subject_may_be_a_number_and_a_node_may_hold_values_of_two(store: MetadataStore) -> None:
    made = run(store, None, operator=NAME)
    made.custom_properties["user"].int_value = 17
    made.custom_properties["note_1"].string_value = "a secret note"
    with store.acting(subject="ben"):
        store.put_executions([made])
    store.erase("ben")
    assert seen(store) == {"user": 17, "operator": NAME, "note_1": ERASED}
    store.erase("17")
    assert seen(store) == {"user": 17, "operator": ERASED, "note_1": ERASED}


def test_a_value_that_stays_as_it_was_stays_its_subjects(store: MetadataStore) -> None:
    with store.acting(subject="ana"):
        put(store, custom={"note_1": "a secret note"}, epochs=1)
    [node] = store.get_executions_by_id([1])
    node.properties["epochs"].int_value = 2
    store.put_executions([node])  # By somebody who names no subject.
    node.custom_properties["note_2"].string_value = "of ben"
    with store.acting(subject="ben"):
        store.put_executions([node])
    node.properties["user"].string_value = "u-18"
    store.put_executions([node])
    store.erase("ben")
    assert seen(store)["note_1"] == "a secret note"
    assert seen(store)["note_2"] == ERASED
    [node] = store.get_executions_by_id([1])
    node.custom_properties["note_1"].string_value = "changed"
    with pytest.raises(errors.InvalidArgumentError, match="'note_1' is personal"):
        store.put_executions([node])
    store.erase("ana")
    assert seen(store)["note_1"] == ERASED


def test_a_node_that_one_request_puts_twice_keeps_its_subject(store: MetadataStore) -> None:
    with store.acting(subject="ana"):
        put(store, custom={"note_1": "a secret note"}, epochs=1)
    [first] = store.get_executions_by_id([1])
    second = pb.Execution()
    second.CopyFrom(first)
    first.properties["epochs"].int_value, second.properties["epochs"].int_value = 2, 3
    store.put_executions([first, second])
    [entry] = store.log.read(store.log.end - 1, sealed=True)
    sealed = [change.custom_properties["note_1"] for change in entry.record.changes if isinstance(change, ExecutionPut)]
    assert len(sealed) == 2
    assert len({one.key_id for one in sealed}) == 1
    store.erase("ana")
    assert seen(store) == {"user": "u-17", "epochs": 3, "note_1": ERASED}


def test_nodes_that_one_group_puts_keep_their_subjects(place: Path) -> None:
    store = declared(place)
    with store.acting(subject="ana"):
        for number in range(1, 5):
            put(store, custom={"note_1": f"note {number}"}, epochs=0)
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        for epochs in range(1, 20):
            made = run(store, custom={"note_1": f"note {number}"}, epochs=epochs)
            made.id = number
            store.put_executions([made])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.log.subject_keys.ids()) == 1
    store.erase("ana")
    assert [seen(store, number)["note_1"] for number in range(1, 5)] == [ERASED] * 4
    check_store(store)
    store.close()


def test_what_was_erased_can_be_put_back_as_it_reads(store: MetadataStore) -> None:
    with store.acting(subject="ana"):
        put(store, None, custom={"note_1": "a secret note"}, epochs=1)
    store.erase("ana")
    [node] = store.get_executions_by_id([1])
    node.properties["epochs"].int_value = 2
    store.put_executions([node])  # Needs no subject: nothing personal is in it.
    assert stored(store).custom_properties["note_1"] == ERASED
    with store.acting(subject="ana"):
        node.custom_properties["note_1"].string_value = "new"
        store.put_executions([node])
    assert seen(store)["note_1"] == "new"
    store.erase("ana")
    assert seen(store)["note_1"] == ERASED


def test_the_past_history_and_differences_read_erased_too(place: Path) -> None:
    with closing(declared(place)) as store:
        put(store)
        offset = store.log.end
        [node] = store.get_executions_by_id([1])
        node.properties["operator"].string_value = "Ana S. Jones"
        store.put_executions([node])
        past = store.as_of(offset)
        assert seen(past) == {"user": "u-17", "operator": NAME, "age": AGE}
        store.erase("u-17")
        for one in (past, store.as_of(offset), store.as_of(offset + 1), store):
            assert seen(one) == {"user": "u-17", "operator": ERASED}
        assert seen(past) == {"user": "u-17", "operator": ERASED}
        told = str([store.history("run:1"), store.blame("run:1"), store.diff(0)])
        assert ERASED in told
        assert "Ana" not in told
        assert store.get_executions(list_options=None)
        from mlmd import ListOptions

        assert store.get_executions(ListOptions(filter_query=f"properties.operator.string_value = '{ERASED}'"))
        assert not store.get_executions(ListOptions(filter_query="properties.age.int_value > 0"))


def test_no_file_of_the_store_holds_what_was_erased(place: Path) -> None:
    pytest.importorskip("duckdb")
    from replay.frozen import freeze

    store = declared(place)
    for number in range(50):
        put(store, "u-17" if number % 2 else "u-18", operator=f"{NAME} {number}", age=AGE)
    frozen, _ = freeze(store.log, place / "views")
    assert holds(frozen, NAME.encode()), "or the test looks for nothing"
    (place / "views" / "building.999999.00000000.sqlite").write_bytes(NAME.encode())  # Of a process that was killed.
    (place / "views" / "building.999999.00000000.duckdb").write_bytes(NAME.encode())
    (place / "views" / "history.000001.duckdb.tmp").mkdir()
    (place / "views" / "history.000001.duckdb.tmp" / "spill").write_bytes(NAME.encode())
    keys = [key.key.hex().encode() for key in store.log.subject_keys.of("u-17")]
    assert holds(place, *SECRETS)
    store.erase("u-17")
    store.erase("u-18")
    assert holds(place, *SECRETS, *keys) == []
    check_store(store)
    store.close()
    assert holds(place, *SECRETS, *keys) == []
    with closing(opened(place)) as again:
        assert seen(again, 2)["operator"] == ERASED


def test_another_process_that_has_the_store_open_reads_erased_and_seals_under_a_new_key(place: Path) -> None:
    first, second = declared(place), opened(place)
    put(first)
    readonly = MetadataStore(
        pb.ConnectionConfig(
            sqlite=pb.SqliteMetadataSourceConfig(
                filename_uri=str(place), connection_mode=pb.SqliteMetadataSourceConfig.READONLY
            )
        )
    )
    past = second.as_of("now")
    assert seen(second) == seen(readonly) == seen(first)
    [old] = first.erase("u-17").keys
    for one in (second, readonly, past):
        assert seen(one) == {"user": "u-17", "operator": ERASED}
    put(second)
    assert isinstance(sealed := stored(second).properties["operator"], Sealed)
    assert sealed.key_id != old
    assert seen(first, 2)["operator"] == NAME
    for one in (first, second):
        check_store(one)
    for one in (readonly, first, second):
        one.close()


def test_a_replay_in_memory_is_made_anew_when_something_is_erased(place: Path) -> None:
    store = declared(place)
    put(store)
    link = place / "views" / "current.sqlite"
    target = link.readlink()
    link.unlink()  # So that a reader has to replay.
    reader = MetadataStore(
        pb.ConnectionConfig(
            sqlite=pb.SqliteMetadataSourceConfig(
                filename_uri=str(place), connection_mode=pb.SqliteMetadataSourceConfig.READONLY
            )
        )
    )
    link.symlink_to(target)
    assert reader._backend._opened.replayed  # type: ignore[union-attr]
    assert seen(reader)["operator"] == NAME
    store.erase("u-17")
    assert seen(reader) == {"user": "u-17", "operator": ERASED}
    reader.close()
    store.close()


def test_a_view_that_is_being_made_while_something_is_erased_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlmd.opening import BODIES
    from replay import rebuild as module

    store, other = declared(place), opened(place)
    put(store)
    build, built = module.build, []

    def slow(*given: Any, **named: Any) -> Any:
        view = build(*given, **named)
        built.append(1)
        if len(built) == 1:
            other.erase("u-17")  # Rebuilds too, and is done before this one.
        return view

    monkeypatch.setattr(module, "build", slow)
    module.rebuild(store.log, place / "views", BODIES)
    assert len(built) == 3
    assert seen(store)["operator"] == ERASED
    assert holds(place, *SECRETS) == []
    store.close()
    other.close()


def test_an_erasure_that_was_killed_is_finished_by_the_next_opening(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from replay import erasure

    store = declared(place)
    put(store)

    def killed(*_given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(erasure, "purge", killed)
    with pytest.raises(KeyboardInterrupt):
        store.erase("u-17")
    monkeypatch.undo()
    store.close()
    assert holds(place, *SECRETS)
    with closing(opened(place)) as again:
        assert "finished the erasure of 'u-17'" in caplog.text
        assert seen(again) == {"user": "u-17", "operator": ERASED}
        assert holds(place, *SECRETS) == []
        assert again.log.subject_keys.begun_erasure() is None
        check_store(again)


def test_the_envelope_of_a_sealed_put_holds_no_hash_that_could_be_guessed(store: MetadataStore) -> None:
    engine = store._backend
    method = METHODS["PutExecutions"]
    transaction = uuid.uuid4().bytes
    caller = Caller("ana", "asserted", "test", "host", None, transaction, "ana")
    request = service.PutExecutionsRequest(executions=[run(store, operator=NAME)])
    answer = engine.answer(method, request, caller)  # type: ignore[union-attr]
    [entry] = store.log.read(store.log.end - 1)
    assert entry.record.envelope.answered is not None
    assert entry.record.envelope.answered.request == b""
    end = store.log.end
    assert service.PutExecutionsResponse.FromString(engine.answer(method, request, caller)) == answer  # type: ignore[union-attr]
    assert store.log.end == end
    plain = Caller("ana", "asserted", "test", "host", None, uuid.uuid4().bytes, "ana")
    request = service.PutExecutionsRequest(executions=[run(store, epochs=1)])
    engine.answer(method, request, plain)  # type: ignore[union-attr]
    request.executions[0].properties["epochs"].int_value = 2
    with pytest.raises(errors.InvalidArgumentError, match="used for another request"):
        engine.answer(method, request, plain)  # type: ignore[union-attr]


def test_a_caller_names_the_subject_over_the_wire(place: Path) -> None:
    store = declared(place)
    with served(store._backend) as server:  # type: ignore[arg-type]
        config = pb.MetadataStoreClientConfig(host="localhost", port=server.port)
        with closing(MetadataStore(config)) as client:
            with pytest.raises(errors.InvalidArgumentError, match="x-evlog-subject"):
                put(client, custom={"note_1": "x"}, epochs=1)
            with client.acting(subject="ana é"):
                put(client, custom={"note_1": "x"}, epochs=1)
            for call in (lambda: client.declare_personal([]), lambda: client.erase("ana é")):
                with pytest.raises(errors.UnimplementedError, match="for the store itself"):
                    call()
        with grpc.insecure_channel(f"localhost:{server.port}") as channel:
            ask = channel.unary_unary(
                f"/{SERVICE}/PutExecutions",
                service.PutExecutionsRequest.SerializeToString,
                service.PutExecutionsResponse.FromString,
            )
            made = run(store, custom={"note_1": "y"}, epochs=1)
            ask(service.PutExecutionsRequest(executions=[made]), metadata=(("x-evlog-subject", "ben"),))
    store.erase("ana é")
    assert [seen(store, number)["note_1"] for number in (1, 2)] == [ERASED, "y"]
    store.close()


def test_rules_take_the_place_of_those_before_and_hold_in_every_process(place: Path) -> None:
    first, second = declared(place), opened(place)
    put(second)
    assert isinstance(stored(second).properties["operator"], Sealed)
    first.declare_personal([])
    put(second)
    assert stored(second).properties["operator"] == NAME
    second.declare_personal([{"property": "epochs", "subject": "the lab"}])
    put(first, epochs=3)
    assert isinstance(stored(first).properties["epochs"], Sealed)
    first.close()
    second.close()
    with closing(opened(place)) as again:
        put(again, epochs=4)
        assert isinstance(stored(again).properties["epochs"], Sealed)
        check_store(again)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("operator", "a list of rules"),
        (7, "a list of rules"),
        (["operator"], "rule 1: Expected"),
        ([{"property": "x"}, {"kind": "run", "property": "x"}], "rule 2: kind: 'run' is none"),
        ([{}], "rule 1: .*property"),
        ([{"property": ""}], "name one"),
        ([{"property": 7}], "rule 1: Expected `str`"),
        ([{"property": "x", "subjekt": "y"}], "subjekt"),
        ([{"property": "x", "subject": "y", "subject_property": "z"}], "by one of them"),
        ([{"property": "u*", "subject_property": "user"}], "sealed by the rule itself"),
        ([{"property": "x" * 2000}], "2,000 characters"),
        ([{"property": "\udcff"}], "no Unicode"),
        ([{"property": "x"}] * 1001, "1,001 rules"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: Any, told: str) -> None:
    with closing(opened(None)) as store:
        end = store.log.end
        with pytest.raises(errors.InvalidArgumentError, match=told):
            store.declare_personal(rules)
        assert store.log.end == end


def test_what_cannot_be_erased_is_refused(place: Path) -> None:
    with closing(declared(place)) as store:
        put(store)
        with pytest.raises(errors.NotFoundError, match="nothing is sealed"):
            store.erase("u-99")
        for wrong in ("", None, 17):
            with pytest.raises(errors.InvalidArgumentError, match="is none"):
                store.erase(wrong)  # type: ignore[arg-type]
        for odd in ("\udcff", "\0", "u" * 5000):
            with pytest.raises(errors.NotFoundError, match="nothing is sealed"):
                store.erase(odd)
        with pytest.raises(errors.UnimplementedError):
            store.as_of(1).erase("u-17")
        with (
            closing(
                MetadataStore(
                    pb.ConnectionConfig(
                        sqlite=pb.SqliteMetadataSourceConfig(
                            filename_uri=str(place), connection_mode=pb.SqliteMetadataSourceConfig.READONLY
                        )
                    )
                )
            ) as readonly,
            pytest.raises(errors.FailedPreconditionError, match="reading only"),
        ):
            readonly.erase("u-17")
        assert values(store.get_executions_by_id([1])[0])["operator"] == NAME


def test_a_store_that_declares_nothing_has_no_keys_and_imports_no_cryptography(place: Path) -> None:
    import subprocess
    import sys

    code = f"""
import sys, mlmd
from mlmd.proto import metadata_store_pb2 as pb
store = mlmd.MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri={str(place)!r})))
t = store.put_execution_type(pb.ExecutionType(name="T"))
store.put_executions([pb.Execution(type_id=t)])
store.close()
print([name for name in sys.modules if name.split(".")[0] == "cryptography"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not (place / "keys").exists()


def test_writers_that_go_on_while_somebody_is_erased_lose_nothing_and_keep_nothing(place: Path) -> None:
    stores = [declared(place), opened(place), opened(place)]
    put(stores[0], operator="early bird")
    stop, failed = threading.Event(), list[BaseException]()

    def work(store: MetadataStore) -> None:
        try:
            while not stop.is_set():
                number = put(store, operator="late bird")
                [node] = store.get_executions_by_id([1])
                node.properties["epochs"].int_value = number
                store.put_executions([node])
        except (errors.StatusError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores[1:]]
    for thread in threads:
        thread.start()
    done = [stores[0].erase("u-17") for _ in range(4) if not failed]
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    if stores[0].log.subject_keys.ids():
        done.append(stores[0].erase("u-17"))
    assert holds(place, b"early bird", b"late bird") == []
    for store in stores:
        assert seen(store)["operator"] == ERASED
        check_store(store)
    assert verify_personal(stores[0].log) == []
    assert len({key for one in done for key in one.keys}) == sum(len(one.keys) for one in done)
    for store in stores:
        store.close()


@pytest.mark.faults
def test_an_erasure_that_is_killed_at_any_time_never_began_or_is_finished_by_the_next_opening(
    place: Path, full: bool, tally: Tally
) -> None:
    import random
    import signal
    import subprocess
    import sys
    import time

    rng, begun, turns = random.Random(1), 0, 60 if full else 3
    tally("kill others", turns)
    declared(place).close()
    command = [sys.executable, "-m", "mlmd.cli", "-s", str(place), "erase", "u-17", "--reason", "kill"]
    for turn in range(turns):
        secret = f"secret {turn} of u-17"
        with closing(opened(place)) as store:
            number = put(store, operator=secret)
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while child.poll() is None and not (place / "keys" / "subjects" / "ERASING").exists() and rng.random() > 0.0001:
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        with closing(opened(place)) as store:
            gone = seen(store, number)["operator"] == ERASED
            assert gone or seen(store, number)["operator"] == secret
            check_store(store)
            assert verify_personal(store.log) == []
            assert store.log.subject_keys.begun_erasure() is None
        assert bool(holds(place, secret.encode())) is not gone
        begun += gone
        if not gone:
            subprocess.run(command, check=True, capture_output=True)
    assert begun
