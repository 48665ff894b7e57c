"""Nodes, edges, types and configurations: what protoc would generate for metadata_store.proto.

The names are filled in when this module is imported; the type stub beside it lists and explains them.
"""

from __future__ import annotations

from mlmd import wire

wire.fill(globals(), wire.FILES["metadata_store"])
