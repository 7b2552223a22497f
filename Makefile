PYTHON ?= python3
# One thread a process: on small matrices a second BLAS thread costs more than it brings.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

.PHONY: demo test trust docs gallery clean test-gpu bench-gpu check-install release-check

# Set up, run the main job, and say where the report is.
demo: .venv/installed
	.venv/bin/ufmflow reproduce --quick --out report

# Set up, build the wheel, and test what it installs.
test: .venv-test/installed
	.venv-test/bin/pytest

# Set up, and build the site strictly: docs/_build/html/index.html. Once set up, nothing is fetched.
docs: .venv-docs/installed
	.venv-docs/bin/sphinx-build -n -W --keep-going -d docs/_build/doctrees docs docs/_build/html

# Build wheel and sdist, and try them in clean environments for every Python from 3.11 on that is here.
check-install: .venv-release/installed
	PATH="$(CURDIR)/.venv-release/bin:$$PATH" $(PYTHON) tests/install/check.py

# All that a release asks for, in one command: see CONTRIBUTING.md.
release-check: .venv-test/installed .venv-docs/installed .venv-release/installed
	PATH="$(CURDIR)/.venv-release/bin:$$PATH" $(PYTHON) tests/install/release.py

# On a machine with a GPU, CuPy, numpy, scipy, sympy and xarray; nothing is installed or fetched.
test-gpu:
	$(PYTHON) tests/gpu/run.py

bench-gpu:
	mkdir -p benchmarks/results
	$(PYTHON) benchmarks/gpu.py --out benchmarks/results/gpu.json
	$(PYTHON) benchmarks/ensembles_gpu.py > benchmarks/results/ensembles_gpu.part
	mv benchmarks/results/ensembles_gpu.part benchmarks/results/ensembles_gpu.json

SOURCES := $(shell find theory numerics proofs ufmflow -type f -not -path '*/__pycache__/*') setup.cfg pyproject.toml

.venv/installed: $(SOURCES)
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet .
	touch $@

.venv-test/installed: $(SOURCES) constraints.txt
	$(PYTHON) -m venv .venv-test
	rm -rf build dist
	.venv-test/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	.venv-test/bin/pip install --quiet --constraint constraints.txt --force-reinstall --no-deps dist/ufmflow-*.whl
	.venv-test/bin/pip install --quiet --constraint constraints.txt "$$(ls dist/ufmflow-*.whl)[test,train]"
	touch $@

.venv-docs/installed: $(SOURCES) constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --constraint constraints.txt ".[docs,train]"
	touch $@

.venv-release/installed:
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/pip install --quiet uv ruff
	touch $@

# Make the figures of docs/gallery.md by running the page.
gallery: .venv/installed
	.venv/bin/python docs/make_gallery.py

# What is tried to break it, at full size: hours.  Results and docs/trust.md are made anew; fuzzing goes on where it stopped.
trust:
	for part in fuzz faults hostile calibration mutants soak; do $(PYTHON) tests/trust/run.py --part $$part || exit 1; done
	$(PYTHON) tests/trust/run.py --page

clean:
	rm -rf .venv .venv-test .venv-docs .venv-release docs/_build docs/_site docs/_api build dist report *.egg-info
