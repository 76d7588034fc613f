# Included by the other files: where the root is, and the environment, made when it is lacking.
ROOT := $(patsubst %/mk/environment.mk,%,$(abspath $(lastword $(MAKEFILE_LIST))))
ifneq ($(words $(CURDIR)),1)
$(error make cannot work in a path with a space: $(CURDIR))
endif
PY := $(ROOT)/.venv/bin/python
export PYTHONPATH := $(ROOT)
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# What runs mk/ before there is an environment. If PYTHON names no program, python3 says so in a sentence.
INTERPRETER = $(or $(shell command -v $(or $(PYTHON),python3) || command -v python3),$(error There is no python3: apt \
install python3.11 python3.11-venv))

# $(call install,CATEGORIES): a recipe line; nothing happens in 0.1 s when they are there.
install = @cd $(ROOT) && exec $(INTERPRETER) -m mk.bootstrap $(1)
EVERYTHING := packages local inference training tracking database redis packaging template dev-packages

# $(call print_help): the targets of the makefiles read that carry a `## text`; of two with one name, the first.
print_help = @awk -F ':.*\#\# ' '/^[a-z_-]+:.*\#\# / && !told[$$1]++ {printf "%-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call refuse_while_running,DIRECTORIES): a recipe line; without an environment nothing can be running.
refuse_while_running = @$(if $(wildcard $(ROOT)/.venv/installed.json),$(PY) -m mlsys.run idle $(1),true)
