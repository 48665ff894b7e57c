"""What `import ml_metadata as mlmd` offers, over an append-only log: MetadataStore, its options, its errors and messages; and `sql`.

Names are imported when they are first used: the command lives in this package too, and must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlmd import errors as errors
    from mlmd import proto as proto
    from mlmd.analytics import sql as sql
    from mlmd.store import ListOptions, MetadataStore, OrderByField, downgrade_schema

__version__: Final = "0.1.0"
__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name in __all__:
        found = getattr(import_module("mlmd.store"), name)
    elif name in ("errors", "proto"):
        found = import_module(f"mlmd.{name}")
    elif name == "sql":
        found = import_module("mlmd.analytics").sql
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted([*globals(), *__all__, "errors", "proto", "sql"])
