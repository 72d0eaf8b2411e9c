# Sluice: `make` lists what there is to do.
#
#   ARCH             what the functions are built for: x86_64 or arm64 (this machine's; a release's own)
#   ARCHES, TAG      what `make release` makes archives for (x86_64 arm64), and the tag that has to be its version's
#   BUCKET           where the functions are uploaded
#   STACK            the name of the stream's stack (sluice-stream)
#   TEMPLATE         the template of the stream's stack (cfn/stream.yaml), for one of your own
#   HANDLERS_STACK   the name of the handlers' (sluice)
#   DATABASE_STACK   the name of the database's (sluice-database)
#   DB_INIT_STACK    the name of db-init's (sluice-db-init)
#   ARCHIVE_STACK    the name of the archive's (sluice-archive)
#   EXAMPLES_STACK   the name of the examples' (sluice-examples)
#   DATABASE_NAME    the database to create and to capture (app)
#   PARAMETERS       more parameters of the templates, as Name=Value words, quoted as for a shell
#   PARAMETERS_FILE  the same in a file, as a JSON object
#   MIGRATIONS       a folder with migrations of the database, V<n>__<name>.sql, that db-init is packaged with
#   SSL_CA           a file with the database's certificate authority, where it isn't RDS's own (the local cloud)
#   ROLE_ARN         a role that CloudFormation works as, in place of yours
#   TAGS             tags of the stacks, as Name=Value words
#   EXPRESS          1: the stacks of the stream, the archive and the examples are deployed in express mode
#   YES              1: `make destroy` asks nothing
#   SEED, ROUNDS     what `make chaos` does, and how much of it

# What is given on make's command line is taken as it was typed: make would put the variable `e` in the place of `$e`.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),\
  $(eval override $(name) := $$(value $(name)))$(eval export $(name))))

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

HOST_ARCH := $(subst aarch64,arm64,$(shell uname -m))
# Only a release has this file, which says what its functions were built for. They are there; the sources are not.
RELEASE :=
RELEASE_ARCH :=
-include release.mk
ARCH ?= $(or $(RELEASE_ARCH),$(HOST_ARCH))
ARCHES ?= x86_64 arm64
TAG ?=
STACK ?= sluice-stream
TEMPLATE ?= cfn/stream.yaml
HANDLERS_STACK ?= sluice
DATABASE_STACK ?= sluice-database
DB_INIT_STACK ?= sluice-db-init
ARCHIVE_STACK ?= sluice-archive
EXAMPLES_STACK ?= sluice-examples
DATABASE_NAME ?=
BUCKET ?=
PARAMETERS ?=
PARAMETERS_FILE ?=
MIGRATIONS ?=
SSL_CA ?=
ROLE_ARN ?=
TAGS ?=
EXPRESS ?=
YES ?=
SEED ?=
ROUNDS ?= 10
# The programs that deploy find these in their environment: no shell reads PARAMETERS.
export ARCH STACK TEMPLATE HANDLERS_STACK DATABASE_STACK DB_INIT_STACK ARCHIVE_STACK EXAMPLES_STACK DATABASE_NAME BUCKET
export PARAMETERS PARAMETERS_FILE MIGRATIONS SSL_CA ROLE_ARN TAGS EXPRESS YES PACKAGED SEED ROUNDS

VENV := .venv
BIN := $(VENV)/bin
OPERATE := $(BIN)/python -B cfn/operate
PACKAGED := target/cfn
# The AWS tools of today take AWS_REGION; these here know the older name only.
ifneq ($(AWS_REGION),)
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)

# One after the other, also under -j: the stream's stack is made from the database's outputs.
.NOTPARALLEL:

.PHONY: help setup account build examples test test-mysql test-programs explore demo chaos bench compare cloud breakages lint package package-examples \
  check release release-tag package-stream deploy deploy-handlers deploy-database deploy-db-init deploy-stream deploy-archive deploy-examples plan status destroy fault-table rds-bundle clean

# In a release, those that need no sources.
help: TARGETS := $(if $(RELEASE),(account|check|package|deploy|plan|status|destroy)[a-z-]*,[a-z-]+)
help: ## list the targets
	@grep -hE '^$(TARGETS):.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## the Python environment and a MySQL-compatible server, where they are missing
	@tests/setup-mysql.sh >/dev/null

