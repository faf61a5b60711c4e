# Two commands: `make run` and `make test`. A stage that is up to date is not done again.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
RUST   := Cargo.toml $(wildcard Cargo.lock) pyproject.toml $(shell find src -name '*.rs')
say    := @printf '• %s\n'

# rustup puts cargo there, and a shell opened before that does not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test notebook docs bench fmt clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/built ## build, install and take the tour: the lecture's seven steps on real sockets
	@$(PY) -m socklens tour

test: $(VENV)/with-test $(VENV)/with-lint $(if $(CI),$(VENV)/with-browser $(VENV)/with-docs $(VENV)/with-grading) $(VENV)/built ## check everything; ONLY=pytest (or another step's name) checks that alone
	@$(PY) tests/everything.py $(ONLY)

notebook: $(VENV)/with-notebook $(VENV)/built ## open JupyterLab on notebooks/
	@$(PY) -m jupyterlab notebooks

docs: $(VENV)/with-docs $(VENV)/built ## build the documentation into build/docs, offline; the notebooks are run for it
	@$(PY) docs/build.py

bench: $(VENV)/with-bench $(VENV)/built ## measure against the peers, as ratios in one run: build/bench.md and build/bench.svg
	@$(PY) benches $(if $(ONLY),--only '$(ONLY)')

fmt: $(VENV)/with-lint $(VENV)/with-test ## format Rust and Python, put imports in order, strip notebooks' outputs
	@cargo fmt
	@cargo fmt --manifest-path benches/native/Cargo.toml
	@$(PY) -m ruff check --quiet --select I --fix
	@$(PY) -m ruff format --quiet
	@find notebooks -name '*.ipynb' -not -path '*/.*' -exec $(PY) -m nbstripout --keep-id {} +

clean: ## remove whatever was made here, the virtual environment too
	@rm -rf $(VENV) target build .mypy_cache .pytest_cache .ruff_cache .hypothesis python/socklens/_socklens.*.so
	@rm -f docs/course/*.ipynb
	@find python tests benches notebooks docs -name __pycache__ -prune -exec rm -rf {} +

# Python files are used where they lie, so only Rust and the manifests ask for a new build.
$(VENV)/built: $(VENV)/bin/pip $(RUST)
	$(say) 'building socklens and installing it in $(VENV) (the first time takes a minute or two)'
	@command -v cargo >/dev/null || { echo 'socklens needs Rust 1.85 or later: cargo was not found; install Rust with rustup'; exit 1; }
	@$(PY) -m pip install --quiet --editable .
	@touch $@

$(VENV)/with-%: pyproject.toml | $(VENV)/built
	$(say) 'installing what "$*" needs'
	@$(PY) -m pip install --quiet 'socklens[$*]'
	@touch $@

# nbgrader and Otter bring extensions of JupyterLab, so they have an environment of their own; tests/test_grading.py lends them socklens.
$(VENV)/with-grading: pyproject.toml | $(VENV)/built
	$(say) 'making an environment for nbgrader and Otter (a minute or two)'
	@test -x $(VENV)/grading/bin/pip || $(PY) -m venv --clear $(VENV)/grading
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["grading"], sep="\n")' >$(VENV)/grading/wanted.txt
	@$(VENV)/grading/bin/pip install --quiet --requirement $(VENV)/grading/wanted.txt
	@touch $@

# By its pip, because the one that uv makes has none.
$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo 'socklens needs Python 3.11 or later: $(PYTHON) was not found; try make PYTHON=…'; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"socklens needs Python 3.11 or later: $(PYTHON) is {v}; try make PYTHON=…")'
	$(say) 'making a virtual environment in $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
