"""The training workflow of the ML Metadata guide, in nine steps, through the Python API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.store import MetadataStore


@dataclass
class Workflow:
    """The ids of what the workflow put."""

    data_type: int = 0
    model_type: int = 0
    trainer_type: int = 0
    experiment_type: int = 0
    data: int = 0
    run: int = 0
    model: int = 0
    experiment: int = 0


def record_workflow(store: MetadataStore, told: Callable[[int, str], None] = lambda _step, _text: None) -> Workflow:
    """Record the workflow; told: the number and the words of each step, after it."""
    ids = Workflow()
    data_type = pb.ArtifactType(name="DataSet", properties={"day": pb.INT, "split": pb.STRING})
    model_type = pb.ArtifactType(name="SavedModel", properties={"version": pb.INT, "name": pb.STRING})
    ids.data_type, ids.model_type = store.put_artifact_type(data_type), store.put_artifact_type(model_type)
    told(1, "register the artifact types DataSet and SavedModel")
    trainer_type = pb.ExecutionType(name="Trainer", properties={"state": pb.STRING})
    ids.trainer_type = store.put_execution_type(trainer_type)
    told(2, "register the execution type Trainer")
    data = pb.Artifact(type_id=ids.data_type, uri="path/to/data")
    data.properties["day"].int_value = 1
    data.properties["split"].string_value = "train"
    [ids.data] = store.put_artifacts([data])
    told(3, f"put the data set, art:{ids.data}")
    run = pb.Execution(type_id=ids.trainer_type)
    run.properties["state"].string_value = "RUNNING"
    [ids.run] = store.put_executions([run])
    told(4, f"begin the training, run:{ids.run}")
    store.put_events([pb.Event(artifact_id=ids.data, execution_id=ids.run, type=pb.Event.DECLARED_INPUT)])
    told(5, "say that the training reads the data set")
    model = pb.Artifact(type_id=ids.model_type, uri="path/to/model/file")
    model.properties["version"].int_value = 1
    model.properties["name"].string_value = "MNIST-v1"
    [ids.model] = store.put_artifacts([model])
    told(6, f"put the model, art:{ids.model}")
    store.put_events([pb.Event(artifact_id=ids.model, execution_id=ids.run, type=pb.Event.DECLARED_OUTPUT)])
    told(7, "say that the training made the model")
    run.id = ids.run
    run.properties["state"].string_value = "COMPLETED"
    store.put_executions([run])
    told(8, "mark the training as COMPLETED")
    experiment_type = pb.ContextType(name="Experiment", properties={"note": pb.STRING})
    ids.experiment_type = store.put_context_type(experiment_type)
    experiment = pb.Context(type_id=ids.experiment_type, name="exp1")
    experiment.properties["note"].string_value = "My first experiment."
    [ids.experiment] = store.put_contexts([experiment])
    store.put_attributions_and_associations(
        [pb.Attribution(artifact_id=ids.model, context_id=ids.experiment)],
        [pb.Association(execution_id=ids.run, context_id=ids.experiment)],
    )
    told(9, "group model and training under the experiment exp1")
    return ids


@dataclass
class Answers:
    """What the store knows of a model."""

    run: pb.Execution
    data: list[pb.Artifact]
    parameters: dict[str, str]
    experiments: list[pb.Context]
    also_made: list[pb.Artifact]


def ask(store: MetadataStore, model_id: int) -> Answers:
    """Ask what a model was made by, from what, with which parameters, and what else was made from that data."""
    made_by = [
        event for event in store.get_events_by_artifact_ids([model_id]) if event.type == pb.Event.DECLARED_OUTPUT
    ]
    [run] = store.get_executions_by_id([event.execution_id for event in made_by])
    read = [event for event in store.get_events_by_execution_ids([run.id]) if event.type == pb.Event.DECLARED_INPUT]
    data = store.get_artifacts_by_id([event.artifact_id for event in read])
    users = {event.execution_id for event in store.get_events_by_artifact_ids([one.id for one in data])}
    made = {
        event.artifact_id
        for event in store.get_events_by_execution_ids(sorted(users))
        if event.type == pb.Event.DECLARED_OUTPUT
    }
    parameters = {key: value.string_value for key, value in sorted(run.properties.items())}
    experiments = store.get_contexts_by_execution(run.id)
    return Answers(run, data, parameters, experiments, store.get_artifacts_by_id(sorted(made)))


# Asked of the analytics view: in words, and in SQL with the ids of the workflow to be filled in.
_STATES: Final = """\
select properties.state::varchar as state, r.time, r.actor
from executions e join records r on r.offset = e.valid_from_offset
where e.id = {run} order by r.offset"""
_BEFORE: Final = """\
select id, uri, properties.version::int as version
from artifacts_as_of((select min(valid_from_offset) from contexts))
where type = 'SavedModel'"""
SQL_QUESTIONS: Final = (
    (
        "Which data went into the model?",
        "select type, id, uri from lineage_upstream({model}) where kind = 'artifact' and hop > 0",
    ),
    ("When did the training go from state to state, and who said so?", _STATES),
    ("Which models were there before the experiment had a name?", _BEFORE),
)
