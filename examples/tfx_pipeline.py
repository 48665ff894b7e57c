"""A TFX pipeline whose metadata goes into an evlog store. Nothing here says so: it is what a user of TFX writes for ML Metadata.

    pip install ml-pipelines-sdk 'evlog-mlmd' ./compat/ml-metadata
    python tfx_pipeline.py out 5 --store my-store      # `ran Generate`, `ran Train`
    python tfx_pipeline.py out 5 --store my-store      # nothing: both are found in the cache
    python tfx_pipeline.py out 6 --store my-store      # `ran Train`
    evlog -s my-store executions                       # three runs of the pipeline, COMPLETE and CACHED
    evlog -s my-store lineage art:3                    # what the last model was made from
    evlog -s my-store diff 1h                          # what the runs changed

`--server HOST:PORT` instead of `--store` sends it to `evlog serve`. TFX needs Python 3.12 or 3.13 beside us: docs/migrating.md.
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
        config = metadata.sqlite_metadata_connection_config(str(Path(options.store).absolute()))  # TFX makes its folder
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
