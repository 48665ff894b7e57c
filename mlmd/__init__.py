"""What `import ml_metadata as mlmd` offers, over an append-only log: MetadataStore, its options, its errors and messages.

Each name is imported when it is first used: `evlog --help` lives below this package too, and should not wait for protobuf.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlmd import errors as errors
    from mlmd import proto as proto
    from mlmd.store import ListOptions, MetadataStore, OrderByField, downgrade_schema

__version__: Final = "0.1.0"
__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]

_MODULES: Final = ("errors", "proto")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"mlmd.{name}")  # Which also makes it an attribute: this is asked once.
    if name in __all__:
        value = globals()[name] = getattr(import_module("mlmd.store"), name)
        return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
