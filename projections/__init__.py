"""Views: derived from the log, disposable, each with its own applied offset. Knows no protobuf and no ML Metadata face."""
