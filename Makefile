# `make demo` and `make test` need Python 3.10 or newer and nothing else. They run in the active environment
# (VIRTUAL_ENV or CONDA_PREFIX) when it already has what pyproject.toml asks for, otherwise in .venv, which they make.
#
#   make demo TORCH="torch torchvision --index-url URL"    another build of torch, from an index of its own
#   make test PYTHON3=python3.12                                                            another Python
#   make test JOBS=0                               in one process, as debuggers want it; otherwise one for each core
#   make test ARGS="tests/objectives/test_dm.py -x"                                                    more for pytest

PYTHON3 ?= python3
JOBS ?= logical
export TORCH
# The source tree is what runs, in an environment where it is installed and in one where it is not.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: help demo test test-sanitizers test-slow lint docs check-cuda clean

help:
	@echo "make demo       a small distillation and a report of it"
	@echo "make test       the tests, but for the slow ones and those below, and those for a GPU"
	@echo "make test-sanitizers  the kernels under AddressSanitizer, UBSan and ThreadSanitizer; needs a C++ compiler"
	@echo "make test-slow  the slow tests"
	@echo "make lint       ruff and mypy"
	@echo "make docs       the documents as a site, in site/; fails on a dead link"
	@echo "make check-cuda compile the CUDA kernels (ARCH=\"8.0 9.0\") and read the compiler's report; needs nvcc, no GPU"
	@echo "make clean      remove caches and build outputs; .venv and runs stay"

# torch's allocator then asks for huge pages, and touching large fresh tensors costs far fewer page faults.
demo test test-sanitizers test-slow: export THP_MEM_ALLOC_ENABLE := 1
# The tests' tensors are tiny: a second thread costs more than it brings, and many times as much on a busy machine.
test test-sanitizers: export OMP_NUM_THREADS ?= 1

demo:
	@python=$$($(PYTHON3) scripts/environment.py) && "$$python" scripts/demo.py

test:
	@python=$$($(PYTHON3) scripts/environment.py test) && "$$python" -m pytest -rs -n $(JOBS) --maxprocesses 8 --dist loadfile -m "not slow and not gpu and not sanitizers" $(ARGS)

test-sanitizers:
	@python=$$($(PYTHON3) scripts/environment.py test) && "$$python" -m pytest -rs -m "sanitizers and not slow" $(ARGS)

test-slow:
	@python=$$($(PYTHON3) scripts/environment.py test) && "$$python" -m pytest -rs -m slow $(ARGS)

lint:
	@python=$$($(PYTHON3) scripts/environment.py test lint) && \
	"$$python" -m ruff check . && "$$python" -m ruff format --check . && "$$python" -m mypy

docs:
	@python=$$($(PYTHON3) scripts/environment.py test docs) && NO_MKDOCS_2_WARNING=1 "$$python" -m mkdocs build --strict

ARCH ?= 8.0 9.0
check-cuda:
	@python=$$($(PYTHON3) scripts/environment.py test) && "$$python" scripts/check_cuda.py --arch $(ARCH)

clean:
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find cuda_ops generators glad scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
