# The verbs of a training project. Its Makefile sets MODULE and includes this file; parameters are make's arguments:
# `make train test_size=0.2 target_iris=setosa` runs `python -m $(MODULE) --test_size 0.2 --target_iris setosa`.
# Some differ: `output=`, `data=` and `work=` are places as seen from where make was typed, and `save=yes` becomes --save.
# What a project needs beside the lock is in its requirements.txt, and installed when it is lacking.
include $(dir $(lastword $(MAKEFILE_LIST)))environment.mk
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
PLACES := output data work
PLAIN = $(foreach name,$(filter-out $(PLACES) save PORT PYTHON,$(GIVEN)),--$(name) $($(name)))
PLACED = $(foreach name,$(filter $(PLACES),$(GIVEN)),--$(name) $(abspath $($(name))))
SAVE = $(if $(filter save,$(GIVEN)),$(if $(filter-out yes,$(save)),$(error save=$(save) is neither save=yes nor left out),--save))

OWN := $(wildcard $(CURDIR)/requirements.txt)
own_requirements = $(if $(OWN),@$(PY) -m pip install --quiet --disable-pip-version-check --requirement $(OWN))

.PHONY: help train ui test

help:  ## this list
	$(call print_help)

train:  ## train, evaluate, track and export (test_size=0.3 …)
	$(call install,packages local inference training tracking)
	$(own_requirements)
	@cd $(ROOT) && exec $(PY) -m $(MODULE) $(PLAIN) $(PLACED) $(SAVE)

ui:  ## MLflow's pages about the runs, on http://127.0.0.1:5000/#/experiments (PORT=5001 …)
	$(call install,packages local inference training tracking)
	@$(PY) -m mk.ui

test:  ## its tests
	$(call install,$(EVERYTHING))
	$(own_requirements)
	@cd $(ROOT) && exec $(PY) -m pytest -m "not soak and not containers" $(CURDIR)
