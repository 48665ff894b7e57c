"""A small random graph of nodes, events and links, with the names that the filters of the kit speak of."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from raw import RawStore

PROPERTIES = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "b": pb.BOOLEAN, "a.b": pb.INT, "I": pb.INT}
NODES = 24


def filled(store: RawStore, seed: int = 1) -> RawStore:
    """Put a small random graph, with the names that the filters of the kit speak of."""
    dice = random.Random(seed)
    for method, field, made in (
        ("PutArtifactType", "artifact_type", pb.ArtifactType),
        ("PutExecutionType", "execution_type", pb.ExecutionType),
        ("PutContextType", "context_type", pb.ContextType),
    ):
        for name in ("T", "U"):
            store.ask(method, getattr(service, f"{method}Request")(**{field: made(name=name, properties=PROPERTIES)}))

    def with_properties(node: Any) -> Any:
        for key, value in (
            ("i", pb.Value(int_value=dice.randint(0, 3))),
            ("d", pb.Value(double_value=dice.choice([0.0, 1.0, 1.5, -2.25]))),
            ("s", pb.Value(string_value=dice.choice(["a", "b", "A", ""]))),
            ("b", pb.Value(bool_value=dice.random() < 0.5)),
            ("a.b", pb.Value(int_value=1)),
            ("I", pb.Value(int_value=2)),
        ):
            if dice.random() < 0.7:
                node.properties[key].CopyFrom(value)
            if dice.random() < 0.3:
                node.custom_properties["c" if dice.random() < 0.7 else "text"].CopyFrom(value)
        return node

    def named(number: int) -> dict[str, Any]:
        return {"name": f"n{number}"} if dice.random() < 0.8 else {}

    artifacts = [
        with_properties(
            pb.Artifact(
                type_id=10 + number % 2,
                uri=dice.choice(["", "a", "b"]),
                state=dice.choice([None, 2, 3]),
                **named(number),
            )
        )
        for number in range(NODES)
    ]
    executions = [
        with_properties(
            pb.Execution(type_id=12 + number % 2, last_known_state=dice.choice([None, 2, 3]), **named(number))
        )
        for number in range(NODES // 2)
    ]
    contexts = [with_properties(pb.Context(type_id=14 + number % 2, name=f"n{number}")) for number in range(NODES // 3)]
    store.ask("PutArtifacts", service.PutArtifactsRequest(artifacts=artifacts))
    store.ask("PutExecutions", service.PutExecutionsRequest(executions=executions))
    store.ask("PutContexts", service.PutContextsRequest(contexts=contexts))
    pairs = {(dice.randint(1, NODES), dice.randint(1, NODES // 2), dice.randint(1, 6)) for _ in range(40)}
    events = [pb.Event(artifact_id=a, execution_id=e, type=kind) for a, e, kind in sorted(pairs)]  # type: ignore[arg-type]
    store.ask("PutEvents", service.PutEventsRequest(events=events))
    links = service.PutAttributionsAndAssociationsRequest()
    for _ in range(30):
        links.attributions.add(context_id=dice.randint(1, NODES // 3), artifact_id=dice.randint(1, NODES))
        links.associations.add(context_id=dice.randint(1, NODES // 3), execution_id=dice.randint(1, NODES // 2))
    store.ask("PutAttributionsAndAssociations", links)
    parents = {(dice.randint(1, 3), dice.randint(4, NODES // 3)) for _ in range(6)}
    made_parents = [pb.ParentContext(parent_id=parent, child_id=child) for parent, child in sorted(parents)]
    store.ask("PutParentContexts", service.PutParentContextsRequest(parent_contexts=made_parents))
    return store


def changed(store: RawStore, seed: int = 1, *, rounds: int = 3) -> RawStore:
    """Put some of the nodes again, with other values, and more links: so that there are versions to look back at."""
    dice = random.Random(seed)
    for _ in range(rounds):
        for many, state in (("Artifacts", "state"), ("Executions", "last_known_state")):
            field = many.lower()
            listed: Any = store.ask(f"Get{many}", getattr(service, f"Get{many}Request")())
            nodes = dice.sample(list(getattr(listed, field)), NODES // 3)
            for node in nodes:
                node.properties["i"].int_value = dice.randint(0, 3)
                node.custom_properties["text"].string_value = dice.choice(["a", "b", "s"])
                setattr(node, state, dice.choice([2, 3]))
            store.ask(f"Put{many}", getattr(service, f"Put{many}Request")(**{field: nodes}))
        links = service.PutAttributionsAndAssociationsRequest()
        links.attributions.add(context_id=dice.randint(1, NODES // 3), artifact_id=dice.randint(1, NODES))
        store.ask("PutAttributionsAndAssociations", links)
        found: Any = store.ask("GetContexts", service.GetContextsRequest())
        again = dice.choice(list(found.contexts))
        again.properties["s"].string_value = dice.choice(["a", "b", "A"])
        store.ask("PutContexts", service.PutContextsRequest(contexts=[again]))
    return store
