# make help says what there is. PYTHON chooses the interpreter; one that is
# given gets an environment of its own: make test PYTHON=python3.12

ifdef PYTHON
venv := .venv-$(notdir $(PYTHON))
else
PYTHON := python3
venv := .venv
endif
bin := $(venv)/bin
OUTPUT_DIR ?= runs/quickstart

MINUTES ?= 9
begun := $(shell date +%s)

.PHONY: help setup quickstart gpu gpu-benchmark test test-slow notebooks lint
.PHONY: docs docs-serve wheel clean

help:
	@echo 'make setup       install into $(venv), with the tools for tests'
	@echo 'make quickstart  train a small model, score it, show a sample'
	@echo 'make gpu         the study for a GPU, for MINUTES=9; repeat to resume'
	@echo 'make gpu-benchmark  cuDNN, trax.models and PyTorch, for MINUTES=9'
	@echo 'make test        what continuous integration runs'
	@echo 'make test-slow   the tests that make test leaves out'
	@echo 'make notebooks   run those in colabs/, at small sizes'
	@echo 'make lint        ruff alone'
	@echo 'make docs        build the site into build/site; docs-serve shows it'
	@echo 'make wheel       build dist/trax_hourglass-*.whl'
	@echo 'make clean       remove environments and everything built'

setup: $(venv)/.test

quickstart: $(venv)/.package
	$(bin)/python -m trax_hourglass.train \
	  --config_file=gin/quickstart.gin --output_dir=$(OUTPUT_DIR)
	$(bin)/python -m trax_hourglass.generate --output_dir=$(OUTPUT_DIR) \
	  --prompt='The history of ' --length=300 --temperature=0.8

# MINUTES includes the set-up; the last one is for work under way to finish.
gpu: $(venv)/.cuda
	@timeout 90 $(bin)/python -c "$$enwik8_code" || true
	@left=$$(($(MINUTES) * 60 - $$(date +%s) + $(begun))) && \
	timeout --signal=KILL $$left \
	  $(bin)/python -m trax_hourglass.reproduce --study=gpu \
	  --minutes=$$(awk "BEGIN { print $$left / 60 - 1 }")

# PyTorch takes part if it can be installed beside JAX in two minutes.
gpu-benchmark: $(venv)/.cuda
	@timeout 120 $(bin)/python -m pip install --quiet --editable '.[torch]' \
	  --constraint \
	  constraints/$$($(bin)/python -c "$$version_code").txt || \
	echo 'without PyTorch'
	@left=$$(($(MINUTES) * 60 - $$(date +%s) + $(begun))) && \
	timeout --signal=KILL $$left \
	  $(bin)/python -m trax_hourglass.benchmark --accelerator \
	  --minutes=$$((left / 60 - 1))

test: lint
	$(bin)/python -m pytest -m 'not slow'

test-slow: $(venv)/.test
	$(bin)/python -m pytest -m slow

notebooks: $(venv)/.test
	$(bin)/python -m pytest tests/test_colabs.py

lint: $(venv)/.test
	$(bin)/ruff check
	$(bin)/ruff format --check

docs: $(venv)/.docs
	$(bin)/mkdocs build

docs-serve: $(venv)/.docs
	$(bin)/mkdocs serve

wheel: $(venv)/.test
	$(bin)/python -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf .venv .venv-* .cache .pytest_cache .ruff_cache .hypothesis
	rm -rf build dist *.egg-info
	find trax_hourglass tests -name __pycache__ -prune -exec rm -r {} +

# install,EXTRAS: the package, editable, with the versions that CI runs.
define install
	@start=$$(date +%s) && \
	$(bin)/python -m pip install --quiet --editable '.$(1)' --constraint \
	  constraints/$$($(bin)/python -c "$$version_code").txt && \
	echo "set-up ($@) took $$(($$(date +%s) - start)) s" && touch $@
endef
export enwik8_code = from trax_hourglass.data import offline; \
  offline.enwik8_or_sample()
export version_code = import sys; print('python%d.%d' % sys.version_info[:2])
export check_code = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

$(venv)/.package: setup.py constraints/*.txt
	@$(PYTHON) -c "$$check_code" 2>/dev/null || { echo 'error:' \
	  'PYTHON=$(PYTHON): expected Python 3.11, 3.12 or 3.13;' \
	  'name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(venv)
	$(call install)

$(venv)/.test: $(venv)/.package
	$(call install,[test])

$(venv)/.docs: $(venv)/.package
	$(call install,[docs])

$(venv)/.cuda: $(venv)/.package
	$(call install,[cuda])
