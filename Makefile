# Sluice: `make` lists what there is to do.
#
#   ARCH       what the functions are built for: x86_64 or arm64 (this machine's)
#   STACK      the name of the stream's stack (sluice-stream); the database's is DATABASE_STACK (sluice-database)
#   BUCKET     where `make package` and `make deploy` upload the functions
#   PARAMETERS more parameters for `make deploy-stream`, as Name=Value words
#   SSL_CA     a file with the database's certificate authority, where it isn't RDS's own (the local cloud)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

HOST_ARCH := $(subst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
STACK ?= sluice-stream
DATABASE_STACK ?= sluice-database
DATABASE_NAME ?= app
BUCKET ?=
PARAMETERS ?=
SSL_CA ?=

VENV := .venv
BIN := $(VENV)/bin
LAMBDA_DIR := target/lambda
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup build test demo cloud lint package deploy deploy-database deploy-stream fault-table rds-bundle clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## the Python environment and a MySQL-compatible server, where they are missing
	@tests/setup-mysql.sh

# A new folder in place of an old one, so that what was unpinned goes.
$(VENV)/.ready: tests/cloud/requirements.txt
	@command -v python3 >/dev/null || { echo "Sluice needs Python 3.10 or newer: install python3 and try again" >&2; exit 1; }
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement tests/cloud/requirements.txt
	touch $@

build: $(VENV)/.ready ## the three functions, into target/lambda/<name>/bootstrap (ARCH=arm64 for Graviton)
	cargo lambda build --release --locked $(if $(filter arm64,$(ARCH)),--arm64,--x86-64)

# What runs on this machine: on Linux the functions as Lambda gets them; elsewhere the same sources for this system.
.PHONY: functions
ifeq ($(shell uname -s),Linux)
functions: ARCH := $(HOST_ARCH)
functions: build
else
functions: $(VENV)/.ready
	cargo lambda build --release --locked --compiler cargo --lambda-dir target/local
export SLUICE_LAMBDA_DIR := $(CURDIR)/target/local
endif

test: setup functions ## everything: units, components, the real binaries, the lifecycle in the local cloud
	cargo test --workspace --locked

demo: setup functions ## watch the stacks being created, updated, rolled back and deleted on this machine
	@cargo build --quiet --locked --package stage --bin demo
	@target/debug/demo

cloud: setup functions ## the local cloud alone, to deploy into; Ctrl-C ends it
	@cargo build --quiet --locked --package stage --bin cloud
	@target/debug/cloud

lint: $(VENV)/.ready ## rustfmt, clippy, rustdoc, cargo-deny, cfn-lint, yamllint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	cargo deny --locked --log-level error check licenses bans sources
	cfn-lint
	yamllint --strict .cfnlintrc.yaml .yamllint.yaml cfn

package: build ## upload the functions to s3://BUCKET; the templates that refer to them go to target/cfn
	@test -n "$(BUCKET)" || { echo "Name the bucket: make package BUCKET=my-artifacts" >&2; exit 1; }
	@mkdir -p target/cfn
	@for name in database stream; do \
	  aws cloudformation package --template-file cfn/$$name.yaml --s3-bucket "$(BUCKET)" \
	    --output-template-file target/cfn/$$name.yaml 2>&1 >/dev/null \
	    | tr '\r' '\n' | { grep -v '^Uploading' || true; } >&2; \
	  echo "target/cfn/$$name.yaml"; \
	done

deploy: deploy-database deploy-stream ## both stacks, into whatever account or endpoint is configured (BUCKET=…)

deploy-database: package ## the database's stack alone
	aws cloudformation deploy --no-fail-on-empty-changeset --stack-name "$(DATABASE_STACK)" \
	  --template-file target/cfn/database.yaml --capabilities CAPABILITY_IAM \
	  --parameter-overrides Architecture=$(ARCH) DatabaseName=$(DATABASE_NAME) \
	  $(if $(SSL_CA),"SslCa=$$(cat $(SSL_CA))")

deploy-stream: package ## the stream's stack alone; with a database of your own: PARAMETERS='VpcId=… SubnetIds=… …'
	@set -- $(PARAMETERS); \
	case "$(PARAMETERS)" in *VpcId=*) ;; *) \
	  outputs=$$(aws cloudformation describe-stacks --stack-name "$(DATABASE_STACK)" --output text \
	    --query "Stacks[0].Outputs[].join('=', [OutputKey, OutputValue])" | tr '\t' '\n'); \
	  output() { sed -n "s/^$$1=//p" <<<"$$outputs"; }; \
	  set -- "$$@" VpcId="$$(output VpcId)" SubnetIds="$$(output PrivateSubnetIds)" \
	    SecurityGroupIds="$$(output StreamSecurityGroupId)" SourceSecretArn="$$(output SecretArn)" \
	    SchemaName="$$(output DatabaseName)";; \
	esac; \
	aws cloudformation deploy --stack-name "$(STACK)" --template-file target/cfn/stream.yaml \
	  --capabilities CAPABILITY_NAMED_IAM \
	  --parameter-overrides Architecture=$(ARCH) DeploymentId="$$(date -u +%Y%m%dT%H%M%SZ)" "$$@"

fault-table: setup functions ## play every fault, and write docs/faults.md anew
	SLUICE_WRITE_DOCS=1 cargo test --locked --package stage --test faults

rds-bundle: ## fetch Amazon's certificates for RDS anew, into the source of db-init
	crates/db-init/data/refresh.sh

clean: ## remove what was built, and the Python environment
	cargo clean
	rm -rf $(VENV)
