# Everything a developer or CI does with Gowhisk. `make help` lists the targets.

SHELL      := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO          ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2

VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The commit's time, not the clock's, so that the same sources give the same binary.
BUILD_TIME := $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
# Without cgo: one file that runs anywhere, and containers that start faster.
LDFLAGS    := -s -w -X main.version=$(VERSION) -X main.built=$(BUILD_TIME)

GOWHISK    := $(CURDIR)/bin/gowhisk
# The suites that start real servers; they have targets of their own.
SUITES     := conformance standalone chaos clients docker cluster
# Tests that need a Docker engine belong to its suite.
DOCKER     := test/docker test/images invoker/container/docker
# A suite is one test binary that keeps both cores of a small machine busy: never two at a time.
SUITE_TEST  = GOWHISK_BIN=$(GOWHISK) $(GO) test -count=1 -p 1 -timeout $(1) $(if $(V),-v) $(if $(RUN),-run '$(RUN)')

.PHONY: help build run test test-unit $(SUITES:%=test-%) test-images bench images fuzz lint fmt clean provision bin/controller bin/invoker bin/gowhisk

help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  V=1 makes the test targets verbose, RUN=regexp picks tests of a suite."

build: bin/controller bin/invoker bin/gowhisk ## Build bin/controller, bin/invoker and bin/gowhisk

bin/controller:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./controller

bin/invoker:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./invoker

bin/gowhisk:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./standalone

run: bin/gowhisk ## Build and start the demonstration: a server on this machine with sample actions
	$(GOWHISK) demo $(ARGS)

test: lint build test-unit $(SUITES:%=test-%) ## Everything that CI checks

test-unit: ## Unit and in-process tests of every package, under the race detector
	scripts/provision runtimes couchdb
	$(GO) test -race -timeout 15m $(if $(V),-v) $$($(GO) list ./... | grep -vE '/(test/($(subst $() ,|,$(SUITES)))|$(subst $() ,|,$(DOCKER)))$$')

test-images: images ## The conformance suite of runtimes in their images; needs a Docker engine
	$(GO) test -count=1 -timeout 30m $(if $(V),-v) $(if $(RUN),-run '$(RUN)') ./test/images

test-standalone: bin/gowhisk ## One server: start, stop, limits, hostile actions, runtimes
	scripts/provision runtimes
	$(call SUITE_TEST,15m) ./test/standalone

test-conformance: bin/gowhisk ## The numbered cases of the OpenWhisk REST contract
	scripts/provision runtimes
	$(call SUITE_TEST,10m) ./test/conformance

test-chaos: bin/gowhisk ## kill -9 under load: every accepted activation has one record and ran at most once
	scripts/provision runtimes
	$(call SUITE_TEST,10m) ./test/chaos

test-clients: bin/gowhisk ## Unmodified OpenWhisk clients
	scripts/provision runtimes clients
	$(call SUITE_TEST,10m) ./test/clients

test-docker: bin/gowhisk ## Containers of a Docker engine: conformance, kills, escapes, images, registries
	scripts/provision runtimes docker-images docker-registry docker-bases
	scripts/images
	GOWHISK_TEST_CONTAINERS=docker $(call SUITE_TEST,15m) ./test/conformance ./test/chaos
	$(call SUITE_TEST,20m) $(DOCKER:%=./%)

test-cluster: bin/gowhisk bin/controller bin/invoker ## Clusters of real processes over Apache Kafka: conformance, kills, upgrades, wrong settings
	scripts/provision runtimes couchdb kafka nginx faketime
	GOWHISK_BIN_DIR=$(CURDIR)/bin $(call SUITE_TEST,25m) ./test/cluster

bench: bin/gowhisk ## Measure latency, throughput, start and memory; writes build/bench.json
	scripts/provision runtimes couchdb kafka nginx docker-images
	$(GO) run ./test/bench -gowhisk $(GOWHISK) -out build/bench.json $(ARGS)

images: ## Build the runtime images; KINDS="nodejs:20 php" picks some
	scripts/images $(KINDS)

fuzz: ## Run every fuzz target for FUZZTIME (default 5s)
	scripts/fuzz $(or $(FUZZTIME),5s)

lint: ## gofmt, go vet for Linux and macOS, staticcheck, import rules
	scripts/check-format
	GOOS=linux $(GO) vet ./...
	GOOS=darwin CGO_ENABLED=0 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -count=1 ./test/architecture

fmt: ## Format the sources
	gofmt -w $$(git ls-files '*.go')

provision: ## Install what the tests need beside Go, as far as this user may
	scripts/provision runtimes clients couchdb kafka nginx faketime docker-images docker-registry

clean: ## Remove what was built
	rm -rf bin build test/clients/node_modules test/clients/serverless/node_modules test/couchdb/node_modules
