"""What `import ml_metadata as mlmd` offers, over an append-only log: MetadataStore, its options, its errors and messages; and `sql`.

`open` is for people: runs recorded in a few lines; `In`, `Out` and `this_run` are for steps. `check` tells
what a proof of such a store proves.

Names are imported when they are first used: the command lives in this package too, and must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlmd import errors as errors
    from mlmd import metadata_store as metadata_store
    from mlmd import proto as proto
    from mlmd.analytics import sql as sql
    from mlmd.proofs import check as check
    from mlmd.recorder.steps import In as In
    from mlmd.recorder.steps import Out as Out
    from mlmd.recorder.steps import this_run as this_run
    from mlmd.recorder.store import open_store as open  # noqa: A004, F401 - mlmd.open, as io.open
    from mlmd.store import ListOptions, MetadataStore, OrderByField, downgrade_schema

__version__: Final = "0.1.0"
__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]
_MODULES: Final = ("errors", "metadata_store", "proto")  # What `import ml_metadata` brings with it.
_OURS: Final = {
    "sql": ("analytics", "sql"),
    "open": ("recorder.store", "open_store"),
    "check": ("proofs", "check"),
    "In": ("recorder.steps", "In"),
    "Out": ("recorder.steps", "Out"),
    "this_run": ("recorder.steps", "this_run"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name in __all__:
        found = getattr(import_module("mlmd.store"), name)
    elif name in _MODULES:
        found = import_module(f"mlmd.{name}")
    elif name in _OURS:
        module, attribute = _OURS[name]
        found = getattr(import_module(f"mlmd.{module}"), attribute)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__, *_MODULES, *_OURS})
