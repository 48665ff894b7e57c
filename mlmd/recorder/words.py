"""The names that the recorder gives to what it puts. Whatever it notes is an ordinary node, event or custom property of ML Metadata.

| of a run (an execution)  | custom property                                                                |
| `p.KEY`                  | a parameter: int, double, string, bool; list, dict and None as struct          |
| `m.KEY`                  | a metric's last value: double                                                  |
| `t.KEY`                  | a tag: string                                                                  |
| `evlog.points`           | struct: the points of this put, {metric: [[step, time_ms, value], ...]}        |
| `evlog.key`, `.code`     | what it is found by again, and its code: SHA-256 in hexadecimal                |
| `evlog.process`          | who runs it: host, boot, process and when that began                           |
| `evlog.command`,`.commit`| the command line; the commit of git at hand                                    |
| `evlog.error`            | the traceback of one that failed                                               |
| `evlog.ended_ms`         | int: when it ended                                                             |
| `evlog.reuses`           | int: the execution that a CACHED one stands for                                |

| of an artifact           | field or custom property                                                       |
| `name`                   | NAME:VERSION, so no two writers make the same version                          |
| `external_id`            | TYPE/NAME/DIGEST, or the URI for the digest: the same content is the same node |
| any other                | the user's own                                                                 |
| `evlog.name`, `.version` | string, int: the two halves of the name                                        |
| `evlog.digest`, `.bytes` | "sha256:HEX" and size of the content                                           |

`evlog.tainted` says of either why it is not to be used. An alias is a context of type `evlog.Alias`, NAME@ALIAS, a mark one of type
`evlog.Mark`: moved by being put again, so that their past is that of any node.
"""

from __future__ import annotations

from typing import Final

PARAMETER: Final = "p."
METRIC: Final = "m."
TAG: Final = "t."

OURS: Final = "evlog."
POINTS: Final = "evlog.points"
KEY: Final = "evlog.key"
CODE: Final = "evlog.code"
PROCESS: Final = "evlog.process"
COMMAND: Final = "evlog.command"
COMMIT: Final = "evlog.commit"
ERROR: Final = "evlog.error"
ENDED_MS: Final = "evlog.ended_ms"
REUSES: Final = "evlog.reuses"

NAME: Final = "evlog.name"
VERSION: Final = "evlog.version"
DIGEST: Final = "evlog.digest"
BYTES: Final = "evlog.bytes"

TAINTED: Final = "evlog.tainted"

ALIAS_TYPE: Final = "evlog.Alias"
ALIAS_ARTIFACT: Final = "artifact"  # Its declared property: the id of the artifact that it stands for.
LATEST: Final = "latest"
MARK_TYPE: Final = "evlog.Mark"
MARK_OFFSET: Final = "offset"  # Its declared property.
MARKED_MS: Final = (
    "evlog.marked_ms"  # When it was put, by the clock of who did: so that putting it again is a new version.
)
