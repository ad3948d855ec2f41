# Two commands are all a newcomer needs:  make bench  ·  make test
#
# Everything Python goes into .venv; nothing else is touched, but that both, run as
# root on a machine with apt-get, install packages that tests/system.sh names: the
# mallocs to compare with, and for `make test` its tools.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := pyproject.toml CMakeLists.txt $(wildcard driver/* driver/*/* driver/*/*/* allocators/*.h allocators/*/*.h allocators/*/*.c)

.PHONY: bench test check lint benchmark fuzz docs gate recordings system mallocs clean

# The scenarios that tell the phases' story and two of the field's; of the allocators those that
# people ask for first. In under five minutes, installation included, with as many rounds as an
# interval needs (five); `allocphase run` has all of the default set. A glob leaves out what is not
# installed.
BENCH := phase-report phase-report-churn random-churn realloc-growth larson fleet
BENCH_ALLOCATORS := libc [j]emalloc [t]cmalloc mimalloc[3] phase*

bench: mallocs $(VENV)/installed-mallocs
	$(BIN)/allocphase run $(BENCH_ALLOCATORS:%=-a '%') $(BENCH:%=-s %) \
		--rounds 7 --time-budget 200 --label bench --report

# A process of tests for each core, and one more: some tests wait. tests/support/sharding.py deals
# the tests out.
PARALLEL := -n $(shell expr $$(nproc) + 1) --maxprocesses 9 --no-loadscope-reorder

# What a commit may break. The rest, which takes longer than this together, is for CI, which skips
# nothing (.ci/run): ALLOCPHASE_STRICT=1 make test. It is listed in tests/support/thorough.py.
EVERYDAY := $(if $(filter 1,$(ALLOCPHASE_STRICT)),,-m "not thorough")

test: system $(VENV)/installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(PARALLEL) $(EVERYDAY)

# What to run after each change: lint, types and the unit tests that take no second each, within a
# minute and a half
check: lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q $(PARALLEL) --hypothesis-profile=brief -m "not long" tests/unit

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(VENV)/installed-test
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-columns=median,iqr,rounds

# Every parser of files from elsewhere; make test has ten seconds of each, CI half a minute
FUZZ_SECONDS ?= 600
fuzz: system $(VENV)/installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

# The site, build/site/index.html, and the manual's pages, build/man; a warning is an error
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --quiet -b html docs build/site
	$(BIN)/click-man allocphase --target build/man

# This tree against where main was left, or make gate AGAINST=v0.1.0
gate: $(VENV)/installed-test
	$(BIN)/python -m tests.gate_revision $(if $(AGAINST),--against $(AGAINST))

# The scenarios that are recordings, recorded here again, and held against their programs: minutes
RECORDINGS := $(basename $(notdir $(wildcard scenarios/recorded-*.toml)))
recordings: system mallocs $(VENV)/installed-test
	$(BIN)/python -m tests.record_scenarios $(RECORDINGS)
	set -e; for name in $(RECORDINGS); do $(BIN)/allocphase validate $$name; done

system:
	@sh tests/system.sh

mallocs:
	@sh tests/system.sh mallocs

$(VENV)/pip:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/pip $(NATIVE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# With a mimalloc for whoever may not install the system's, where pip has one for the machine
$(VENV)/installed-mallocs: $(VENV)/pip $(NATIVE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mallocs]' || { \
		echo "going on without mimalloc 3"; \
		$(BIN)/pip install --quiet --disable-pip-version-check --editable .; }
	@touch $@ $(VENV)/installed

$(VENV)/installed-test: $(VENV)/pip $(NATIVE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/installed $(VENV)/installed-mallocs

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build out .pytest_cache .mypy_cache .ruff_cache
