"""What an MLflow store's nodes are called: ordinary nodes of ML Metadata, beside the names that `recorder.words` has for runs.

| node              | type                | found by                          | custom properties                                        |
| experiment        | `mlflow.Experiment` | name; `mlflow.Experiment/0` for 0 | stage, artifact_location or _root, updated_ms, `t.KEY`   |
| run               | `mlflow.Run`        | external id: the run's id         | experiment, stage, user, start_ms, artifact_uri, `p.KEY` |
|                   |                     |                                   | `m.KEY` with step.KEY and time.KEY, `t.KEY`              |
| dataset           | `Dataset`           | external id: Dataset/NAME/DIGEST  | name, digest, source, source_type, schema, profile       |
| logged model      | `Model`             | external id: the model's id       | experiment, stage, status, source_run, ..., `p.`, `t.`   |

Where no prefix stands, it is `mlflow.`; a dataset's name and a model's are `evlog.name`. A run belongs to its experiment's context. A dataset is
its input, a logged model its input or output. The path of an input's event is the dataset's context, then any other tags, key and value in
turn; that of an output's is the step.
"""

from __future__ import annotations

from typing import Final

EXPERIMENT_TYPE: Final = "mlflow.Experiment"
RUN_TYPE: Final = "mlflow.Run"
DATASET_TYPE: Final = "Dataset"
MODEL_TYPE: Final = "Model"
DEFAULT_ID: Final = "0"

STAGE: Final = "mlflow.stage"  # MLflow's lifecycle stage: active or deleted.
UPDATED_MS: Final = "mlflow.updated_ms"  # What MLflow takes for an update, which the setting of a tag is not.
ARTIFACT_LOCATION: Final = "mlflow.artifact_location"  # As given; or else
ARTIFACT_ROOT: Final = "mlflow.artifact_root"  # the folder in which that of an experiment bears its id.

EXPERIMENT: Final = "mlflow.experiment"  # Its id.
USER: Final = "mlflow.user"
START_MS: Final = "mlflow.start_ms"
DELETED_MS: Final = "mlflow.deleted_ms"
ARTIFACT_URI: Final = "mlflow.artifact_uri"
RUN_NAME: Final = "mlflow.run_name"  # Where the tag that has it was deleted.
STEP: Final = "mlflow.step."  # Of the metric's last value; not there for 0.
TIME_MS: Final = "mlflow.time."

DATASET_DIGEST: Final = "mlflow.digest"  # Eight digits or so of MLflow's own, no SHA-256.
SOURCE: Final = "mlflow.source"
SOURCE_TYPE: Final = "mlflow.source_type"
SCHEMA: Final = "mlflow.schema"
PROFILE: Final = "mlflow.profile"

STATUS: Final = "mlflow.status"
SOURCE_RUN: Final = "mlflow.source_run"
KIND: Final = "mlflow.model_type"
METRICS: Final = "mlflow.metrics"  # Struct: {"points": [[metric, value, time_ms, step, run, dataset, digest], ...]}
CREATED_MS: Final = "mlflow.created_ms"
