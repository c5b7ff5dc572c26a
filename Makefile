# RLHF from demonstrations and rankings to a better model. `make` alone prints what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# Stages read what the stage before wrote: never two at a time, even under `make -j`.
.NOTPARALLEL:

# A stage's settings: one YAML file, or a folder that holds <stage>.yaml for each stage.
CONFIG ?= configs
# key=value pairs laid over the YAML. In `make all`, pairs that only some stages know go to those, and
# stage:key=value goes to that stage alone.
ARGS ?=
# A folder for the runs of all stages, in place of `run.root` in the YAML.
RUNS ?=
# How many processes, on which machines, at which precision.
ACCELERATE_CONFIG ?= configs/accelerate/one_process.yaml
# The Python that makes the environment, and where that is.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
STAGES := sft reward ppo report
SOURCES := rlhf stages tests data

# $(call config,<stage>): CONFIG itself if it is a file, else the stage's file in that folder.
one_file = $(filter %.yaml %.yml,$(CONFIG))
config = $(if $(one_file),$(CONFIG),$(CONFIG:%/=%)/$(1).yaml)
pairs = $(if $(RUNS),"run.root=$(RUNS)") $(ARGS)
# $(call stage,<stage>,<options>): `accelerate launch`, ending with the stage's own exit status.
stage = $(BIN)/python -m stages._launch --config_file $(ACCELERATE_CONFIG) -m stages.$(1) --config $(call config,$(1)) $(2) $(pairs)

.PHONY: help install all smoke base $(STAGES) check-data check lint format test invariants mutants clean

help:  ## print this
	@echo "make <target> [CONFIG=file.yaml or folder] [ARGS=\"key=value ...\"] [RUNS=folder] [ACCELERATE_CONFIG=file.yaml]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make all                                       everything on the embedded world, into runs/"
	@echo "  make ppo ARGS=\"ppo.kl_coef=0.1 run.seed=3\"     one stage with other settings"
	@echo "  make all ARGS=\"sft:model.path=my/base\"         a pair for one stage only, where several know its key"
	@echo "  make all RUNS=runs/seed3 ARGS=\"run.seed=3\"     another seed in another folder"
	@echo "  make check-data CONFIG=configs/reward.yaml      what the reward stage would train on, and every problem in it"
	@echo "  make ppo ARGS=\"--dry-run\"                      check settings and data, print the resolved YAML, stop"
	@echo "  make sft CONFIG=my.yaml ACCELERATE_CONFIG=configs/accelerate/several_gpus.yaml"

install: $(INSTALLED)  ## make .venv and install pinned dependencies (the other targets do it when needed)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not found; give a Python 3.10 or newer: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit("%s is Python %d.%d; Python 3.10 or newer is needed: make PYTHON=/path/to/python3" % (sys.executable, v[0], v[1]))'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments; install its venv package (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@echo "installing into $(VENV) (once; some minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

# Settings of all stages are checked before the first one starts; the first stage that fails stops the rest.
all: $(INSTALLED)  ## install, sft, reward, ppo and report, on the embedded world unless CONFIG is another folder
	@$(if $(one_file),echo "CONFIG=$(CONFIG) is one file; make all takes a folder that holds $(STAGES:%=%.yaml)" >&2; exit 2,:)
	@$(BIN)/python -m stages._settings --folder $(CONFIG) --stages $(STAGES) -- $(pairs)
	$(call stage,sft,--ignore-other-stages)
	$(call stage,reward,--ignore-other-stages)
	$(call stage,ppo,--ignore-other-stages)
	$(call stage,report,--ignore-other-stages)

smoke: $(INSTALLED)  ## the same on tiny settings (configs/smoke), in a minute or two, into runs/smoke
	@$(MAKE) all CONFIG=configs/smoke

base: $(INSTALLED)  ## pre-train a small GPT-2 (or T5, BERT) and its tokenizer from text, the embedded world's or yours
	$(call stage,base)

sft: $(INSTALLED)  ## supervised fine-tuning on demonstrations -> runs/sft
	$(call stage,sft)

reward: $(INSTALLED)  ## a reward model from ranked responses -> runs/reward (starts from runs/sft)
	$(call stage,reward)

ppo: $(INSTALLED)  ## PPO against the reward model -> runs/ppo (starts from runs/sft and runs/reward)
	$(call stage,ppo)

report: $(INSTALLED)  ## base, SFT and PPO side by side -> runs/summary.json and runs/report.html
	$(call stage,report)

check-data: $(INSTALLED)  ## what the stages would read, with every problem in it; CONFIG=file.yaml for one stage
	@$(BIN)/python -m stages._cli check $(CONFIG) $(pairs)

check: lint test  ## formatter, linter, type checker and tests

lint: $(INSTALLED)  ## formatter, linter and type checker
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

format: $(INSTALLED)  ## format the code and sort its imports
	$(BIN)/ruff check --select I --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

test: $(INSTALLED)  ## the tests; make test ARGS="-k ppo" for some of them
	$(BIN)/python -m pytest $(ARGS)

invariants: $(INSTALLED)  ## the 82 traps of RLHF, each with the tests that hold it -> tests/INVARIANTS.md
	@$(BIN)/python -m tests.invariants $(ARGS)

mutants: $(INSTALLED)  ## put each of our wrong versions into a copy: a test must fail; ARGS="kl" for some of them
	$(BIN)/python -m tests.mutants $(ARGS)

clean:  ## delete caches and .venv; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
