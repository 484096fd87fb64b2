# dltrigger: see `make help`.  Everything that is built lands in $(BUILD), so the tree stays clean.
BUILD   ?= build
ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
LDFLAGS ?=

PKGS    := libmicrohttpd jansson sqlite3 openblas libuv libcurl libdeflate zlib liblz4 libzstd liblzma nettle libxxhash libprotobuf-c
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
           -Wvla -Wformat=2 -Wundef
# -ffp-contract=off: the same arithmetic in every translation unit, so that results do not depend on inlining.
DLT_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -pthread -fno-math-errno -ffp-contract=off $(WARN) $(PKG_CFLAGS)
DLT_LIBS   = $(PKG_LIBS) -lsnappy -lm -pthread -ldl
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)
BUILD_ID  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

CORE_SRC   := $(sort $(shell find core -name '*.c'))
SERVER_SRC := $(sort $(shell find server -name '*.c' ! -path 'server/main.c' ! -path 'server/cli/*'))
CLI_SRC    := $(sort $(shell find server/cli -name '*.c'))
SUPPORT_SRC:= $(sort $(shell find tests/support -name '*.c'))
TEST_SRC   := $(sort $(shell find tests/core tests/server -name 'test_*.c'))
FUZZ_SRC   := $(sort $(shell find tests/fuzz -name 'fuzz_*.c'))
BENCH_SRC  := $(sort $(shell find tests/bench -name 'bench_*.c'))
EMBED      := $(sort $(wildcard migrations/*.sql)) $(sort $(shell find server/dashboard -type f)) $(wildcard api/openapi.yaml) deploy/demo/pipeline.json

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBCORE   := $(BUILD)/libdltrigger.a
LIBSERVER := $(BUILD)/libserver.a
LIBSUPPORT:= $(BUILD)/libsupport.a
PROGRAMS  := $(BUILD)/dltriggerd $(BUILD)/dltrigger
TESTS     := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
BENCHES   := $(patsubst %.c,$(BUILD)/%,$(BENCH_SRC))
REPLAYS   := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRC))

.PHONY: all
all: $(PROGRAMS)                ## build dltriggerd and dltrigger

.PHONY: help
help:                           ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(LIBCORE): $(call obj,$(CORE_SRC)) $(BUILD)/gen/core/model/onnx_schema.pb-c.o
$(LIBSERVER): $(call obj,$(SERVER_SRC)) $(BUILD)/gen/embedded.o
$(LIBSUPPORT): $(call obj,$(SUPPORT_SRC))
$(LIBCORE) $(LIBSERVER) $(LIBSUPPORT):
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/dltriggerd: $(call obj,server/main.c) $(LIBSERVER) $(LIBCORE)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(DLT_LIBS)
$(BUILD)/dltrigger: $(call obj,$(CLI_SRC)) $(LIBSERVER) $(LIBCORE)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(DLT_LIBS)

$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -c -o $@ $<

# The commit is in one object only, so that a new one recompiles one file.
$(BUILD)/core/base/build_id.o: DLT_CFLAGS += -DDLT_COMMIT='"$(BUILD_ID)"'
$(BUILD)/core/base/build_id.o: $(BUILD)/.commit
$(BUILD)/.commit: FORCE
	@mkdir -p $(BUILD)
	@echo '$(BUILD_ID)' | cmp -s - $@ || echo '$(BUILD_ID)' > $@

# Recompile when the flags change.
$(BUILD)/.flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(CC) $(CFLAGS) $(DLT_CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS) $(DLT_CFLAGS) $(LDFLAGS)' > $@
.PHONY: FORCE
FORCE:

# ONNX: structs and codec from our subset of its schema.
ONNX_SCHEMA := $(BUILD)/gen/core/model/onnx_schema.pb-c
$(ONNX_SCHEMA).c: core/model/onnx_schema.proto
	@mkdir -p $(BUILD)/gen
	protoc-c --c_out=$(BUILD)/gen $<
$(ONNX_SCHEMA).h: $(ONNX_SCHEMA).c ;
$(ONNX_SCHEMA).o: $(ONNX_SCHEMA).c $(BUILD)/.flags
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -c -o $@ $<
ONNX_OBJ := $(call obj,$(wildcard core/model/onnx_*.c))
$(ONNX_OBJ): $(ONNX_SCHEMA).h
$(ONNX_OBJ) $(ONNX_SCHEMA).o: DLT_CFLAGS += -I$(BUILD)/gen

# Files that live inside the binary: migrations, dashboard, API document.
$(BUILD)/gen/embedded.c: server/embed.sh $(EMBED)
	@mkdir -p $(@D)
	sh server/embed.sh $(EMBED) > $@
$(BUILD)/gen/embedded.o: $(BUILD)/gen/embedded.c $(EMBED)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -c -o $@ $<

# ---- tests -----------------------------------------------------------------------------------------------

$(BUILD)/tests/core/% : tests/core/%.c $(LIBSUPPORT) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBCORE) -lcmocka $(DLT_LIBS)
$(BUILD)/tests/server/% : tests/server/%.c $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) -lcmocka $(DLT_LIBS)
$(BUILD)/tests/bench/% : tests/bench/%.c $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) $(DLT_LIBS)
$(BUILD)/tests/peers/% : tests/peers/%.c $(LIBSUPPORT) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBCORE) $(DLT_LIBS)
$(BUILD)/tests/parity/% : tests/parity/%.c $(LIBSUPPORT) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBCORE) $(DLT_LIBS)
# Each fuzz target also replays its regression corpus without a fuzzer.
$(BUILD)/tests/fuzz/replay_% : tests/fuzz/%.c $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DLT_CFLAGS) -DFUZZ_REPLAY -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIBSUPPORT) $(LIBSERVER) $(LIBCORE) $(DLT_LIBS)

.PHONY: tests
tests: $(TESTS) $(REPLAYS)      ## build the tests without running them

.PHONY: check
check: all tests layers         ## run every test
	sh tests/run.sh $(BUILD)

.PHONY: parity
parity: $(BUILD)/tests/parity/parity_hlf $(BUILD)/tests/parity/parity_inclusive    ## compare the classifiers with PyTorch on the same rows (needs group parity)
	sh tests/parity/torch_hlf.sh $(BUILD)
	sh tests/parity/torch_inclusive.sh $(BUILD)

.PHONY: layers
layers:                         ## prove that includes point downwards only
	sh tests/layers.sh

.PHONY: bench
bench: $(BENCHES)               ## measure; tab-separated lines on standard output
	@for b in $(BENCHES); do $$b || exit 1; done

SOAK_KILLS ?= 1000
.PHONY: soak
# SOAK_SEED chooses the moments of the kills.  The large files take 2 GB of $TMPDIR.
soak: $(BUILD)/tests/core/work/test_memory $(BUILD)/tests/server/jobs/test_kill   ## SOAK_KILLS kill -9 under load; large files
	SOAK_KILLS=$(SOAK_KILLS) $(BUILD)/tests/server/jobs/test_kill
	$(BUILD)/tests/core/work/test_memory soak 50 0
	$(BUILD)/tests/core/work/test_memory soak 2 3000000000

PEERS_SRC := $(sort $(shell find tests/peers -name '*.c'))
.PHONY: bench-peers
bench-peers: $(BENCHES) $(patsubst %.c,$(BUILD)/%,$(PEERS_SRC)) all    ## measure next to other frameworks (needs group peers)
	sh tests/peers/run.sh $(BUILD)

SAN_FLAGS = -O1 -g -fno-omit-frame-pointer
.PHONY: asan tsan
asan:                           ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) BUILD=build/asan CFLAGS="$(SAN_FLAGS) -fsanitize=address,undefined -fno-sanitize-recover=undefined" tests all
	sh tests/run.sh build/asan unit
tsan:                           ## unit tests under ThreadSanitizer
	$(MAKE) BUILD=build/tsan CFLAGS="$(SAN_FLAGS) -fsanitize=thread" tests all
	sh tests/run.sh build/tsan unit

FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz:                           ## libFuzzer over every parser (clang; FUZZ_SECONDS a target)
	sh tests/fuzz/run.sh $(FUZZ_SECONDS)

# The value of a variable, for scripts: make -s print-DLT_LIBS
.PHONY: print-%
print-%:
	@echo '$($*)'

# ---- people ----------------------------------------------------------------------------------------------

.PHONY: deps demo demo-stop install format clean
deps:                           ## install the Debian packages of deploy/packages.txt
	sh deploy/deps.sh build run test
demo: all                       ## the whole chain on sample data; leaves the service running
	sh deploy/demo-run.sh $(BUILD)
demo-stop:                      ## stop the service that make demo started
	sh deploy/demo-stop.sh
install: all                    ## install both programs under $(PREFIX)
	install -D -m 755 $(BUILD)/dltriggerd $(DESTDIR)$(PREFIX)/bin/dltriggerd
	install -D -m 755 $(BUILD)/dltrigger $(DESTDIR)$(PREFIX)/bin/dltrigger
format:                         ## clang-format every source
	clang-format -i $$(git ls-files '*.c' '*.h')
clean:                          ## remove the build folder
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
