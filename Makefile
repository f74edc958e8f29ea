# make search: install, then a first search. make test: install, then the default tests.
# make install-cpu, before either: install PyTorch without CUDA libraries.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install install-cpu search lint docs test test-long clean

install: .venv/installed

CHECK_WRITABLE = test -w . || { echo "make: $(CURDIR) is read-only and cannot get an environment in .venv;" \
	"see docs/how-to/deploy.md, 'Containers'" >&2; exit 2; }
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check

.venv/bin/python:
	@$(CHECK_WRITABLE)
	$(PYTHON) -m venv .venv

# one environment for everything; made again when the dependencies change
.venv/installed: pyproject.toml | .venv/bin/python
	@$(CHECK_WRITABLE)
	$(PIP_INSTALL) --editable '.[dev]'
	touch $@

# PyTorch without CUDA libraries: from the package index TORCH_INDEX, or from PyTorch's, which uv knows
TORCH_INDEX ?=
TORCH_CPU := $(if $(TORCH_INDEX),$(PIP_INSTALL) --index-url $(TORCH_INDEX),$(BIN)/uv pip install --quiet \
	--python $(BIN)/python --torch-backend cpu) torch torchvision

install-cpu: | .venv/bin/python
	@! ls -d .venv/lib/python*/site-packages/nvidia >/dev/null 2>&1 || { echo "make: .venv has PyTorch with" \
		"CUDA libraries; run make clean, then make install-cpu" >&2; exit 2; }
	@{ $(if $(TORCH_INDEX),true,$(PIP_INSTALL) uv) && $(TORCH_CPU); } 2>/dev/null || echo "make: PyTorch without" \
		"CUDA could not be installed ('$(TORCH_CPU)' shows why); installing the default build" >&2
	@$(MAKE) --no-print-directory install

search: install
	$(BIN)/tune-ode search

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the documentation site, in site/; a warning is an error
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.venv/docs: .venv/installed
	$(PIP_INSTALL) --editable '.[docs]'
	touch $@

test: install
	$(BIN)/python -m pytest -n auto --durations 10

test-long: install
	$(BIN)/python -m pytest -m long -n 2 --dist worksteal --timeout 900 --durations 10

clean:
	rm -rf .venv *.egg-info build dist site
