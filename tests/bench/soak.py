"""`make soak`: many clients at once on one server, for long. No error, no lost write, memory flat.

    python tests/bench/soak.py [--seconds 60] [--clients 32]

Half of the clients put artifacts, executions with their events, and types; the other half get by id and by name, filter, page and walk
the lineage. Each is a thread of one of four processes, on a connection of its own. Afterwards the server is told to end, the store is
opened and verified, and everything that was acknowledged must be there. Exits with 1, and says why, if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "kit"), str(HERE.parents[1])]

from serving import Process  # noqa: E402 - found by the line above

import mlmd  # noqa: E402
from mlmd.engine import Engine  # noqa: E402
from mlmd.methods import METHODS  # noqa: E402
from mlmd.opening import LOG_FOLDER, open_folder  # noqa: E402
from mlmd.proto import metadata_store_pb2 as pb  # noqa: E402
from mlmd.proto import metadata_store_service_pb2 as service  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROCESSES = 4
SETTLED = 0.5  # Share of the time after which memory may no longer grow.
GROWTH_MAX = 1.1
OWNERS = 10
BULK = 1_000
FIRST_PUTS = 200_000


# Clients -------------------------------------------------------------------------------------------------------------


class Client:
    """One thread of a client process: puts or asks until the time is over."""

    def __init__(self, port: int, number: int, until: float) -> None:
        config = pb.MetadataStoreClientConfig(host="localhost", port=port)
        config.channel_arguments.max_receive_message_length = 100_000_000
        self.store = mlmd.MetadataStore(config)
        self.number, self.until = number, until
        self.calls, self.errors, self.put = 0, [], {}

    def run(self) -> None:
        """Call until the time is over; a call that fails ends the client."""
        step = self._put if self.number % 2 else self._ask
        self.artifact_type = self.store.get_artifact_type("Model").id
        self.execution_type = self.store.get_execution_type("Trainer").id
        while not self.calls or time.time() < self.until:  # A slow machine may have no time left for the first.
            try:
                step()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
                self.errors.append(repr(error)[:300])
                return
            self.calls += 1
        self.store.close()

    def _put(self) -> None:
        name = f"{self.number}-{self.calls}"
        artifact = pb.Artifact(type_id=self.artifact_type, name=name)
        artifact.custom_properties["owner"].string_value = f"team-{self.calls % OWNERS}"
        if self.calls % 4:
            [artifact_id] = self.store.put_artifacts([artifact])
        else:
            execution = pb.Execution(type_id=self.execution_type, name=name)
            event = pb.Event(type=pb.Event.OUTPUT)
            _, [artifact_id], _ = self.store.put_execution(execution, [(artifact, event)], [])
        self.put[artifact_id] = name

    def _ask(self) -> None:
        ways: list[Callable[[], Any]] = [
            lambda: self.store.get_artifacts_by_id([1 + self.calls % 1_000]),
            lambda: self.store.get_artifact_by_type_and_name("Model", f"1-{self.calls}"),
            lambda: self.store.get_artifacts(
                self._options(f"custom_properties.owner.string_value = 'team-{self.calls % OWNERS}'")
            ),
            lambda: self.store.get_artifacts(
                mlmd.ListOptions(limit=50, order_by=mlmd.OrderByField.UPDATE_TIME, is_asc=False)
            ),
            self._walk,
        ]
        ways[self.calls % len(ways)]()

    def _options(self, text: str) -> mlmd.ListOptions:
        return mlmd.ListOptions(limit=50, filter_query=text)

    def _walk(self) -> None:
        options = pb.LineageSubgraphQueryOptions(max_num_hops=4)
        options.starting_artifacts.filter_query = "id < 5"
        if self.store.get_artifacts_by_id([1]):
            self.store.get_lineage_subgraph(options)


def client_process(port: int, numbers: Sequence[int], until: float) -> None:
    """Run some clients and print what became of them."""
    clients = [Client(port, number, until) for number in numbers]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put = {artifact_id: name for client in clients for artifact_id, name in client.put.items()}
    errors = [error for client in clients for error in client.errors]
    print(json.dumps({"calls": sum(client.calls for client in clients), "errors": errors, "put": put}))


# The run -------------------------------------------------------------------------------------------------------------


def memory_mb(pid: int) -> float:
    """Return the memory of a process that is in use."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def prepare(place: Path) -> None:
    """Make a store with the types that the clients use, and nothing else."""
    engine = Engine(open_folder(place, create=True))
    made = {"artifact_type": pb.ArtifactType(name="Model"), "execution_type": pb.ExecutionType(name="Trainer")}
    for field, message in made.items():
        method = METHODS["Put" + "".join(word.capitalize() for word in field.split("_"))]
        engine.call(method, method.request(**{field: message}))
    engine.close()


