# Everything runs in .venv inside the checkout; every path here is relative, so the checkout may lie anywhere.
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
# one torch thread a worker: tests run side by side
ONE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.PHONY: help setup demo test check slow test-timm bench clean

help:
	@echo "make demo       set up, then the whole road on synthetic films (about 5 minutes)"
	@echo "make test       set up, then lint, types and tests"
	@echo "make slow       long tests: more kills, learning bars, fuzzing, full-size models"
	@echo "make test-timm  the same weights in timm, in an environment of its own"
	@echo "make bench      speed beside named peers"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

setup: $(READY)

demo: $(READY)
	rm -rf demo
	$(PY) -m hilum.cli demo --out demo

check: $(READY)
	$(PY) -m ruff check hilum tests benchmarks recipes
	$(PY) -m ruff format --check hilum tests benchmarks recipes
	$(PY) -m mypy

test: check
	$(ONE) $(PY) -m pytest -q -n 2 --dist worksteal -m "not slow and not timm"

slow: $(READY)
	$(ONE) $(PY) -m pytest -q -n 2 -m slow

.venv-timm/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-timm
	.venv-timm/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,timm,peers]'
	touch .venv-timm/.ready

test-timm: .venv-timm/.ready
	$(ONE) .venv-timm/bin/python -m pytest -q -m timm

bench: $(READY)
	for file in benchmarks/*.py; do $(ONE) $(PY) -m "benchmarks.$$(basename "$$file" .py)" || exit 1; done

clean:
	rm -rf .venv .venv-timm demo .pytest_cache .mypy_cache .ruff_cache
