# What a person calls. .ci/run calls the same.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
# One request at a time has no use for HTTP/2, which is half a megabyte of the program.
TAGS     = nethttpomithttp2

# Where the rooms of arcade are; those of tests are e2e, fire and docstest.
ROOMS = ./cmd/arcade/internal

# Pinned: a linter that changes by itself turns main red by itself.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# Pinned like the linter.
VULNCHECK   = golang.org/x/vuln/cmd/govulncheck@v1.9.0
GORELEASER  = github.com/goreleaser/goreleaser/v2@v2.16.0

.PHONY: help build test torture lint vuln bench bench-process cost fuzz mutate demo pictures man notices completions cross release-check snapshot release clean

build: ## the two programs, in bin/
	@[ -e bin/arcade ] || echo "The first build compiles SQLite, which takes minutes."
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/arcade ./cmd/sink

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The race detector needs a C compiler, and there is none for Windows on ARM: such a machine tests without it. It
# looks at all code but the C of SQLite, which has no goroutine of ours and takes most of the time. A package that
# uses sync.Map must not be left out: its copy of the generic code serves the whole program, and races are then
# reported where there are none.
RACING = -race -gcflags=modernc.org/sqlite/lib=-race=false
RACE = $(shell [ "$$($(GO) env GOOS)/$$($(GO) env GOARCH)" != windows/arm64 ] && command -v "$$($(GO) env CC)" > /dev/null 2>&1 && echo $(RACING))

# Whole processes are three times as fast without the detector, which `make torture` gives them. The page of
# the report has no goroutines.
test: ## every test, with the race detector but for whole processes, in random order
	@[ -n "$(RACE)" ] || echo "testing without the race detector"
	GORACE=atexit_sleep_ms=0 $(GO) test $(RACE) -p 2 -parallel 4 -shuffle=on -timeout 20m $(filter-out %/e2e %/docstest %/fire %/report,$(shell $(GO) list ./...))
	$(GO) test -p 2 -parallel 8 -shuffle=on -timeout 20m $(ROOMS)/e2e $(ROOMS)/docstest $(ROOMS)/report
	$(GO) test -parallel 4 -shuffle=on -timeout 20m $(ROOMS)/fire

ROUNDS ?= 500
SEED   ?=
torture: ## the promises under fire, with the race detector and in the long form; SEED=n repeats a run's plan
	ARCADE_TORTURE_ROUNDS=$(ROUNDS) ARCADE_TORTURE_SEED=$(SEED) \
	  $(GO) test $(RACE) -count=1 -timeout 30m -v $(ROOMS)/fire
	GORACE=atexit_sleep_ms=0 $(GO) test $(RACE) -count=1 -timeout 20m $(ROOMS)/e2e
	ARCADE_TORTURE_ROUNDS=$(ROUNDS) $(GO) test -count=1 -timeout 20m -run 'AnErrorAtAnyCall' ./outbox/internal/store
	ARCADE_TORTURE_ROUNDS=$(ROUNDS) ARCADE_TORTURE_SEED=$(SEED) GORACE=atexit_sleep_ms=0 \
	  $(GO) test $(RACE) -count=1 -timeout 20m -run 'RandomOperations' -v ./outbox
	@echo "== the crowds and the damage once more, at full speed and full size"
	ARCADE_TORTURE_ROUNDS=$(ROUNDS) ARCADE_TORTURE_SEED=$(SEED) \
	  $(GO) test -count=1 -timeout 15m -run 'TortureCrowd|TortureRandom' -v $(ROOMS)/fire

# Ending the process skips what others still have to do, such as to record the command: that is for main, a flusher
# and its watchdog. A command has a file of its own, which can be read without the others, so cli may be fuller.
MAY_EXIT = /main\.go:|^outbox/(flusher|detach/detach)\.go:|/testbed/|_test\.go:

