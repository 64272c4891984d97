# errseg without a ROS distribution: `make demo` or `make test` sets everything up in .venv, then runs.
# On a machine with ROS 2 use colcon instead; see README.md.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SOURCE ?=
OUT ?= demo_out
export PYTHON ?=

BIN := .venv/bin
STAMP := .venv/errseg_setup_done
SETUP_INPUTS := $(shell find requirements tools package.xml setup.py setup.cfg pyproject.toml config/fastdds.xml -type f \
	-not -path '*/__pycache__/*')

# Of another environment, or of a ROS distribution, that this shell has active.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION
ifneq ($(ROS_DISTRO)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport LD_LIBRARY_PATH ROS_DISTRO
endif

.PHONY: help setup demo test lint benchmark-node benchmark-accuracy clean
# An environment works where it was made, with the Python that it was made with: the stamp names both. Another one may be
# asked for.
PYTHON_VERSION := $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'
ifneq ($(PYTHON)$(CURDIR) $(shell $(PYTHON_VERSION) 2>/dev/null || echo broken),$(shell cat $(STAMP) 2>/dev/null))
.PHONY: $(STAMP)
endif

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## set up .venv; PYTHON=python3.12 chooses the Python

$(STAMP): $(SETUP_INPUTS)
	@tools/setup.sh
	@echo "$(CURDIR) $$($(PYTHON_VERSION))" > $@

demo: setup  ## run the node on the embedded drive, or on SOURCE=FILE (mp4, bag, folder); results in OUT=demo_out
	@$(BIN)/errseg_demo $(if $(SOURCE),--source "$(SOURCE)") --out "$(OUT)"

test: lint  ## run all checks and tests
	$(BIN)/python -m pytest --verbose --durations=15

lint: setup  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

benchmark-node: setup  ## measure the node: overhead, changes of words, ten minutes of four cameras at 30 Hz
	$(BIN)/python -m errseg_ros.benchmark_node

benchmark-accuracy: setup  ## measure what the card of errseg-lite states (needs CamVid)
	$(BIN)/python -m errseg_model.benchmark_accuracy

clean:  ## remove what builds, tests and the demo wrote; .venv and runs/ stay
	rm -rf build install log out demo_out .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find errseg_model errseg_ros launch test tools -name __pycache__ -type d -prune -exec rm -rf {} +
