"""The log read again, for a purpose: a view made anew or kept up, one of a moment, the proof that both are right, what happened when."""

from replay.differences import Diff, diff
from replay.erasure import Erasure
from replay.follow import bring_up, follow
from replay.things import Difference, FieldChange, Provenance, Thing
from replay.versions import Blame, blame, history, was_there

__all__ = [
    "Blame",
    "Diff",
    "Difference",
    "Erasure",
    "FieldChange",
    "Provenance",
    "Thing",
    "blame",
    "bring_up",
    "diff",
    "follow",
    "history",
    "was_there",
]
