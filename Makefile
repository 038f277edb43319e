# SPDX-License-Identifier: BSD-2-Clause
# Human verbs over meson and the scripts in tools/. Nothing is decided here.

BUILD := build
DESTDIR ?=
PREFIX ?= /usr

.PHONY: all debug test bench demo lint format install uninstall clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup --prefix $(PREFIX) $(BUILD)

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
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

uninstall:
	ninja -C $(BUILD) uninstall

clean:
	rm -rf $(BUILD)