# A new folder in place of an old one, so that what was unpinned goes.
REQUIREMENTS := cfn/operate/requirements.txt $(if $(RELEASE),,tests/cloud/requirements.txt)
$(VENV)/.ready: $(REQUIREMENTS)
	@command -v python3 >/dev/null || { echo "Sluice needs Python 3.10 or newer: install python3 and try again" >&2; exit 1; }
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement $(lastword $(REQUIREMENTS))
	touch $@

$(VENV)/checkov/.ready: tests/cloud/checkov.txt $(VENV)/.ready
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement tests/cloud/checkov.txt
	touch $@

EXAMPLES := --package change-event --example stream-subscriber --example row-writer

ifdef RELEASE
build examples: $(VENV)/.ready
	@[ "$(ARCH)" = "$(RELEASE_ARCH)" ] || { echo "The functions here are built for $(RELEASE_ARCH): for $(ARCH), take that archive of the release" >&2; exit 1; }
else
build: $(VENV)/.ready ## the three functions, into target/lambda/<name>/bootstrap (ARCH=arm64 for Graviton)
	cargo lambda build --release --locked $(if $(filter arm64,$(ARCH)),--arm64,--x86-64)

examples: $(VENV)/.ready ## the two example functions, a consumer and a row writer, likewise
	cargo lambda build --release --locked $(if $(filter arm64,$(ARCH)),--arm64,--x86-64) $(EXAMPLES)
endif

# What runs on this machine: on Linux the functions as Lambda gets them; elsewhere the same sources for this system.
# They say for themselves what db-init runs: files of an earlier deployment go.
.PHONY: functions without-migrations
without-migrations:
	@rm -rf target/lambda/db-init/migrations
ifeq ($(shell uname -s),Linux)
functions: ARCH := $(HOST_ARCH)
functions: build examples without-migrations
else
functions: $(VENV)/.ready without-migrations
	cargo lambda build --release --locked --compiler cargo --lambda-dir target/local
	cargo lambda build --release --locked --compiler cargo --lambda-dir target/local $(EXAMPLES)
export SLUICE_LAMBDA_DIR := $(CURDIR)/target/local
endif

test: setup functions ## units, components, the real binaries, the lifecycle in the local cloud
	cargo test --workspace --locked

test-mysql: ## db-init and the engine behind DMS, on MySQL itself: the machine's, or one fetched into target/mysql, without root
	@server=$$(tests/setup-mysql.sh mysql) && export SLUICE_MYSQLD="$$server" && set -x && \
	  cargo test --locked --package plays --test db_init --test rds_stand_in --test replica -- --include-ignored

test-programs: setup functions ## the programs' own tests, which `make test` leaves out: units, a short chaos, a short comparison
	cargo test --locked --package programs --lib --test chaos --test compare

demo: setup functions ## watch the stacks being created, updated, rolled back and deleted on this machine
	@cargo build --quiet --locked --package programs --bin demo
	@target/debug/demo

bench: setup functions ## what the functions cost, next to an echo; writes docs/benchmark.md (Linux)
	cargo lambda build --quiet --release --locked --package echo $(if $(filter arm64,$(HOST_ARCH)),--arm64,--x86-64)
	@cargo build --quiet --locked --package programs --bin bench
	@target/debug/bench

chaos: setup functions ## random operations and trouble while rows are written (SEED=…, ROUNDS=10)
	@cargo build --quiet --locked --package programs --bin chaos
	@target/debug/chaos

compare: setup functions ## Sluice against a plain template and common snippets; writes docs/comparison.md (seven minutes)
	@cargo build --quiet --locked --package programs --bin compare
	@target/debug/compare

cloud: setup functions ## the local cloud alone, to deploy into; Ctrl-C ends it
	@cargo build --quiet --locked --package programs --bin cloud
	@target/debug/cloud

explore: ## every order in which handlers, CloudFormation and an operator can come (half an hour)
	SLUICE_EXPLORE=all cargo test --locked --package plays --test deployments whoever -- --nocapture

breakages: setup functions ## break Sluice in the places of tests/breakages, which tests have to notice; writes docs/breakages.md (an hour)
	$(BIN)/python -B tests/breakages

