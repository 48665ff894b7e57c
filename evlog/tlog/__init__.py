"""Evidence for outsiders: the log's tree as C2SP tiles, signed checkpoints of it, and proofs that need neither store nor network."""
