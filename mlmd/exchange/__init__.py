"""Exchange with the rest of the world: databases of ML Metadata, OpenLineage, W3C PROV, RO-Crate. See docs/exchange.md."""
