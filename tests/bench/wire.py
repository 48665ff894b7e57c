"""What a call over gRPC costs: a store's server beside a bare one that returns the same bytes, each in a process of its own.

    python wire.py serve KIND FOLDER      prints its port; KIND is "store" or "bare"; ends with its standard input
    python wire.py get PORT CALLS         one client, one call after the other: get by id
    python wire.py put PORT CALLS         the same with puts of one artifact

The bare server has the same threads and settings, reads nothing and writes nothing. Clients print one line of JSON, {"wall_s": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from mlmd.engine import Engine
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.serving.server import WORKERS, Options, Server
from mlmd.serving.service import NAME

ARTIFACTS = 1_000
WARM_UP = 50


def an_artifact(name: str, type_id: int = 10) -> pb.Artifact:
    """Return an artifact with a few properties, as the other measures put them."""
    return pb.Artifact(
        type_id=type_id,
        name=name,
        uri=f"s3://bucket/models/{name}/saved_model",
        state="LIVE",  # type: ignore[arg-type]
        properties={
            "layers": pb.Value(int_value=7),
            "accuracy": pb.Value(double_value=0.5),
            "owner": pb.Value(string_value="team-1"),
        },
    )


def serve(kind: str, place: Path) -> None:
    """Serve until standard input ends."""
    engine = Engine(open_folder(place, create=True))
    if engine.log.end == 1:
        properties = {"layers": pb.INT, "accuracy": pb.DOUBLE, "owner": pb.STRING}
        made = pb.ArtifactType(name="Model", properties=properties)
        engine.call(METHODS["PutArtifactType"], service.PutArtifactTypeRequest(artifact_type=made))
        artifacts = [an_artifact(f"first-{number}") for number in range(ARTIFACTS)]
        engine.call(METHODS["PutArtifacts"], service.PutArtifactsRequest(artifacts=artifacts))
    if kind == "store":
        server = Server(engine, Options(port=0))
        server.start()
        print(server.port, flush=True)
        sys.stdin.read()
        server.stop(0)
    else:
        get = METHODS["GetArtifactsByID"]
        got = engine.answer(get, service.GetArtifactsByIDRequest(artifact_ids=[1]))
        put = service.PutArtifactsResponse(artifact_ids=[1]).SerializeToString()
        answers = {"GetArtifactsByID": got, "PutArtifacts": put}
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(lambda _request, _context, answer=answer: answer)
            for name, answer in answers.items()
        }
        bare = grpc.server(ThreadPoolExecutor(WORKERS))
        bare.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
        print(bare.add_insecure_port("127.0.0.1:0"), flush=True)
        bare.start()
        sys.stdin.read()
        bare.stop(0).wait()
    engine.close()


def client(what: str, port: int, calls: int) -> None:
    """Make calls and print how long they took."""
    name = {"get": "GetArtifactsByID", "put": "PutArtifacts"}[what]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            f"/{NAME}/{name}"
        )  # Bytes either way: the client's own work is not what is measured.
        start = time.time_ns()
        if what == "get":
            wanted = [[1 + number * 7 % ARTIFACTS] for number in range(WARM_UP + calls)]
            requests = [service.GetArtifactsByIDRequest(artifact_ids=ids).SerializeToString() for ids in wanted]
        else:
            names = (f"{start}-{number}" for number in range(WARM_UP + calls))
            requests = [
                service.PutArtifactsRequest(artifacts=[an_artifact(name)]).SerializeToString() for name in names
            ]
        for request in requests[:WARM_UP]:
            call(request)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        wall = time.perf_counter()
        for request in requests[WARM_UP:]:
            call(request)
        print(json.dumps({"wall_s": time.perf_counter() - wall}))


def main() -> None:
    """Do what the command line says."""
    what, *rest = sys.argv[1:]
    if what == "serve":
        serve(rest[0], Path(rest[1]))
    else:
        client(what, int(rest[0]), int(rest[1]))


if __name__ == "__main__":
    main()
