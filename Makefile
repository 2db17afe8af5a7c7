# What a person does with a checkout. `make` alone lists it.

CARGO ?= cargo
# Where cargo puts what it builds.
TARGET = $(or $(CARGO_TARGET_DIR),target)
STREAMPIPELINE = $(TARGET)/debug/streampipeline

# Tests want more features of some dependencies than the programs do, and cargo counts that only if it builds a test. With
# the whole workspace and its smallest test, a program has the same dependencies as `make test`: nothing is built twice.
BUILD = $(CARGO) build --locked --workspace --test shutdown

NODE_FEATURES = --features testbed/node,operator/node
# Built with the programs, for the same reason.
NODE_TESTS = --test node --test node_leftovers

.DEFAULT_GOAL := help
.PHONY: help build run test test-node test-upgrade record lint deny generate bench

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the command `streampipeline`: target/debug/streampipeline
	$(BUILD) --bin streampipeline

run: build ## Run the pipeline music for a minute: embedded broker, SQLite, live view, audit, reports
	$(STREAMPIPELINE) up --file deploy/pipelines/music.yaml --for 60s

test: ## Run every test, against real Kafka and PostgreSQL (fetched once; needs a JDK and Maven)
	$(CARGO) test --locked --workspace
	charts/check

test-node: ## Run the tests that run pods on a Kubernetes node (root; installs containerd where it is missing)
	testbed/install-node
	$(CARGO) build --locked --workspace $(NODE_FEATURES) $(NODE_TESTS) --bins
	$(CARGO) test --locked --workspace $(NODE_FEATURES) $(NODE_TESTS)

# The release before this one, or any other revision.
FROM = e766835

test-upgrade: ## Replace the programs of a revision (FROM=e766835) by these while a pipeline runs: upgrade/README.md
	$(CARGO) build --locked --release $(RELEASE)
	$(BUILD) --bin upgrade
	programs=$$(bench/build-revision $(FROM) $(RELEASE)) && \
	$(TARGET)/debug/upgrade run --old "$$programs" --new $(TARGET)/release

record: ## Write down what these programs leave behind, for the tests of the releases after: upgrade/README.md
	$(BUILD) --bins
	revision=$$(git rev-parse --short=7 HEAD) && export STREAMPIPELINE_RECORD="$$revision" && \
	$(TARGET)/debug/upgrade record --programs $(TARGET)/debug --revision "$$revision" && \
	$(CARGO) test --locked --workspace --test it --test recorded record -- --ignored

lint: deny ## Check format, lints, licences and dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets $(NODE_FEATURES) -- --deny warnings

# Not everyone has cargo-deny; CI does, so nothing slips through.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check bans licenses sources; \
	else \
		echo "cargo-deny is not installed (cargo install cargo-deny): licences and dependencies are not checked"; \
	fi

generate: ## Write what is generated from code: the custom resource definition, docs/cli.md, and what the chart has of them
	$(BUILD) --bin streampipeline --bin streampipeline-operator
	mkdir -p deploy/crd docs
	$(STREAMPIPELINE) crd > deploy/crd/streampipelines.yaml.new
	$(STREAMPIPELINE) help-markdown > docs/cli.md.new
	mv deploy/crd/streampipelines.yaml.new deploy/crd/streampipelines.yaml
	mv docs/cli.md.new docs/cli.md
	for scope in watched own cluster; do \
		$(TARGET)/debug/streampipeline-operator rbac $$scope > charts/streampipeline/files/rbac/$$scope.yaml.new && \
		mv charts/streampipeline/files/rbac/$$scope.yaml.new charts/streampipeline/files/rbac/$$scope.yaml || exit 1; \
	done
	charts/check --write

# The programs of the image, and what drives them.
RELEASE = --package operator --package worker --package generator --package cli --package bench

bench: ## Measure speed next to named baselines, or next to a revision (AGAINST=main), or parts of it (BENCH="worker spark"): docs/benchmarks.md
	$(CARGO) build --locked --release $(RELEASE)
ifdef AGAINST
	programs=$$(bench/build-revision $(AGAINST) $(RELEASE)) && $(TARGET)/release/bench $(BENCH) --against "$$programs"
else
	$(TARGET)/release/bench $(BENCH)
endif
