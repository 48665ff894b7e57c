# Everything a newcomer needs: `make demo`, `make test`. PYTHON and VENV choose another interpreter and another place; EXTRA=test
# leaves out what checks and compiles.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRA ?= dev
DEMO ?= demo-store
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n auto --dist worksteal  # Neighbours stay together, so what a file makes once is mostly made by one worker.

# Tests start hundreds of processes. Where the environment forbids Python to keep what it compiles, each would compile all anew, and
# pytest every test: that is half of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help venv demo test slow oldest deep faults soak bench reference mlflow beside compat web web-check screenshots advisories lint type format wire \
  command golden build check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/run: pyproject.toml  # what it takes to run
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[analytics]'
	@touch $@

$(VENV)/dev: pyproject.toml  # what it takes to work on it
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRA)]'
	@touch $@ $(VENV)/run

# The published ml-metadata, in an environment of its own. Tests that compare with it say so and are skipped without it.
.reference/tried: tests/reference/environment.py | $(VENV)/dev
	-$(BIN)/python tests/reference/environment.py
	@mkdir -p .reference && touch $@

# MLflow, in an environment of its own: half a gigabyte, so `make test` does not fetch it. Tests of its plugin say so and are skipped without it.
.mlflow/tried: tests/mlflow/mlflow_environment.py pyproject.toml | $(VENV)/dev
	-$(BIN)/python tests/mlflow/mlflow_environment.py
	@mkdir -p .mlflow && touch $@

mlflow: .mlflow/tried  ## the tests of the MLflow plugin, in an environment that has MLflow
	$(PYTEST) -q tests/mlflow

venv: $(VENV)/dev  ## the virtual environment

# The scripts of the web UI, where Node is. What they build to is committed, so nobody else needs it; a test says whether it is the same.
NODE_MODULES := web/node_modules/.package-lock.json

$(NODE_MODULES): web/package-lock.json
	cd web && npm ci --no-progress
	@touch $@

web-check: $(NODE_MODULES)  ## types and tests of the scripts of the web UI
	cd web && npm run --silent check && npm test --silent

web: web-check  ## build them into mlmd/web/static
	cd web && npm run --silent build

screenshots: $(VENV)/dev $(NODE_MODULES)  ## write the pictures of docs/ui.md
	EVLOG_SCREENSHOTS=docs/ui $(PYTEST) -q tests/mlmd/web/browser/test_screenshots.py

# Asks PyPI's and npm's own lists; a mirror of their packages has none.
advisories: $(VENV)/dev  ## known weaknesses of what we depend on
	$(PYTHON) -m venv build/advisories && build/advisories/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/advisories/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') --skip-editable
	cd web && npm audit

demo: export EVLOG_OUTPUT := table
demo: $(VENV)/run  ## install, record three pipelines, rebuild the views; then a diff, a blame and three questions in SQL
	@rm -rf $(DEMO)
	$(BIN)/evlog demo $(DEMO)
	$(BIN)/evlog -s $(DEMO) diff '#99' '#101'  # What ana did when she found the leak.
	$(BIN)/evlog -s $(DEMO) blame taxi-model:4
	$(BIN)/evlog -s $(DEMO) sql "select hop, type, name from lineage_downstream((select id from artifacts where name = 'taxi:3' and \
	is_current)) where kind = 'artifact' and hop > 0"  # What was made from the bad data set.
	$(BIN)/evlog -s $(DEMO) sql "select m.name, r.time, r.actor, r.reason from contexts c join records r on r.offset = c.valid_from_offset \
	join artifacts m on m.is_current and m.id = c.properties.artifact where c.name = 'taxi-model@prod' order by r.offset limit 5"  # Which model was in production, and when.
	$(BIN)/evlog -s $(DEMO) sql "select name, custom_properties.acc::double as acc from artifacts_as_of(99) where type = 'Model' order by acc \
	desc limit 3"  # Which models were believed to be the best before the leak was found.

# What .ci/run leaves out on a second interpreter, it says in MARKS and TESTS.
MARKS ?= not slow
TESTS ?=

test: $(VENV)/dev .reference/tried  ## the tests of every day
	$(PYTEST) $(PARALLEL) -q -m '$(MARKS)' $(TESTS)

slow: $(VENV)/dev .reference/tried  ## those that take seconds each: browsers, SQL in children, snapshots, benchmarks in small
	$(PYTEST) $(PARALLEL) -q -m slow

