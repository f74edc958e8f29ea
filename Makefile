# make search: install, then a first search. make test: install, then the default tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install search lint test test-long clean

install: .venv/installed

# one environment for everything; made again when the dependencies change
.venv/installed: pyproject.toml
	@test -w . || { echo "make: $(CURDIR) is read-only and cannot get an environment in .venv; see" \
		"docs/how-to/deploy.md, 'Containers'" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

search: install
	$(BIN)/tune-ode search

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install
	$(BIN)/python -m pytest -n auto --durations 10

test-long: install
	$(BIN)/python -m pytest -m long -n 2 --dist worksteal --timeout 900 --durations 10

clean:
	rm -rf .venv *.egg-info build dist
