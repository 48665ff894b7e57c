"""Requests and responses of all calls: what protoc would generate for metadata_store_service.proto.

The names are filled in when this module is imported; the type stub beside it lists and explains them.
"""

from __future__ import annotations

from mlmd import wire

wire.fill(globals(), wire.FILES["metadata_store_service"])
