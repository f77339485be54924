# Kata: a thin front of the CMake presets. `make` leaves the release program at build/kata.
CMAKE ?= cmake
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: all demo test debug asan tsan install check-house format clean

all:
	@$(CMAKE) --preset release >/dev/null
	@$(CMAKE) --build --preset release -j $(JOBS)

demo:
	@script/demo

test:
	@script/test

debug asan tsan:
	@$(CMAKE) --preset $@ >/dev/null
	@$(CMAKE) --build --preset $@ -j $(JOBS) --target all tests
	@ctest --preset $@

install: all
	@DESTDIR=$(DESTDIR) $(CMAKE) --install build $(if $(PREFIX),--prefix $(PREFIX))

check-house:
	@script/check-house

format:
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

clean:
	@rm -rf build build-debug build-asan build-tsan
