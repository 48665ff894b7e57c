"""One run as an RO-Crate: a folder that says in JSON-LD what ran, on what, with which result, by the profile Process Run Crate 0.5.

| here              | in the crate                                                                                        |
| run               | CreateAction, which the root mentions; its state as actionStatus, a traceback as error               |
| type of the run   | SoftwareApplication, the action's instrument                                                        |
| input, output     | data entity, object or result of the action; its id is the URI, or a URN where that is no address     |
| p.KEY, m.KEY      | PropertyValue, object or result; t.KEY: keywords                                                    |
| who put the run   | Person, the agent                                                                                   |
| log, offset, root | terms urn:evlog:terms:log, offset and root of the root dataset                                       |

No file of the run is copied: the store has their names alone. Source: https://w3id.org/ro/wfrun/process/0.5, on RO-Crate 1.1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from mlmd.convert import properties_of, state_of, text_of
from mlmd.exchange.citation import TERMS
from mlmd.exchange.selection import time_text
from mlmd.kinds import ARTIFACT, ENDED, EVENT_TYPES, EXECUTION
from mlmd.names import name_of
from mlmd.plain import plain
from mlmd.recorder import words
from projections.errors import MissingLibraryError

try:
    from rocrate.model import ContextEntity, DataEntity
    from rocrate.rocrate import ROCrate
except ImportError:
    raise MissingLibraryError("rocrate", extra="rocrate") from None

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlmd.exchange.selection import Selection
    from mlmd.kinds import Kind, Node
    from mlmd.proto import metadata_store_pb2 as pb

METADATA: Final = "ro-crate-metadata.json"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
_SCHEMA: Final = "http://schema.org/"
_STATUSES: Final = {
    "NEW": "PotentialActionStatus",
    "RUNNING": "ActiveActionStatus",
    "FAILED": "FailedActionStatus",
    "CANCELED": "FailedActionStatus",
    "COMPLETE": "CompletedActionStatus",
    "CACHED": "CompletedActionStatus",
}
_NO_ADDRESSES: Final = frozenset(
    {"javascript", "data", "vbscript", "blob", "about"}
)  # Which a viewer would follow, and run.
_PENDING: Final = "PENDING_OUTPUT"
# In an id as they are: what RFC 3986 has in a URI, the mark of an escape included.
_URI: Final = "%:/?#[]@!$&'()*+,;=-._~"


def metadata(found: Selection, execution_id: int, files: Mapping[str, str]) -> dict[str, Any]:
    """Return what the metadata file of a crate of a run holds. files: those that lie beside it, with what each is."""
    return _Crate(found, found.executions[execution_id]).run(files)


class _Crate:
    """One crate in the making."""

    def __init__(self, found: Selection, run: pb.Execution) -> None:
        self._found, self._node = found, run
        self._held = properties_of(run.custom_properties)
        self._crate: Any = ROCrate(version="1.1")
        self._artifacts: dict[int, Any] = {}  # Entities, by id: one may be read and made.
        self._taken: set[str] = set()  # Ids: an address may be that of several artifacts.

    def run(self, files: Mapping[str, str]) -> dict[str, Any]:
        """Return the metadata."""
        node, crate, cited = self._node, self._crate, self._found.citation
        put = self._found.puts[EXECUTION.name, node.id]
        name = f"{node.type} {text_of(node, 'name') or name_of((EXECUTION.name, node.id))}"
        crate.name = name
        crate.description = (
            f"The run {name_of((EXECUTION.name, node.id))} of the log evlog/{cited.log}, as of record #{cited.offset}."
        )
        crate.datePublished = put[-1].time.isoformat(
            timespec="milliseconds"
        )  # Not now: the same run is the same crate.
        profile = self._entity(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
        root = crate.root_dataset
        root["conformsTo"] = profile
        root["identifier"] = self._urn(EXECUTION, node.id)
        crate.metadata.extra_terms.update({field: f"{TERMS}{field}" for field in ("log", "offset", "root", "record")})
        for field in ("log", "offset", "root"):
            root[field] = getattr(cited, field)
        if tags := [f"{key}={value}" for key, value in self._named(words.TAG)]:
            root["keywords"] = tags
        for file, about in files.items():
            crate.add(DataEntity(crate, file, properties={"@type": "File", "name": about}))
        root["mentions"] = [self._action(name)]
        generated: dict[str, Any] = crate.metadata.generate()
        return generated

    def _action(self, name: str) -> Any:
        node, state = self._node, state_of(EXECUTION, self._node)
        put = self._found.puts[EXECUTION.name, node.id]
        said: dict[str, Any] = {
            "name": name,
            "startTime": time_text(node.create_time_since_epoch),
            "record": put[-1].offset,
        }
        ended = self._held.get(words.ENDED_MS)
        if state in ENDED:
            said["endTime"] = time_text(ended if isinstance(ended, int) else node.last_update_time_since_epoch)
        if state in _STATUSES:
            said["actionStatus"] = {"@id": f"{_SCHEMA}{_STATUSES[state]}"}
        if isinstance(error := self._held.get(words.ERROR), str):
            said["error"] = error
        if (why := self._held.get(words.TAINTED)) is not None:
            said["description"] = f"Tainted: {why}"
        action = self._entity(self._urn(EXECUTION, node.id), "CreateAction", **said)
        action["instrument"] = self._instrument()
        actors = list(dict.fromkeys(one.actor for one in put))
        action["agent"] = [self._entity(f"#actor-{quote(actor, safe='')}", "Person", name=actor) for actor in actors]
        action["object"] = [*self._data(outputs=False), *self._values(words.PARAMETER)]
        action["result"] = [*self._data(outputs=True), *self._values(words.METRIC)]
        return action

    def _instrument(self) -> Any:
        said: dict[str, Any] = {"name": self._node.type}
        for key, field in (
            (words.COMMIT, "softwareVersion"),
            (words.CODE, "identifier"),
            (words.COMMAND, "description"),
        ):
            if isinstance(value := self._held.get(key), str):
                said[field] = value
        return self._entity(f"#type-{quote(self._node.type, safe='')}", "SoftwareApplication", **said)

    # Data and values ------------------------------------------------------------------------------------------------

    def _data(self, *, outputs: bool) -> Iterable[Any]:
        """Yield the data that the run read or made, each once; what is still pending is not made."""
        for event in self._found.events:
            name = EVENT_TYPES[event.type]
            if event.execution_id == self._node.id and name.endswith("OUTPUT") == outputs and name != _PENDING:
                node = self._found.artifacts.get(event.artifact_id)
                if node is not None:
                    yield self._artifact(node)

    def _artifact(self, node: pb.Artifact) -> Any:
        if node.id in self._artifacts:
            return self._artifacts[node.id]
        urn = self._urn(ARTIFACT, node.id)
        held = properties_of(node.custom_properties)
        address = _address(node.uri)
        identifier = address if address is not None and address not in self._taken else urn
        self._taken.add(identifier)
        put = self._found.puts[ARTIFACT.name, node.id]
        said: dict[str, Any] = {
            "@type": "Dataset" if node.uri.endswith("/") else "File",
            "name": text_of(node, "name") or name_of((ARTIFACT.name, node.id)),
            "additionalType": node.type,
            "identifier": urn,
            "record": put[-1].offset,
        }
        for key, field in ((words.VERSION, "version"), (words.BYTES, "contentSize"), (words.DIGEST, "sha256")):
            if key in held:
                said[field] = str(plain(held[key])).removeprefix("sha256:")
        if identifier == urn and node.uri:
            said["description"] = f"At {node.uri}"
        if (why := held.get(words.TAINTED)) is not None:
            said["creativeWorkStatus"] = f"Tainted: {why}"
        entity = self._artifacts[node.id] = self._crate.add(DataEntity(self._crate, identifier, properties=said))
        if values := [
            self._value(f"#{ARTIFACT.name}-{node.id}-{quote(key, safe='')}", key, value) for key, value in _own(node)
        ]:
            entity["additionalProperty"] = values
        return entity

    def _values(self, prefix: str) -> list[Any]:
        return [self._value(f"#{prefix}{quote(key, safe='')}", key, value) for key, value in self._named(prefix)]

    def _value(self, identifier: str, name: str, value: Any) -> Any:
        told = plain(value)
        if isinstance(told, dict | list) or told is None:
            told = json.dumps(told, ensure_ascii=False, sort_keys=True)
        return self._entity(identifier, "PropertyValue", name=name, value=told)

    def _named(self, prefix: str) -> list[tuple[str, Any]]:
        return [
            (key.removeprefix(prefix), value) for key, value in sorted(self._held.items()) if key.startswith(prefix)
        ]

    def _entity(self, identifier: str, kind: str, /, **said: Any) -> Any:
        return self._crate.add(ContextEntity(self._crate, identifier, properties={"@type": kind, **said}))

    def _urn(self, kind: Kind, node_id: int) -> str:
        return f"{self._found.citation.namespace}{kind.name}/{node_id}"


def _own(node: Node) -> list[tuple[str, Any]]:
    """Return the properties that the user gave an artifact."""
    both = properties_of(node.properties) | properties_of(node.custom_properties)
    return [(key, value) for key, value in sorted(both.items()) if not key.startswith(words.OURS)]


def _address(uri: str) -> str | None:
    """Return a URI as an id, None for what would be taken for a path in the crate, or what no viewer should follow."""
    try:
        parts = urlsplit(uri.strip())
    except ValueError:
        return None
    if "://" not in uri or not parts.scheme or parts.scheme.lower() in _NO_ADDRESSES:
        return None
    return quote(uri.strip(), safe=_URI)
