#!/bin/sh
# Unpacks the ONNX project's operator tests and runs them all:  test_nodes.sh PROGRAM
# Fails if one fails, or if fewer pass than are known to.
set -eu
program=$1
known=1118 # raised with each operator that is added
archive=${KATA_DATA:-}/onnx-node-tests-1.22.tar.xz
if [ ! -f "$archive" ]; then
    echo "SKIPPED: no onnx-node-tests-1.22.tar.xz in KATA_DATA"
    exit 0
fi
command -v xz >/dev/null || {
    echo "SKIPPED: xz is missing (Debian: apt install xz-utils)"
    exit 0
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -C "$folder" -xf "$archive"
passed=0
status=0
for group in node simple; do
    "$program" "$folder/$group" >"$folder/$group.txt" || status=1
    grep -a '^FAILED' "$folder/$group.txt" || true
    tail -n 1 "$folder/$group.txt" | sed "s/^/$group: /"
    passed=$((passed + $(sed -n '$s/ passed.*//p' "$folder/$group.txt")))
done
[ "$passed" -ge "$known" ] || {
    echo "only $passed tests pass; $known are known to"
    exit 1
}
exit $status
