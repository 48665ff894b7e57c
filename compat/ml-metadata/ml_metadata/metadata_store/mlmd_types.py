"""The system types of `mlmd.metadata_store.mlmd_types`."""

from __future__ import annotations

from mlmd.metadata_store.mlmd_types import *
