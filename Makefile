# SPDX-License-Identifier: Apache-2.0
#
# `make run` and `make test` do all of their own set-up; `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Arguments passed on: make run ARGS=--no-stay
ARGS ?=
# What `make bench` measures.
BENCH ?= locks
# How long `make kill-run` and `make cache-run` go on, in seconds.
SPAN ?= 600
# The simulator's seeds: one to replay, or how many to run.
SEED ?=
SEEDS ?= 50

.PHONY: help run test check format sim bench kill-run cache-run cluster docker-test rewrite clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: ## Build it and show it: three real nodes, a guided tour, then they stay up until Ctrl-C (ARGS=--no-stay)
	@scripts/setup.sh build
	@swift build -c release --product syncline
	@.build/release/syncline demo $(ARGS)

test: ## Everything that must hold: unit, simulation and cluster tests (installs what they need)
	@scripts/test.sh

check: ## What a commit must pass: formatting, no warnings, imports declared, then all tests
	@scripts/setup.sh build
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests
	@SYNCLINE_STRICT=1 swift build -c release --explicit-target-dependency-import-check error
	@scripts/test.sh

format: ## Format every source file in place
	@swift format --in-place --recursive --parallel Package.swift Sources Tests

sim: ## Simulated clusters under faults: SEEDS=50, or SEED=7 to replay one (ARGS for more)
	@scripts/setup.sh build
	@swift build -c release --product syncline-sim
	@.build/release/syncline-sim $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS)) $(ARGS)

bench: ## Latency and throughput on a fresh three-node cluster: BENCH=locks or queues (ARGS="--seconds 3")
	@scripts/setup.sh build
	@swift build -c release --product syncline
	@scripts/cluster.sh .build/release/syncline bench $(BENCH) $(foreach port,7700 7710 7720,--endpoint 127.0.0.1:$(port)) $(ARGS)

kill-run: ## Random kill -9 of nodes, producers and consumers at work: SPAN=600 seconds
	@scripts/setup.sh test
	@SYNCLINE_STRICT=1 SYNCLINE_TESTING=1 swift build -c release --build-tests
	@SYNCLINE_STRICT=1 SYNCLINE_TESTING=1 SYNCLINE_KILL_SECONDS=$(SPAN) SWIFT_BACKTRACE=enable=no \
		SYNCLINE_BINARY=$$PWD/.build/release/syncline swift test -c release --skip-build --disable-xctest \
		--no-parallel --filter '^ClusterTests\.RealProcesses/Queues/randomKills'

cache-run: ## Nodes and Redis killed, paused, cut off, cache clients at work, histories checked: SPAN=600 s each
	@scripts/setup.sh test
	@SYNCLINE_STRICT=1 SYNCLINE_TESTING=1 swift build -c release --build-tests
	@SYNCLINE_STRICT=1 SYNCLINE_TESTING=1 SYNCLINE_CACHE_SECONDS=$(SPAN) SWIFT_BACKTRACE=enable=no \
		SYNCLINE_BINARY=$$PWD/.build/release/syncline swift test -c release --skip-build --disable-xctest \
		--no-parallel --filter '^ClusterTests\.RealProcesses/(Caches|CacheMemoryFaults)/randomFaults'

cluster: ## Three nodes on this machine until Ctrl-C, with data under data/
	@scripts/setup.sh build
	@swift build -c release --product syncline
	@scripts/cluster.sh

docker-test: ## The containers on a real engine: build, compose, network cut, kill (slow; installs an engine if none)
	@deploy/docker/test.sh $(ARGS)

rewrite: ## Run the script tests and write what they answer into their files; look at the diff before you commit it
	@scripts/rewrite.sh

clean: ## Remove everything that was built
	@rm -rf .build .build-planted .build-venv .build-docker
