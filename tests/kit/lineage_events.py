"""Events of OpenLineage, as a scheduler sends them: plain dicts of what the standard says."""

from __future__ import annotations

import json
from typing import Any

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "https://example.org/scheduler"
RUN = "0193b9a1-5f2e-7c3d-8a4b-000000000001"
DAG = "0193b9a1-5f2e-7c3d-8a4b-0000000000aa"


def facet(**fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": SCHEMA, **fields}


def dataset(namespace: str, name: str, version: str | None = None, **facets: Any) -> dict[str, Any]:
    if version is not None:
        facets["version"] = facet(datasetVersion=version)
    return {"namespace": namespace, "name": name, "facets": facets}


def event(state: str | None, minute: int, run_id: str = RUN, **fields: Any) -> dict[str, Any]:
    """An event of one run of the job etl.orders, in that minute of an hour."""
    run = fields.pop("run", {})
    job = fields.pop("job", {})
    return {
        "eventType": state,
        "eventTime": f"2026-03-01T09:{minute:02}:00.000Z",
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": run_id, "facets": run},
        "job": {"namespace": "etl", "name": "orders", "facets": job},
        "inputs": [],
        "outputs": [],
        **fields,
    }


def a_run() -> list[dict[str, Any]]:
    """The three events of a run that reads a table and a file, and makes the next version of a table."""
    job = {
        "jobType": facet(processingType="BATCH", integration="SPARK", jobType="SQL_JOB"),
        "sql": facet(query="select 1"),
    }
    parent = facet(run={"runId": DAG}, job={"namespace": "etl", "name": "nightly"})
    orders = dataset("postgres://db:5432", "shop.public.orders", schema=facet(fields=[{"name": "id", "type": "INT"}]))
    rates = dataset("file", "/data/rates.csv", datasetType=facet(datasetType="FILE"))
    made = dataset("s3://lake", "daily/orders", "17")
    made["outputFacets"] = {"outputStatistics": facet(rowCount=2**60 + 1, size=1_000)}
    return [
        event("START", 0, run={"parent": parent}, job=job, inputs=[orders, rates]),
        event("RUNNING", 1, run={"progress": facet(percent=50.5)}, job=job),
        event(
            "COMPLETE",
            2,
            run={"tags": facet(tags=[{"key": "team", "value": "shop"}])},
            job=job,
            inputs=[orders],
            outputs=[made],
        ),
    ]


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)
