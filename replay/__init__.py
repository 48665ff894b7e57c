"""The log read again, for a purpose: a view made anew, a view of a moment, and the proof that both are right."""
