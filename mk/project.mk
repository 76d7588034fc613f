# The verbs of a training project. Its Makefile sets MODULE and includes this file; parameters are make's arguments:
# `make train test_size=0.2 target_iris=setosa` runs `python -m $(MODULE) --test_size 0.2 --target_iris setosa`.
# Two differ: `output=` is a folder as seen from where make was typed, and `save=yes` becomes the flag --save.
include $(dir $(lastword $(MAKEFILE_LIST)))environment.mk
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
PLAIN = $(foreach name,$(filter-out output save PORT PYTHON,$(GIVEN)),--$(name) $($(name)))
OUTPUT = $(if $(filter output,$(GIVEN)),--output $(abspath $(output)))
SAVE = $(if $(filter save,$(GIVEN)),$(if $(filter-out yes,$(save)),$(error save=$(save) is neither save=yes nor left out),--save))

.PHONY: help train ui test

help:  ## this list
	$(call print_help)

train:  ## train, evaluate, track and export (test_size=0.3 …)
	$(call install,packages local inference training tracking)
	@cd $(ROOT) && exec $(PY) -m $(MODULE) $(PLAIN) $(OUTPUT) $(SAVE)

ui:  ## MLflow's pages about the runs, on http://127.0.0.1:5000/#/experiments (PORT=5001 …)
	$(call install,packages local inference training tracking)
	@$(PY) -m mk.ui

test:  ## its tests
	$(call install,$(EVERYTHING))
	@cd $(ROOT) && exec $(PY) -m pytest -m "not soak and not containers" $(CURDIR)