lint: ## format, vet, staticcheck, workflows, and what others have defined
	@unformatted=$$(gofmt -l .ci cmd outbox identity secrets migrations); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@! grep -rn --include='*.go' 'os\.Exit(' cmd outbox identity secrets | grep -vE '$(MAY_EXIT)'
	@full=$$(git ls-files '*.go' | grep -v _test.go | xargs -n 1 dirname | sort | uniq -c | awk '$$1 > 15 && !/\/cli$$/'); \
	  if [ -n "$$full" ]; then echo "more than 15 files: $$full"; exit 1; fi
	$(GO) run $(ACTIONLINT)
	@! grep -E 'uses: [^.]' .github/workflows/*.yml | grep -vE '@[0-9a-f]{40}( |$$)' # the tag of an action can be moved to other code
	@for f in .github/workflows/*.yml; do \
	  [ $$(grep -c actions/checkout@ $$f) = $$(grep -c 'persist-credentials: false' $$f) ] || \
	    { echo "$$f: a checkout leaves its token for the steps that follow"; exit 1; }; done
	GO="$(GO)" .ci/notices | cmp - docs/THIRD_PARTY_NOTICES.txt # every artefact of a release has the licences; see make notices
	cd .ci/otlp && $(GO) test ./... # OpenTelemetry's types, in a module of its own

vuln: ## what is known about the dependencies (asks the Go vulnerability database)
	$(GO) run $(VULNCHECK) ./...

bench: ## Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem $(ROOMS)/cli ./outbox

RUNS ?= 300
bench-process: build ## whole processes, RUNS of each, beside what a user would pick instead
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ $(patsubst %,./.ci/bench/%,cobra line row child posthog meter)
	cd .ci/bench/bolt && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../../../bin/ .
	$(GO) run ./.ci/bench -n $(RUNS)

cost: ## what a program gets by embedding the outbox: go.mod lines, megabytes, milliseconds
	CGO_ENABLED=0 $(GO) build -o bin/ ./.ci/bench/meter
	GO="$(GO)" RUNS=$(RUNS) .ci/cost

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
	  done; \
	done

PACKAGE ?= ./secrets
N       ?= 40
mutate: ## N places of PACKAGE changed, one at a time: which changes do its own tests not see? SEED=n for others
	$(GO) run ./.ci/mutate -package $(PACKAGE) -n $(N) -seed $(or $(SEED),1)

demo: build ## the story of an offline laptop, told by the real programs
	@.ci/demo

pictures: build ## docs/*.svg, from what the real program prints
	@.ci/pictures

man: ## manual pages, in bin/man/, from what the commands say of themselves
	@rm -rf bin/man && mkdir -p bin/man
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2> /dev/null) ARCADE_MAN_DIRECTORY=$(CURDIR)/bin/man \
	  $(GO) test -count=1 -run '^TestEveryCommandHasAManualPage' $(ROOMS)/docstest

notices: ## docs/THIRD_PARTY_NOTICES.txt, the licences of all modules that are linked
	@mkdir -p bin
	GO="$(GO)" .ci/notices > bin/notices && mv bin/notices docs/THIRD_PARTY_NOTICES.txt

completions: build ## completion scripts, in bin/completions/
	@mkdir -p bin/completions
	bin/arcade completion bash > bin/completions/arcade.bash
	bin/arcade completion zsh > bin/completions/_arcade
	bin/arcade completion fish > bin/completions/arcade.fish
	bin/arcade completion powershell > bin/completions/arcade.ps1

# Built as a release is; the parts for one system are vetted where `make lint` does not run.
cross: ## every system and architecture that is released
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
	  echo "$$target"; export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
	  $(GO) build -trimpath -tags $(TAGS) -o /dev/null ./cmd/arcade || exit 1; \
	  case $$target in darwin/arm64|windows/amd64) $(GO) vet -trimpath -tags $(TAGS) ./... || exit 1; esac; \
	done

release-check: ## .goreleaser.yaml, by goreleaser itself
	$(GO) run $(GORELEASER) check

# The image needs docker, the SBOM syft, a signature the workflow that makes the release.
SKIP ?= sign$(shell docker info > /dev/null 2>&1 || echo ,docker)$(shell command -v syft > /dev/null || echo ,sbom)
snapshot: ## all of a release, in dist/, without publishing it; it says what it has to SKIP
	@echo "skipped: $(SKIP)"
	ARCADE_POSTHOG_KEY=phc_snapshot $(GO) run $(GORELEASER) release --snapshot --clean --skip=$(SKIP)

release: ## what a tag makes; .github/workflows/release.yml calls it
	$(GO) run $(GORELEASER) release --clean

clean: ## remove bin/ and dist/
	rm -rf bin dist
