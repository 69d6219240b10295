# make demo | make test: each makes .venv, installs the tested versions, runs; the second time only runs.
# PYTHON chooses the interpreter, ARGS is handed on: make test ARGS='-k sampling', make demo ARGS='--seed 1'.  JOBS: test processes.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  $$p -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/installed
LINTED := jaction configs launch converters tests

.PHONY: demo demo-short test lint format types wheel clean

demo: $(STAMP)
	$(BIN)/jaction demo $(ARGS)

demo-short: $(STAMP)
	$(BIN)/jaction demo --short $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)

format: $(STAMP)
	$(BIN)/ruff check --fix $(LINTED)
	$(BIN)/ruff format $(LINTED)

types: $(STAMP)
	$(BIN)/pyright

wheel: $(STAMP)
	$(BIN)/python -m build --wheel --outdir dist .

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 with ensurepip found; name one: make PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv build dist jaction.egg-info .jax_cache .pytest_cache .ruff_cache .hypothesis jaction-demo
