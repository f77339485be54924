#!/bin/sh
# The program runs on a processor with SSE2 only: it says so, trains, predicts, and its losses are
# those of the portable kernels on this processor. Needs qemu-x86_64; skipped without it.
# usage: test_sse2.sh KATA
kata=$1
if [ "$(uname -m)" != x86_64 ] || ! command -v qemu-x86_64 >/dev/null; then
    echo "SKIPPED: needs qemu-x86_64 on an x86-64 machine"
    exit 0
fi
if nm "$kata" 2>/dev/null | grep -q -e __asan_init -e __tsan_init; then
    echo "SKIPPED: the sanitizers' memory does not fit under qemu-x86_64"
    exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}
settings="--data make:digits --limit-train 80 --limit-test 40 --batch 20 --epochs 2 --seed 3 --quiet"

for processor in qemu64,-sse3 core2duo Nehalem; do
    old="qemu-x86_64 -cpu $processor $kata"
    $old info >"$folder/info" 2>"$folder/err" || fail "$processor: info: $(cat "$folder/err")"
    grep -q '^kernels  *portable' "$folder/info" || fail "$processor: $(grep kernels "$folder/info")"
    grep -q '^chosen .*lacks AVX2' "$folder/info" || fail "$processor: $(grep chosen "$folder/info")"
    # Asked for what is not there, it says so and goes on.
    KATA_KERNELS=avx512 $old info >"$folder/info" 2>"$folder/err" || fail "$processor: KATA_KERNELS"
    grep -q 'no avx512' "$folder/err" || fail "$processor: no word about avx512"
done

old="qemu-x86_64 -cpu qemu64,-sse3 $kata"
for model in two-layer simple-convnet; do
    $old train $settings --model $model --out "$folder/old-$model" >/dev/null 2>"$folder/err" ||
        fail "training $model: $(cat "$folder/err")"
    KATA_KERNELS=portable "$kata" train $settings --model $model --out "$folder/new-$model" \
        >/dev/null 2>&1 || fail "training $model here"
    # The last bits are libm's, which is another one there.
    for run in old new; do
        sed 's/.*"loss":\([0-9.e+-]*\),.*"val_loss":\([0-9.e+-]*\),.*/\1 \2/' \
            "$folder/$run-$model/history.jsonl" >"$folder/$run-losses"
    done
    paste "$folder/old-losses" "$folder/new-losses" | awk '
        function far(a, b) { return (a > b ? a - b : b - a) > 1e-4 }
        NF != 4 || $1 <= 0 || far($1, $3) || far($2, $4) { bad = 1 }
        END { exit bad || NR != 2 }' || fail "$model: other losses than here"
done
"$kata" data make digits --out "$folder/idx" --count 20 --test 10 --quiet >/dev/null || fail "data make"
pictures=$(find "$folder/idx" -name 't10k-images*' | head -n 1)
$old predict "$folder/new-two-layer" "$pictures" --limit 5 --json >"$folder/there" 2>/dev/null ||
    fail "predict"
[ "$(wc -l <"$folder/there")" -eq 5 ] || fail "predict: $(cat "$folder/there")"

[ $failures -eq 0 ] && echo "passed"
exit $failures
