"""MLflow's own SQLite store and ours, asked the same: the same answer, or the same refusal.

Made alike: what is random (ids of runs and models, names) comes from one source for both, call by call. Left out of the comparison: times
that a store sets by itself. Ids of experiments are numbered in the order in which they were made.
"""

from __future__ import annotations

import itertools
import random
import time
import uuid
from typing import TYPE_CHECKING, Any
from unittest import mock

from mlflow.entities import Dataset, DatasetInput, Experiment, LoggedModel, Metric, Run
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from mlmd.mlflow.store import TrackingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def plain(value: Any) -> Any:
    """Return an answer as plain values that are equal when MLflow's user sees no difference."""
    if isinstance(value, Run):
        return {
            "info": dict(value.info),
            "metrics": sorted(map(repr, map(plain, value.data._metric_objs))),
            "params": value.data.params,
            "tags": value.data.tags,
            "datasets": sorted(repr(plain(one)) for one in (value.inputs.dataset_inputs if value.inputs else [])),
            "models in": sorted(one.model_id for one in (value.inputs.model_inputs if value.inputs else None) or []),
            "models out": sorted(
                (one.model_id, one.step) for one in (value.outputs.model_outputs if value.outputs else None) or []
            ),
        }
    if isinstance(value, DatasetInput):
        return (plain(value.dataset), sorted((tag.key, tag.value) for tag in value.tags))
    if isinstance(value, Dataset):
        return (value.name, value.digest, value.source_type, value.source, value.schema, value.profile)
    if isinstance(value, Metric):
        return (value.key, repr(float(value.value)), value.timestamp, value.step, value.model_id, value.dataset_name)
    if isinstance(value, MetricWithRunId):
        return (value.run_id, value.key, repr(float(value.value)), value.timestamp, value.step)
    if isinstance(value, Experiment):
        return (value.experiment_id, value.name, value.lifecycle_stage, value.tags)
    if isinstance(value, LoggedModel):
        return {
            "id": value.model_id,
            "experiment": value.experiment_id,
            "name": value.name,
            "type": value.model_type,
            "run": value.source_run_id,
            "status": str(value.status),
            "tags": value.tags,
            "params": value.params,
            "metrics": sorted(map(repr, map(plain, value.metrics or []))),
        }
    if isinstance(value, PagedList):
        return ([plain(one) for one in value], value.token is not None)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return dict(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes | dict) else value


class Twins:
    """Two stores in a folder."""

    def __init__(self, folder: Path) -> None:
        self.theirs = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
        self.ours = TrackingStore(f"evlog://{folder}/store", str(folder / "artifacts"))
        self.experiments: list[tuple[str, str]] = [("0", "0")]
        self._calls = itertools.count(1)

    def both(self, ask: Callable[[Any, int], Any]) -> tuple[Any, Any]:
        """Return what both stores answer. ask: takes a store, and 0 for theirs and 1 for ours."""
        call = next(self._calls)
        answers = []
        for which, store in enumerate((self.theirs, self.ours)):
            ids = random.Random(call)
            random.seed(call)
            with mock.patch.object(uuid, "uuid4", lambda ids=ids: uuid.UUID(int=ids.getrandbits(128), version=4)):
                try:
                    answers.append(("answer", ask(store, which)))
                except MlflowException as error:
                    answers.append(("refusal", error.error_code, error.message))
                except (TypeError, ValueError, AttributeError) as error:
                    answers.append(("error", type(error).__name__))
        return answers[0], answers[1]

    def same(self, what: str, ask: Callable[[Any, int], Any]) -> Any:
        """Check that both answer the same; return our answer, None for a refusal."""
        theirs, ours = self.both(ask)
        if theirs[0] == "refusal" or ours[0] == "refusal":
            assert theirs[:2] == ours[:2], f"{what}: theirs {theirs}, ours {ours}"
            return None
        if theirs[0] == "error":
            assert ours[0] == "error", f"{what}: theirs {theirs}, ours {ours}"
            return None
        assert ours[0] == "answer", f"{what}: theirs {theirs}, ours {ours}"
        left, right = self._named(plain(theirs[1]), 0), self._named(plain(ours[1]), 1)
        assert left == right, f"{what}:\ntheirs {left}\nours   {right}"
        return ours[1]

    def experiment(self, name: str, **options: Any) -> int | None:
        """Make an experiment in both; return its number."""
        time.sleep(0.002)  # In this order, whoever looks at the clock.
        theirs, ours = self.both(lambda store, _: store.create_experiment(name, f"/files/{name}", **options))
        if theirs[0] == "refusal" or ours[0] == "refusal":
            assert theirs[:2] == ours[:2], (theirs, ours)
            return None
        self.experiments.append((theirs[1], ours[1]))
        return len(self.experiments) - 1

    def _named(self, value: Any, which: int) -> Any:
        """Return an answer with experiments by number."""
        if isinstance(value, dict):
            renamed = {key: self._named(one, which) for key, one in value.items()}
            for key in ("experiment_id", "experiment"):
                if key in renamed:
                    renamed[key] = self._number(renamed[key], which)
            return renamed
        if isinstance(value, tuple) and len(value) == 4 and value[2] in ("active", "deleted"):
            return (self._number(value[0], which), *value[1:])
        if isinstance(value, list | tuple):
            return type(value)(self._named(one, which) for one in value)
        return value

    def _number(self, experiment_id: str, which: int) -> int:
        return next((at for at, pair in enumerate(self.experiments) if pair[which] == experiment_id), -1)
