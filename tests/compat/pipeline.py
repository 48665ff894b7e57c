"""A TFX pipeline of two Python functions, run once by TFX's own LocalDagRunner; its metadata goes where the command line says.

`python pipeline.py FOLDER STEPS --store PATH` or `--server HOST:PORT`. This file runs where ml-pipelines-sdk is installed and
says nothing of ours: it is what a user of TFX wrote for ML Metadata. It prints a line `ran NAME` for each function that ran.
"""

import argparse
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types.standard_artifacts import Examples, Model

from ml_metadata.proto import metadata_store_pb2


@component
def Generate(examples: OutputArtifact[Examples], rows: Parameter[int]):  # noqa: N802 - a component is named like a class
    """Write the numbers below `rows`."""
    folder = Path(examples.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").write_text("".join(f"{row}\n" for row in range(rows)))
    print("ran Generate", flush=True)


@component
def Train(  # noqa: N802 - as above
    examples: InputArtifact[Examples], model: OutputArtifact[Model], steps: Parameter[int]
):
    """Write what the model is made of: how many rows, how many steps."""
    rows = (Path(examples.uri) / "data").read_text().splitlines()
    folder = Path(model.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_text(f"{len(rows)} rows, {steps} steps")
    model.set_int_custom_property("steps", steps)
    print("ran Train", flush=True)


def main() -> None:
    """Run the pipeline once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("--store")
    parser.add_argument("--server")
    options = parser.parse_args()
    if options.server:
        host, _, port = options.server.rpartition(":")
        config = metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port))
    else:
        config = metadata.sqlite_metadata_connection_config(options.store)
    generate = Generate(rows=10)
    train = Train(examples=generate.outputs["examples"], steps=options.steps)
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="taxi",
            pipeline_root=str(options.folder),
            components=[generate, train],
            enable_cache=True,
            metadata_connection_config=config,
        )
    )


if __name__ == "__main__":
    main()
