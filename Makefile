# `make` lists what there is. A pattern's verbs work here too: `make run PATTERN=web_single_pattern`.
PATTERN ?= web_single_pattern
include mk/environment.mk
DIRECTORIES := $(sort $(patsubst %/Procfile,%,$(wildcard $(ROOT)/chapter*/*/Procfile)))
PATTERN_DIRECTORY := $(filter %/$(PATTERN),$(DIRECTORIES))
OF_A_PATTERN := run stop demo build up down deploy undeploy test
AT_ROOT := yes
ifneq ($(PATTERN_DIRECTORY),)
# What the pattern sets; its include line is meant for its own directory.
$(eval $(subst include ../../mk/pattern.mk,,$(file <$(PATTERN_DIRECTORY)/Makefile)))
else ifneq ($(filter $(OF_A_PATTERN),$(MAKECMDGOALS)),)
$(error There is no pattern "$(PATTERN)"; there are: $(notdir $(DIRECTORIES)))
endif
include mk/pattern.mk
include mk/new.mk

.PHONY: help test test-soak test-containers models lint format type bench docs lock ci doctor build_all clean everything

help:  ## this list
	$(call print_help)

everything:
	$(call install,$(EVERYTHING))
	@$(PY) -m pip install --quiet --disable-pip-version-check $(patsubst %,--requirement %,$(wildcard $(ROOT)/chapter*/*/requirements.txt))

models: serving_environment  ## build every model of chapter 2, and the sample pictures
	@cd $(ROOT) && $(PY) -m mlsys.train all && exec $(PY) -m mlsys.pictures

test: everything models  ## all tests but soak and containers, with coverage; with PATTERN=… that pattern's alone
	$(if $(filter command line environment,$(origin PATTERN)),$(PATTERN_TESTS),$(ALL_TESTS))
TEST := -m pytest -m "not soak and not containers"
TWO := --numprocesses 2 --dist loadfile
# What is about mlsys is measured by coverage; it costs half as much time again, so the others are not. Many tests wait
# for processes, so two files of them are run at a time.
LAUNCHER := $(patsubst %,tests/e2e/test_%.py,make_run run_database run_redis)
MEASURED := $(TEST) $(TWO) tests/unit tests/protocol $(LAUNCHER)
OTHERS := $(TEST) $(TWO) $(patsubst %,--ignore=%,tests/unit tests/protocol $(LAUNCHER))
PATTERN_TESTS = @cd $(ROOT) && exec $(PY) $(TEST) $(PATTERN_DIRECTORY)
ALL_TESTS = @cd $(ROOT) && $(PY) -m coverage erase && $(PY) -m coverage run $(MEASURED) && \
	$(PY) -m coverage combine --quiet && $(PY) -m coverage report --fail-under=95 --skip-covered && exec $(PY) $(OTHERS)

test-soak: everything models  ## the long versions
	$(call install,ray)
	@cd $(ROOT) && exec $(PY) -m pytest -m soak

test-containers: everything models  ## Docker Compose, where a Docker daemon answers
	@cd $(ROOT) && exec $(PY) -m pytest -m containers

lint: everything  ## ruff: rules and format; sizes as a hint
	@cd $(ROOT) && $(PY) -m ruff check && $(PY) -m ruff format --check && $(PY) -m mk.sizes

format: everything  ## let ruff format everything
	@cd $(ROOT) && exec $(PY) -m ruff format

type: everything  ## mypy --strict
	@cd $(ROOT) && exec $(PY) -m mypy

bench: everything models  ## the benchmarks, into benchmarks/results
	@cd $(ROOT) && $(PY) -m benchmarks.web_single && $(PY) -m benchmarks.model_server && $(PY) -m benchmarks.prep_pred && \
		$(PY) -m benchmarks.release && $(PY) -m benchmarks.asynchronous && $(PY) -m benchmarks.prediction_cache && \
		$(PY) -m benchmarks.data_cache && $(PY) -m benchmarks.batch && $(PY) -m benchmarks.horizontal && \
		$(PY) -m benchmarks.vertical

docs: everything  ## write the generated parts of the READMEs
	@cd $(ROOT) && exec $(PY) -m mk.docs

lock:  ## resolve Pipfile anew, and export requirements/
	@cd $(ROOT) && exec $(INTERPRETER) -m mk.lock

ci: lint type test  ## what CI runs

doctor:  ## what this machine has, lacks, and what to type
	@cd $(ROOT) && exec $(INTERPRETER) -m mk.doctor

BUILDS := $(DIRECTORIES:%=build-%)
.PHONY: $(BUILDS)
build_all: $(BUILDS)  ## build the images of every pattern
$(BUILDS): build-%:
	@$(MAKE) -C $* build

clean:  ## remove runtime files and reports; models and environment stay
	$(call refuse_while_running,$(DIRECTORIES))
	@rm -rf $(DIRECTORIES:%=%/.run) $(ROOT)/.run $(ROOT)/.coverage* $(ROOT)/.pytest_cache $(ROOT)/.mypy_cache $(ROOT)/.ruff_cache
