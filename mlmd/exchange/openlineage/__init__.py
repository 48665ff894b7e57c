"""Events of OpenLineage, in and out: files of them, the endpoint that Marquez has, and the store's own runs as events."""
