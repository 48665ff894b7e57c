"""The log read again, for a purpose: a view made anew, a view of a moment, the proof that both are right, and what happened when."""

from replay.differences import Diff, diff
from replay.things import Difference, FieldChange, Provenance, Thing
from replay.versions import Blame, blame, history, was_there

__all__ = ["Blame", "Diff", "Difference", "FieldChange", "Provenance", "Thing", "blame", "diff", "history", "was_there"]
