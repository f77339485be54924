#!/bin/sh
# What `cmake --install` leaves: installs BUILD into a temporary prefix and uses it from outside the tree, as
# a stranger would: by pkg-config and by find_package.
#   test_install.sh BUILD
set -eu
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/kata-install-XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

fault() {
    echo "test_install: $*" >&2
    exit 1
}
quietly() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fault "failed: $*"
    }
}

quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$prefix" # nothing may remember where it was
cd "$work"
library=$(find "$prefix" -name 'libkata.so')
[ -n "$library" ] || fault "libkata.so is not installed"
folder=$(dirname "$library")
for file in "$folder/libkata.a" "$folder/pkgconfig/kata.pc" "$folder/cmake/kata/kata-config.cmake" \
    "$prefix/include/kata/kata.h"; do
    [ -e "$file" ] || fault "$file is not installed"
done
export PKG_CONFIG_PATH="$folder/pkgconfig" LD_LIBRARY_PATH="$folder"

# --- what the library needs and shows
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for name in $needed; do
    case $name in
    libc.so.6 | libm.so.6 | libpthread.so.0 | ld-linux*.so.* | ld64.so.*) ;;
    *) fault "libkata.so needs $name; only libc, libm and pthread are allowed" ;;
    esac
done
echo "libkata.so needs:" $needed
ldd "$library" | grep 'not found' && fault "libkata.so needs what is not there"
foreign=$(nm -D --defined-only "$library" | awk '{ print $3 }' | grep -v '^kata_[a-z]' || true)
[ -z "$foreign" ] || fault "libkata.so exports names that do not begin with kata_:" $foreign
foreign=$(nm -g --defined-only "$folder/libkata.a" 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -v '^kata_' || true)
[ -z "$foreign" ] || fault "libkata.a has global names that do not begin with kata_:" $foreign
echo "libkata.so exports $(nm -D --defined-only "$library" | wc -l) names, all kata_*"

# --- headers: each alone, in C11 and, where there is a compiler, in C++
for header in "$prefix"/include/kata/*.h; do
    name=kata/$(basename "$header")
    printf '#include <%s>\nint main(void) { return 0; }\n' "$name" >header.c
    quietly cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags kata) header.c
    if command -v c++ >/dev/null 2>&1; then
        cp header.c header.cc
        quietly c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags kata) header.cc
    fi
done
if command -v c++ >/dev/null 2>&1; then
    printf '#include <kata/kata.h>\nint main() { return kata_op_count() > 0 ? 0 : 1; }\n' >link.cc
    quietly c++ -std=c++11 link.cc -o link $(pkg-config --cflags --libs kata)
    quietly ./link
    echo "headers compile as C11 and C++11"
else
    echo "headers compile as C11 (no C++ compiler here)"
fi

# --- pkg-config
mkdir by_pkg_config
cp "$source/examples/digits.c" by_pkg_config
cd by_pkg_config
quietly cc digits.c -o digits $(pkg-config --cflags --libs kata)
quietly ./digits
[ -s digits.onnx ] || fault "digits left no digits.onnx"
quietly cc digits.c -o digits_static $(pkg-config --cflags kata) "$folder/libkata.a" -lm -lpthread
ldd digits_static | grep -q libkata && fault "the static program needs libkata.so"
cd ..
mkdir by_make by_cmake
cp "$source"/examples/*.c "$source/examples/Makefile" by_make
quietly make -C by_make
echo "pkg-config: built digits by cc, all examples by make"

# --- find_package
cp "$source"/examples/*.c "$source/examples/CMakeLists.txt" by_cmake
quietly cmake -S by_cmake -B by_cmake/build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
quietly cmake --build by_cmake/build
cp by_pkg_config/digits.onnx by_cmake/build
for example in perceptron own_operator regression; do
    (cd by_cmake/build && quietly "./$example")
done
(cd by_cmake/build && quietly ./predict digits.onnx)
echo "find_package: built all examples, ran perceptron, own_operator, regression, predict"

# --- the readers, where they were built
if [ -e "$folder/pkgconfig/kata-readers.pc" ]; then
    mkdir by_readers
    cat >by_readers/readers.c <<'END'
#include <string.h>
#include <kata/kata.h>
#include <kata/readers.h>
/* With the readers an empty picture is malformed, without them it is not supported. */
int main(void) {
    kata_picture picture;
    kata_readers_install();
    return kata_picture_decode(&picture, kata_context_default(), "\x89PNG\r\n\x1a\n", 8) != KATA_FORMAT;
}
END
    cat >by_readers/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.22)
project(readers LANGUAGES C)
find_package(kata REQUIRED COMPONENTS readers)
add_executable(readers readers.c)
target_link_libraries(readers PRIVATE kata::kata_readers)
END
    quietly cc by_readers/readers.c -o by_readers/readers $(pkg-config --cflags --libs kata-readers)
    quietly by_readers/readers
    quietly cmake -S by_readers -B by_readers/build -DCMAKE_PREFIX_PATH="$prefix"
    quietly cmake --build by_readers/build
    quietly by_readers/build/readers
    cp -r "$prefix" "$work/a blank" # a folder's name may hold one: pkg-config says it with a backslash
    flags=$(PKG_CONFIG_PATH="$work/a blank/${folder#"$prefix"/}/pkgconfig" pkg-config --cflags --libs kata-readers)
    eval "quietly cc by_readers/readers.c -o by_readers/readers $flags"
    quietly by_readers/readers
    echo "readers: built and ran by pkg-config, from a folder with a blank as well, and by find_package"
fi

# --- the program, where it was built
if [ -e "$build/kata" ]; then
    quietly "$prefix/bin/kata" info
    echo "the installed program runs"
fi
