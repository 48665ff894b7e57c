"""What `mlmd.metadata_store.metadata_store` holds."""

from __future__ import annotations

from mlmd.metadata_store.metadata_store import *