lint: $(VENV)/.ready $(VENV)/checkov/.ready ## rustfmt, clippy, rustdoc, cargo-deny, cfn-lint, checkov, yamllint, ruff
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --debug cargo-deny@0.20.2
	cargo deny --locked --log-level error check licenses bans sources
	cfn-lint
	$(VENV)/checkov/bin/checkov
	yamllint --strict .cfnlintrc.yaml .checkov.yaml .yamllint.yaml .github cfn
	ruff check --no-cache cfn/operate release tests/breakages
	ruff format --no-cache --check cfn/operate release tests/breakages
	@if python -c "import tomllib" 2>/dev/null; then python -B tests/breakages --places; fi

RELEASES := target/release-archives

release: release-tag $(ARCHES:%=release-%) ## what is deployed without Rust: an archive for each of ARCHES (x86_64 arm64), in target/release-archives
	@ls $(RELEASES)

release-tag: $(VENV)/.ready
	@$(if $(TAG),$(BIN)/python -B release tag "$(TAG)")

# The paths of this machine stay out of the functions, so that the same sources give the same bytes elsewhere.
CARGO_HOME ?= $(HOME)/.cargo
release-%: export RUSTFLAGS := --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/sluice
# Other flags make all anew: the other builds keep theirs.
release-%: export CARGO_TARGET_DIR := $(CURDIR)/target/release-build
release-%: LAMBDA = cargo lambda build --release --locked $(if $(filter arm64,$*),--arm64,--x86-64) --lambda-dir $(RELEASES)/$*
release-%: $(VENV)/.ready
	@$(LAMBDA) && $(LAMBDA) $(EXAMPLES) || { echo "There is no release for $* from this machine: is its Rust target installed ($(subst arm64,aarch64,$*)-unknown-linux-gnu)? ARCHES leaves it out" >&2; exit 1; }
	@$(BIN)/python -B release archive $* $(RELEASES)/$* $(RELEASES)

check: $(VENV)/.ready ## what is wrong with the way that Sluice is wired into a template (TEMPLATE=…); needs no account
	@$(OPERATE) check

account: $(VENV)/.ready ## whether there are an account, a region and the bucket to work with
	@$(OPERATE) account

package: TEMPLATES := handlers=cfn/handlers.yaml db-init=cfn/db-init.yaml
package: account build package-stream ## upload the functions to s3://BUCKET; the templates that refer to them go to target/cfn
	@$(OPERATE) migrations
	@$(UPLOAD)

package-stream: TEMPLATES := database=cfn/database.yaml stream="$$TEMPLATE" archive=cfn/archive.yaml
package-stream: account
	@$(UPLOAD)

package-examples: TEMPLATES := examples=cfn/examples.yaml
package-examples: account examples
	@$(UPLOAD)

define UPLOAD
mkdir -p "$$PACKAGED"; \
for template in $(TEMPLATES); do \
  aws cloudformation package --template-file "$${template#*=}" --s3-bucket "$$BUCKET" \
    --output-template-file "$$PACKAGED/$${template%%=*}.yaml" 2>&1 >/dev/null \
    | tr '\r' '\n' | { grep -v '^Uploading' || true; } >&2; \
done
endef

deploy: package ## the handlers, the database, db-init and the stream, into whatever account or endpoint is configured (BUCKET=…, MIGRATIONS=folder)
	@$(OPERATE) deploy

deploy-handlers deploy-db-init: package
	@$(OPERATE) $@

deploy-database deploy-stream deploy-archive: package-stream
	@$(OPERATE) $@

deploy-examples: package-examples ## a consumer that logs the changes of a table, and a function that writes rows to try it
	@$(OPERATE) deploy-examples

plan: package ## what `make deploy` would change, and which tasks would pause; nothing is changed
	@$(OPERATE) plan

status: $(VENV)/.ready ## the stacks, their tasks, what the handlers did last, and the alarms
	@$(OPERATE) status

destroy: $(VENV)/.ready ## delete the stacks, after saying what goes and what stays
	@$(OPERATE) destroy

fault-table: setup functions ## play every fault, and write docs/faults.md anew
	SLUICE_WRITE_DOCS=1 cargo test --locked --package plays --test faults

rds-bundle: ## fetch Amazon's certificates for RDS anew, into the source of db-init
	crates/db-init/data/refresh.sh

clean: ## remove what was built, and the Python environment
	cargo clean
	rm -rf $(VENV)