# Reads snapshots in the long tests alone, because it is 450 MB; without it, or without Java, they say so and are skipped.
$(VENV)/spark: | $(VENV)/dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pyspark>=4'
	@touch $@

# Fuzzes the parsers in the long tests. It has wheels for Linux alone; without it those tests say so and are skipped.
$(VENV)/atheris: | $(VENV)/dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris 'atheris>=3'
	@touch $@

deep: $(VENV)/dev $(VENV)/spark $(VENV)/atheris .reference/tried .mlflow/tried  ## property and conformance tests, long
	HYPOTHESIS_PROFILE=deep $(PYTEST) $(PARALLEL) -q -m deep --timeout 7200

faults: $(VENV)/dev  ## crashes, kills, flips and truncations, in full; writes docs/faults.md
	EVLOG_FAULTS=full EVLOG_FAULTS_REPORT=docs/faults.md $(PYTEST) $(PARALLEL) -q -m faults --timeout 7200

soak: $(VENV)/dev  ## 32 clients on one server for a minute: no error, no lost write, memory flat
	$(BIN)/python tests/bench/soak.py

bench: $(VENV)/dev .reference/tried  ## speed, beside the reference; imports and exports
	$(BIN)/python tests/bench/bench.py
	$(BIN)/python tests/bench/porting.py
	@test ! -e .mlflow/made || .mlflow/bin/python tests/bench/mlflow_beside.py
	$(BIN)/python tests/bench/drawing.py
	$(BIN)/python tests/bench/web.py

reference: $(VENV)/dev .reference/tried  ## the reference's own test suite: in process, over gRPC by two clients, on compat
	$(BIN)/python tests/reference/suite.py
	$(BIN)/python tests/reference/suite.py --over-grpc --on-reference
	$(BIN)/python tests/reference/suite.py --over-grpc
	$(BIN)/python tests/compat/installed.py 3.12
	@test ! -e .compat/3.12/made || $(BIN)/python tests/reference/suite.py --on-compat

beside: $(VENV)/dev  ## both wheels installed beside TFX, on CPython 3.12 and 3.13, for the tests that want them there
	$(BIN)/python tests/compat/installed.py

compat: beside .reference/tried  ## both wheels beside TFX: a pipeline runs
	$(PYTEST) -q tests/compat

# The lowest version of every dependency that pyproject.toml admits; where an extra and the tests differ, the tests';
# and of anyio the last that the client of that starlette needs no alias of.
OLDEST := apsw==3.54.1.0 click==8.2.0 google-crc32c==1.5.0 msgspec==0.19.0 protobuf==4.25.0 rich==13.7.0 \
  watchfiles==1.0.0 grpcio==1.62.0 grpcio-health-checking==1.62.0 grpcio-reflection==1.62.0 duckdb==2.0.1 nanoarrow==0.6.0 cryptography==43.0.0 \
  zstandard==0.23.0 jinja2==3.1.0 starlette==0.46.0 uvicorn==0.34.0 h11==0.16.0 networkx==3.0 pandas==2.2.0 polars==2.1.0 pyarrow==18.0.0 \
  pymysql==1.1.0 'psycopg[binary]==3.1.4' mcp==2.1.0 anyio==4.10.0 openlineage-python==1.43.0 prov==3.0.0 rocrate==0.15.0 pyzstd==0.16.0

oldest:  ## all tests but the compiler's, with the oldest libraries admitted
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check $(OLDEST) hypothesis pytest pytest-timeout pytest-xdist
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(VENV)-oldest/bin/python -m pytest $(PARALLEL) -q

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/dev
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wire: $(VENV)/dev  ## compile the .proto files anew
	$(BIN)/python -m mlmd.wire

command: $(VENV)/dev  ## write docs/command.md, and the grammar that completion reads, from the commands
	$(BIN)/python -m mlmd.cli.describing

golden: $(VENV)/dev  ## write the golden files of this format version
	$(BIN)/python tests/golden/make.py

build: $(VENV)/dev  ## the wheel, installed and imported in an environment of its own
	rm -rf build dist && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv build/venv && build/venv/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd build && venv/bin/evlog --version && venv/bin/python -c 'import mlmd; print(mlmd.__version__)'

check: lint type build test slow  ## what must pass before a change lands

clean:
	rm -rf $(VENV) web/node_modules .reference .mlflow .compat .bench build dist $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis
