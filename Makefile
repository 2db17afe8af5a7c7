# What a person does with a checkout. `make` alone lists it.

CARGO ?= cargo
STREAMPIPELINE = $(CARGO) run --locked --quiet --package cli --bin streampipeline --

NODE_FEATURES = --features testbed/node,operator/node
# Built with the programs, these make cargo choose the same features of dependencies as `make test`: nothing is built twice.
NODE_TESTS = --test node --test node_leftovers

.DEFAULT_GOAL := help
.PHONY: help run test test-node lint deny generate bench

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run the pipeline music for a minute: embedded broker, SQLite, live view, audit, reports
	$(CARGO) build --locked --package cli
	$(STREAMPIPELINE) up --file deploy/pipelines/music.yaml --for 60s

test: ## Run every test, against real Kafka and PostgreSQL (fetched once; needs a JDK and Maven)
	$(CARGO) test --locked --workspace
	charts/check

test-node: ## Run the tests that run pods on a Kubernetes node (root; installs containerd where it is missing)
	testbed/install-node
	$(CARGO) build --locked --workspace $(NODE_FEATURES) $(NODE_TESTS) --bins
	$(CARGO) test --locked --workspace $(NODE_FEATURES) $(NODE_TESTS)

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
	$(CARGO) build --locked --package cli --package operator
	mkdir -p deploy/crd docs
	$(STREAMPIPELINE) crd > deploy/crd/streampipelines.yaml.new
	$(STREAMPIPELINE) help-markdown > docs/cli.md.new
	mv deploy/crd/streampipelines.yaml.new deploy/crd/streampipelines.yaml
	mv docs/cli.md.new docs/cli.md
	for scope in watched own cluster; do \
		$(CARGO) run --locked --quiet --package operator --bin streampipeline-operator -- rbac $$scope > charts/streampipeline/files/rbac/$$scope.yaml.new && \
		mv charts/streampipeline/files/rbac/$$scope.yaml.new charts/streampipeline/files/rbac/$$scope.yaml || exit 1; \
	done
	charts/check --write

bench: ## Measure speed next to named baselines (BENCH="python spark" for those, BENCH=operator for a part); docs/benchmarks.md has the table
	$(CARGO) build --locked --release --package worker --package generator
	$(CARGO) build --locked --release --package operator
	$(CARGO) build --locked --release --package bench
	target/release/bench $(BENCH)
