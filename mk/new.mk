# `make new` and `make update`, at the root and in template_pattern: a pattern, or with to=DIRECTORY a project of its own.
include $(dir $(lastword $(MAKEFILE_LIST)))environment.mk
TEMPLATE := chapter4_serving_patterns/template_pattern
# All that stands on make's command line but PYTHON, which is mk.bootstrap's: a misspelt variable is refused and not left
# out. make puts them into the environment, from where the shell takes them as they are.
GIVEN = $(foreach variable,$(filter-out PYTHON,$(.VARIABLES)),$(if $(filter command,$(origin $(variable))),$(variable)))
NEW = $(foreach variable,$(GIVEN),--$(variable)="$$$(variable)")

.PHONY: new update

new:  ## make a pattern, or with to=DIRECTORY a project of its own (name=my_pattern model=iris_svc)
	$(call install,packages local inference training packaging template dev-packages)
	@cd $(ROOT) && $(PY) -m $(subst /,.,$(TEMPLATE)).new --here=$(CURDIR) $(NEW) && $(if $(to),true,exec $(PY) -m mk.docs)

update:  ## bring later changes of the template into a project (to=DIRECTORY); its own changes are kept
	$(call install,packages local inference training packaging template dev-packages)
	@cd $(ROOT) && exec $(PY) -m $(subst /,.,$(TEMPLATE)).update --here=$(CURDIR) $(NEW)

ifndef AT_ROOT
.PHONY: help test

help:  ## this list
	$(call print_help)

test:  ## its tests
	$(call install,$(EVERYTHING))
	@cd $(ROOT) && exec $(PY) -m pytest -m "not soak and not containers" $(CURDIR)
endif
