# Every target makes .venv if it is missing. `make demo` is the main job; `make test` the check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VIDEO ?=
OUT ?= demo-out

.PHONY: demo test players test-all lint bench weights system clean help

help:
	@echo "make demo [VIDEO=me.mp4]   ten listeners react to a video; see demo-out/report.html"
	@echo "make test                  the tests            make test-all   the slow ones too"
	@echo "make lint                  ruff, mypy           make bench      all benchmarks"
	@echo "make weights MODEL=name    train a bundled model again from its recipe"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"visavis needs Python 3.11 or newer, but $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@

# The face tracker's OpenCV needs two system libraries that a bare machine lacks. Installed where
# we may, named where we may not; without them the demo goes on with a simulated speaker.
system: $(READY)
	@missing="$$($(BIN)/python -m visavis.features._system)"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing system libraries: $$missing"; \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing) >/dev/null 2>&1 \
	      || echo "could not install them; the demo will use a simulated speaker"; \
	  else \
	    echo "the face tracker needs system libraries: sudo apt-get install $$missing"; \
	  fi; \
	fi

demo: system
	@$(BIN)/visavis demo $(if $(VIDEO),"$(VIDEO)") --out "$(OUT)"

# Programs that open what we export; without npm those tests say that they were skipped.
players:
	@if command -v npm >/dev/null && ! test -d tests/browser/node_modules/three; then \
	  npm install --prefix tests/browser --no-package-lock --no-audit --no-fund --silent >/dev/null 2>&1 \
	    || echo "npm could not install three; the tests that play .glb files will be skipped"; \
	fi

test: system players
	@$(BIN)/python -m pytest -n 2

test-all: system players
	@$(BIN)/python -m pytest -n 2 -m "not gpu"

lint: $(READY)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

bench: system
	@for file in benchmarks/*.py; do case $$file in */_*) ;; *) echo "== $$file"; $(BIN)/python $$file || exit 1;; esac; done

weights: $(READY)
	@test -n "$(MODEL)" || { echo "which one? make weights MODEL=trans_vae"; exit 2; }
	@$(BIN)/visavis train "$(MODEL)" --preset laptop --bundle

clean:
	rm -rf $(VENV) demo-out dist