def fill_caches(port: int, puts: int) -> None:
    """Put as much as the view's page cache holds: it is to be full, and stay so, when memory is looked at."""
    store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=port))
    type_id = store.get_artifact_type("Model").id
    for first in range(0, puts, BULK):
        store.put_artifacts([pb.Artifact(type_id=type_id, name=f"first-{first + number}") for number in range(BULK)])
    store.close()


def soak(
    place: Path, clients: int, seconds: float, first_puts: int = FIRST_PUTS, tell: Callable[[str], object] = print
) -> list[str]:
    """Run; return what is wrong. first_puts: before the clients begin; memory is judged from FIRST_PUTS on."""
    prepare(place)
    server = Process(place)
    fill_caches(server.port, first_puts)
    until = time.time() + seconds
    commands = [
        [
            sys.executable,
            __file__,
            "--client",
            str(server.port),
            str(until),
            json.dumps(list(range(first, clients, PROCESSES))),
        ]
        for first in range(PROCESSES)
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    settled, highest = 0.0, 0.0
    while time.time() < until:
        time.sleep(min(1.0, seconds / 10))
        if until - time.time() < seconds * (1 - SETTLED):
            highest = max(highest, memory_mb(server.process.pid))
            settled = settled or highest
    found = [json.loads(process.communicate()[0]) for process in running]
    code, said = server.end()
    wrong = [error for one in found for error in one["errors"]]
    put = {int(artifact_id): name for one in found for artifact_id, name in one["put"].items()}
    calls = sum(one["calls"] for one in found)
    tell(
        f"{calls:,} calls, {len(put):,} of them puts, {calls / seconds:,.0f}/s; {settled:.0f} MB, at most {highest:.0f} MB"
    )
    if code:
        wrong.append(f"the server ended with {code}: {said}")
    if first_puts >= FIRST_PUTS and highest > settled * GROWTH_MAX:
        wrong.append(f"memory grew from {settled:.0f} to {highest:.0f} MB")
    if not put or sum(len(one["put"]) for one in found) != len(put):
        wrong.append("nothing was put, or an id was given twice")
    return wrong + lost(place, put)


def lost(place: Path, put: dict[int, str]) -> list[str]:
    """Return what was acknowledged and is not in the store, and what `evlog verify` says if it is not sound."""
    engine = Engine(open_folder(place, writable=False))
    request = service.GetArtifactsByIDRequest(artifact_ids=sorted(put))
    there = {node.id: node.name for node in engine.call(METHODS["GetArtifactsByID"], request).artifacts}
    engine.close()
    wrong = [
        f"artifact {artifact_id} {name} was acknowledged and is not there"
        for artifact_id, name in put.items()
        if there.get(artifact_id) != name
    ]
    verified = subprocess.run(
        [sys.executable, "-m", "mlmd.cli", "-s", place, "verify", "--json"], capture_output=True, text=True, check=False
    )
    if verified.returncode:
        wrong.append(f"{place / LOG_FOLDER}: {verified.stdout}{verified.stderr}")
    return wrong


def main() -> int:
    """Soak, and return the exit status."""
    if sys.argv[1:2] == ["--client"]:
        port, until, numbers = sys.argv[2:]
        client_process(int(port), json.loads(numbers), float(until))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    given = parser.parse_args()
    scratch = HERE.parents[1] / ".bench"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        wrong = soak(Path(folder) / "store", given.clients, given.seconds)
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    print("sound" if not wrong else f"{len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
