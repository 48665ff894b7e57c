"""The messages of `mlmd.proto`; all of them are in `metadata_store_pb2`."""

from __future__ import annotations

from ml_metadata.proto import metadata_store_pb2
from mlmd.proto import (
    Artifact,
    ArtifactType,
    Association,
    Attribution,
    ConnectionConfig,
    Context,
    ContextType,
    Event,
    Execution,
    ExecutionType,
    FakeDatabaseConfig,
    MetadataStoreClientConfig,
    MySQLDatabaseConfig,
    ParentContext,
    SqliteMetadataSourceConfig,
)

__all__ = [
    "Artifact",
    "ArtifactType",
    "Association",
    "Attribution",
    "ConnectionConfig",
    "Context",
    "ContextType",
    "Event",
    "Execution",
    "ExecutionType",
    "FakeDatabaseConfig",
    "MetadataStoreClientConfig",
    "MySQLDatabaseConfig",
    "ParentContext",
    "SqliteMetadataSourceConfig",
    "metadata_store_pb2",
]
