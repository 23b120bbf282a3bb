# make test    everything that the tests need, installed once, then all tests: needs Go, and Node.js with npm
# make build   ./mcpfirewall
# make lint    gofmt, go vet, staticcheck, govulncheck
# make cross   compiles for every supported system
# make bench   direct, bare relay and firewall side by side
# make fuzz    a short run of every fuzz test

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: build test deps lint cross bench fuzz

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
SYSTEMS     := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
FUZZTIME    ?= 10s

# The race detector needs cgo, and so a C compiler.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# The end-to-end tests run alone: the conformance suite's scenarios have time limits, and figures want a quiet machine.
ALONE := ./internal/e2e/... ./internal/bench/...
shown := | go run ./test/show

build:
	go build -trimpath -o mcpfirewall$(shell go env GOEXE) ./cmd/mcpfirewall

deps:
	test/setup.sh

test: deps
	$(if $(RACE),,@echo "SKIP race detector: no C compiler, so cgo is off")
	rc=0
	alone=$$(go list $(ALONE) 2>/dev/null || true)
	go test -json $(RACE) -timeout 20m $$(go list ./... | grep -vxF "$${alone:-none}") $(shown) || rc=1
	if [ -n "$$alone" ]; then go test -json $(RACE) -p 1 -count 1 -timeout 25m $$alone $(shown) || rc=1; fi
	exit $$rc

lint:
	rc=0
	unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; rc=1; fi
	go vet ./... || rc=1
	go run $(STATICCHECK) ./... || rc=1
	if out=$$(go run $(GOVULNCHECK) ./... 2>&1); then echo "$$out"; elif grep -q '^govulncheck: fetching vulnerabilities' <<<"$$out"; then
	  echo "SKIP govulncheck: the vulnerability database cannot be reached"
	else echo "$$out"; rc=1; fi
	exit $$rc

cross:
	for system in $(SYSTEMS); do
	  echo "cross: $$system"
	  CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} go build -o /dev/null ./cmd/mcpfirewall
	done
	for os in darwin windows; do echo "cross: tests for $$os"; CGO_ENABLED=0 GOOS=$$os GOARCH=amd64 go vet ./...; done

bench:
	go run ./internal/bench

fuzz:
	for package in $$(go list ./...); do
	  for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do
	    echo "fuzz: $$package $$target"
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package"
	  done
	done

.ONESHELL:
