# The verbs of a pattern, the same for all. A pattern's Makefile sets what differs and includes this file:
#   MODELS   the models it serves, by the names that `python -m mlsys.train` takes
#   NEEDS    categories of Pipfile.lock beyond those of every service (database, redis, packaging)
#   PICTURES yes, if it needs the sample photographs in models/pictures/
#   IMAGES   folders, from the root, of other patterns whose images it runs too: `make build` builds them first
#   SECRETS  names of the variables that get random values, once, in .run/secrets.env; what the environment has, wins
# The root's Makefile includes it too (AT_ROOT), so that `make run PATTERN=…` needs no make under make, which would
# report every Ctrl-C as an error.
PATTERN_DIRECTORY ?= $(CURDIR)
include $(dir $(lastword $(MAKEFILE_LIST)))environment.mk
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
COMPOSE_FILE := $(PATTERN_DIRECTORY)/docker-compose.yml
KUBECTL ?= kubectl
SECRETS_FILE := $(PATTERN_DIRECTORY)/.run/secrets.env
IN_COMPOSE = $(COMPOSE) $(if $(SECRETS),--env-file $(SECRETS_FILE)) -f $(COMPOSE_FILE)
IN_NAMESPACE = $(KUBECTL) --namespace $(NAMESPACE)
NAMESPACE = $(subst _,-,$(notdir $(PATTERN_DIRECTORY)))

.PHONY: run stop demo build up down deploy undeploy model_files secrets serving_environment

serving_environment:
	$(call install,packages local inference training $(NEEDS))

model_files: serving_environment
	@cd $(ROOT) && $(if $(MODELS),exec $(PY) -m mlsys.train $(MODELS),true)
	$(if $(PICTURES),@cd $(ROOT) && exec $(PY) -m mlsys.pictures)

secrets: $(if $(SECRETS),serving_environment)
	$(if $(SECRETS),@$(PY) -m mlsys.secret $(PATTERN_DIRECTORY) $(SECRETS))

# One simple command, so that make starts it without a shell between and signals reach it; make gives it the mark too.
run: export MLSYS_RUN = $(PATTERN_DIRECTORY)
run: model_files secrets  ## start it here, without Docker; Ctrl-C stops it (PORT=8001 WORKERS=4 …)
	@$(PY) -m mlsys.run run $(PATTERN_DIRECTORY)

stop: serving_environment  ## end what runs of it, also what a crash has left
	@$(PY) -m mlsys.run stop $(PATTERN_DIRECTORY)

demo: model_files secrets  ## see it work, on a free port or at URL=http://…
	@$(PY) -m mlsys.run demo $(PATTERN_DIRECTORY)

build: model_files secrets $(IMAGES:%=images_of/%)  ## build its images
	@$(IN_COMPOSE) build

images_of/%: model_files secrets
	@$(COMPOSE) $(if $(SECRETS),--env-file $(SECRETS_FILE)) -f $(ROOT)/$*/docker-compose.yml build

up: secrets  ## start it by Docker Compose
	@$(IN_COMPOSE) up -d

down: secrets  ## stop what `up` started, and remove its volumes
	@$(IN_COMPOSE) down -v

deploy: secrets  ## put it into the Kubernetes cluster that kubectl points to
	$(if $(SECRETS),@$(KUBECTL) apply -f $(PATTERN_DIRECTORY)/manifests/00-namespace.yaml)
	$(if $(SECRETS),@test -n "$$($(IN_NAMESPACE) get secret $(NAMESPACE) --ignore-not-found --output name)" || \
	$(IN_NAMESPACE) create secret generic $(NAMESPACE) --from-env-file $(SECRETS_FILE))
	@$(KUBECTL) apply -f $(PATTERN_DIRECTORY)/manifests/

undeploy:  ## take it out of the cluster
	@$(KUBECTL) delete -f $(PATTERN_DIRECTORY)/manifests/

ifndef AT_ROOT
.PHONY: help test clean

help:  ## this list
	$(call print_help)

test: model_files  ## its tests
	$(call install,$(EVERYTHING))
	@cd $(ROOT) && exec $(PY) -m pytest -m "not soak and not containers" $(PATTERN_DIRECTORY)

clean:  ## remove its runtime files
	$(call refuse_while_running,$(PATTERN_DIRECTORY))
	@rm -rf $(PATTERN_DIRECTORY)/.run
endif
