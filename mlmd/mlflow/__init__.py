"""MLflow's tracking store on an evlog store: `mlflow.set_tracking_uri("evlog://DIR")`. MLflow itself is imported here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlmd.mlflow.store import TrackingStore


def tracking_store(store_uri: str | None = None, artifact_uri: str | None = None) -> TrackingStore:
    """Return the store of a URI: what MLflow's entry point names. MLflow loads it while it is imported itself, so all else waits."""
    from mlmd.mlflow.store import TrackingStore  # noqa: PLC0415 - see above

    return TrackingStore(store_uri, artifact_uri)
