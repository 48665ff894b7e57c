"""Whether a node may be used: not tainted, and its content not on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlmd.kinds import ARTIFACT
from mlmd.recorder import words

if TYPE_CHECKING:
    from mlmd.kinds import Node

GOING: Final = ("MARKED_FOR_DELETION", "DELETED", "ABANDONED")  # States of an artifact that nobody should begin with.
# The same in the short filter language.
NOT_TAINTED: Final = "NOT tainted"
NOT_GOING: Final = f"state NOT IN ({', '.join(GOING)})"


def is_tainted(node: Node) -> bool:
    """Tell whether an artifact or run is marked as one that is not to be used."""
    return words.TAINTED in node.custom_properties


def usable(artifact: Node) -> bool:
    """Tell whether an artifact may be used: it is neither tainted nor gone, nor soon to be."""
    return not is_tainted(artifact) and ARTIFACT.states[artifact.state] not in GOING


def why_tainted(node: Node) -> str:
    """Return why it is marked, "" where it is not."""
    return str(node.custom_properties[words.TAINTED].string_value) if is_tainted(node) else ""
