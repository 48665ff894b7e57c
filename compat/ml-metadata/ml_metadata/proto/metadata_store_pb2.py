"""What `mlmd.proto.metadata_store_pb2` holds."""

from __future__ import annotations

from mlmd.proto.metadata_store_pb2 import *
