"""What `mlmd.proto.metadata_store_service_pb2_grpc` holds."""

from __future__ import annotations

from mlmd.proto.metadata_store_service_pb2_grpc import *
