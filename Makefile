# `make demo` and `make test` do all their own set-up; nothing but python3 (3.11 or newer) and make is needed.
# PIP_ARGS is passed to pip, for example to point it at processor-only builds of torch.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo chain test lint install soundness

demo: $(STAMP)
	@BIN=$(BIN) sh examples/demo.sh

# Train, graft, prune, export, prove, check, compare.
chain: $(STAMP)
	@BIN=$(BIN) sh examples/chain.sh

# One thread per worker: the workers already share the cores.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/python -m ruff check .

# The soundness laboratory, with everything: hours. `make soundness SOUNDNESS_ARGS="--seconds 600"` for less.
SOUNDNESS_ARGS ?= --full --jobs 2
soundness: $(STAMP)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m benchmarks.soundness $(SOUNDNESS_ARGS)

install: $(STAMP)

# The constraints hold for torch too: without them pip may choose a build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[test,dev]'
	@touch $@

