"""The store of `mlmd.metadata_store`."""

from __future__ import annotations

from ml_metadata.metadata_store import metadata_store as metadata_store
from mlmd.metadata_store import *
