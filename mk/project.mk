# The verbs of a training project. Its Makefile sets MODULE and includes this file; parameters are make's arguments:
# `make train test_size=0.2 target_iris=setosa` runs `python -m $(MODULE) --test_size 0.2 --target_iris setosa`.
include $(dir $(lastword $(MAKEFILE_LIST)))environment.mk
PARAMETERS = $(foreach name,$(filter-out $(NOT_PARAMETERS),$(GIVEN)),--$(name) $($(name)))
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
NOT_PARAMETERS := PYTHON

.PHONY: help train ui test clean

help:  ## this list
	$(call print_help)

train:  ## train, evaluate, track and export (test_size=0.3 …)
	$(call install,packages local training tracking)
	@cd $(ROOT) && exec $(PY) -m $(MODULE) $(PARAMETERS)

ui:  ## MLflow's pages about the runs, on http://127.0.0.1:5000
	$(call install,packages local training tracking)
	@cd $(ROOT) && exec .venv/bin/mlflow ui --backend-store-uri sqlite:///$(ROOT)/mlflow.db --host 127.0.0.1 --port 5000

test:  ## its tests
	$(call install,$(EVERYTHING))
	@cd $(ROOT) && exec $(PY) -m pytest -m "not soak and not containers" $(CURDIR)

clean:  ## nothing is left here: models/ and mlflow.db belong to the root
	@true
