"""Type definitions bundled in one message, SimpleTypes."""
