# Two commands set everything up by themselves: `make demo` and `make test`. They need Python 3.11-3.13 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Tests wait for servers and clocks more than they compute, so more workers than cores.
WORKERS ?= 4

.PHONY: demo test test-quick lint types bench-ingest tiny-model clean help

help:
	@echo "make demo          the whole pipeline on a drawn doorstep, no camera needed (ARGS='--for 60s --json')"
	@echo "make test          every test                                                (some: ARGS=tests/agent/test_queue.py)"
	@echo "make test-quick    the tests under ten seconds"
	@echo "make lint          ruff, mypy, import-linter"
	@echo "make bench-ingest  what cameras cost beside OpenCV and ffmpeg (12 minutes)  (ARGS=--quick; ARGS=--help tells more)"
	@echo "make tiny-model    rebuild the demo's vision model from nothing (about 90 minutes; MINUTES=3 to see it run)"

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14))' \
	  || { echo "camscribe needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV). On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/run.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "Installing camscribe into $(VENV) (once; one to five minutes) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "Installing the test tools into $(VENV) (once) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/run.stamp
	@$(BIN)/camscribe demo $(ARGS)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-quick: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.13 --cache-dir .mypy_cache/3.13
	$(BIN)/lint-imports

bench-ingest: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.ingest $(ARGS)

clean:
	rm -rf $(VENV) benchmarks/work build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The recipe of the demo's vision model, in a venv of its own: PyTorch is large and nothing else needs it.
TINY     := tiny_model/work
MINUTES  ?= 72
PIP_ARGS ?=

$(TINY)/install.stamp: $(VENV)/python.stamp pyproject.toml
	@$(PYTHON) -m venv $(TINY)/venv
	@echo "Installing PyTorch and camscribe into $(TINY)/venv (once) …" >&2
	@$(TINY)/venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable '.[tiny-model]'
	@touch $@

tiny-model: $(TINY)/install.stamp
	$(TINY)/venv/bin/python -m tiny_model.make --minutes $(MINUTES)
