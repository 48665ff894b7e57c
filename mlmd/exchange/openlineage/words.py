"""The names under which a store keeps what events of OpenLineage say. What came in goes out again under the same.

| of a run (an execution)      | custom property                                                                     |
| `openlineage.run`            | struct: the run's facets, by name                                                   |
| `openlineage.inputs`, `.outputs` | struct: of each dataset "NAMESPACE/NAME" the facets that this run said of it as such |
| `openlineage.started_ms`     | int: the time of its START                                                          |

| of a dataset (an artifact) or a job (a context) | |
| `openlineage.namespace`, `.name`                | string: what names it                            |
| `openlineage.version`                           | string: of a dataset that says it                |
| `openlineage.facets`                            | struct: its facets, by name                      |

`openlineage.latest` of each says which event was the newest that spoke of it: its time, and the hash of its text.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

PREFIX: Final = "openlineage."
RUN: Final = "openlineage.run"
INPUTS: Final = "openlineage.inputs"
OUTPUTS: Final = "openlineage.outputs"
STARTED_MS: Final = "openlineage.started_ms"
NAMESPACE: Final = "openlineage.namespace"
NAME: Final = "openlineage.name"
VERSION: Final = "openlineage.version"
FACETS: Final = "openlineage.facets"
LATEST: Final = "openlineage.latest"

RUN_TYPE: Final = "openlineage.Run"  # Of a run whose job does not say what it is.
DATASET_TYPE: Final = "Dataset"  # Of a dataset that does not.
JOB_TYPE: Final = "openlineage.Job"  # A context.
PARENT_TYPE: Final = "openlineage.ParentRun"  # A context of the runs that one run started.
RUN_ID: Final = "openlineage:run:"  # With the run's UUID the external id of an execution.


def external_id(what: str, *names: str) -> str:
    """Return what names a thing beside all others: names of any characters, joined so that no two sets of them are alike."""
    return f"openlineage:{what}:" + "/".join(quote(name, safe=" :@=+,;!$&'()*~?") for name in names)
