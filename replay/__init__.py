"""The log read again, for a purpose: a view made anew, a view of a moment, the proof that both are right, whatever follows it."""

from replay.follow import bring_up, follow

__all__ = ["bring_up", "follow"]
