# SPDX-License-Identifier: BSD-2-Clause
# Human verbs over meson and the scripts in tools/. Nothing is decided here.

BUILD := build
DESTDIR ?=
PREFIX ?= /usr

.PHONY: all help debug test bench demo lint format install uninstall clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

help:
	@echo 'make            builds into $(BUILD)/'
	@echo 'make debug      the same with sanitizers, into $(BUILD)/debug/'
	@echo 'make test       tools/test: every test'
	@echo 'make lint       tools/test lint: the checks of the sources'
	@echo 'make demo       tools/demo: the main job on real traffic'
	@echo 'make bench      tools/bench: throughput and cost'
	@echo 'make format     lays the C sources out as .clang-format says'
	@echo 'make install    PREFIX (/usr) and DESTDIR are honoured'
	@echo 'make uninstall, make clean'

$(BUILD)/build.ninja:
	meson setup $(BUILD)

# With AddressSanitizer and UndefinedBehaviorSanitizer, beside the other build.
debug: $(BUILD)/debug/build.ninja
	ninja -C $(BUILD)/debug

$(BUILD)/debug/build.ninja:
	meson setup --buildtype=debug -Db_sanitize=address,undefined -Db_lundef=false $(BUILD)/debug

test:
	tools/test

bench:
	tools/bench

demo:
	tools/demo

lint:
	tools/test lint

# Of what git knows; never of what was generated.
format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	meson configure --prefix $(PREFIX) $(BUILD)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD)

uninstall:
	ninja -C $(BUILD) uninstall

clean:
	rm -rf $(BUILD)
