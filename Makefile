# The two commands: `make demo` and `make test`. Each sets everything up first.
#   make demo [ARGS="--nodes 4 --rounds 8"]    the main job: a swarm on this machine
#   make test                                  lint, types and the default tests
#   make test-all                              all tests, the long ones too
#   make sim SEEDS=1000                        more of the protocol's simulator
#   make bench                                 figures of simulator, archive and journal
#   make format | clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
SEEDS ?= 1000
EXTENSION := setup.py $(filter-out ext/deid_mars/_mars.c, $(wildcard ext/deid_mars/*.pyx ext/deid_mars/*.c ext/deid_mars/*.h))

.PHONY: demo test test-all lint sim bench format clean

demo: $(VENV)/.ready-report
	$(BIN)/deid demo $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(ARGS)

test-all: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

sim: $(VENV)/.ready-dev
	$(BIN)/python tests/sim/run.py --seeds $(SEEDS)

bench: $(VENV)/.ready-dev
	$(BIN)/deid bench mars
	$(BIN)/python -m deid.search.bench
	$(BIN)/python -m deid.store.bench
	$(BIN)/python tests/sim/bench.py

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "deid needs Python 3.11 or later: install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# An editable install builds the C extension in place; it is built again when its sources change.
$(VENV)/.ready-report: $(VENV)/bin/python pyproject.toml $(EXTENSION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[report]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/bin/python pyproject.toml $(EXTENSION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,report]'
	touch $@ $(VENV)/.ready-report

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis ext/deid_mars/_mars.c ext/deid_mars/*.so
