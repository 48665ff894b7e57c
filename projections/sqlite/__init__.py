"""The serving view: the state of the store at one offset, in SQLite."""
