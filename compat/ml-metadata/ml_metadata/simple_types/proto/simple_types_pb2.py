"""What `mlmd.simple_types.proto.simple_types_pb2` holds."""

from __future__ import annotations

from mlmd.simple_types.proto.simple_types_pb2 import *
