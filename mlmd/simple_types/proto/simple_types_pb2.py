"""SimpleTypes, a bundle of types: what protoc would generate for simple_types.proto.

The names are filled in when this module is imported; the type stub beside it lists and explains them.
"""

from __future__ import annotations

from mlmd import wire

wire.fill(globals(), wire.FILES["simple_types"])
