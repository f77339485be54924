#!/bin/sh
# kata bench: what it prints, what it refuses, and how it compares with an earlier run.
# usage: test_bench.sh KATA
kata=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
mkdir tmp
export TMPDIR="$folder/tmp"
failures=0

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  /' out err
}

# ok ARGUMENTS...: status 0, nothing on stderr
ok() {
    "$kata" bench "$@" --seconds 0.01 --threads 1 >out 2>err </dev/null || fail "kata bench $*: status"
    [ -s err ] && fail "kata bench $*: messages"
}

# refused STATUS TEXT ARGUMENTS...
refused() {
    status=$1 text=$2
    shift 2
    "$kata" bench "$@" >out 2>err </dev/null
    got=$?
    if [ $got -ne "$status" ] || ! grep -qF -- "$text" err || [ -s out ]; then
        fail "kata bench $*: expected status $status and '$text', got status $got"
    fi
}

# has TEXT: the output has it
has() {
    grep -qF -- "$1" out || fail "no '$1' in the output"
}

# names: one, those that begin so, several
ok gemm/30x576x25
has "gemm/30x576x25"
has "thread"
[ "$(grep -c / out)" -eq 1 ] || fail "one workload was asked for"
ok conv/deep predict/two-layer
[ "$(grep -c '^conv/deep-convnet/' out)" -eq 6 ] || fail "conv/deep means six workloads"
[ "$(grep -c '^predict/two-layer' out)" -eq 3 ] || fail "three batch sizes"
awk 'length($0) > 80 { exit 1 }' out || fail "more than 80 columns"

# the parts
ok machine/peak machine/clock machine/steady/30 machine/bandwidth/L1 machine/bandwidth/L2
has "100% FMA"
has machine/steady/30
awk 'length($0) > 80 { exit 1 }' out || fail "more than 80 columns"
ok start/two-layer data/batch data/idx optimizer/adam fit/logistic
for name in start/two-layer data/batch data/idx optimizer/adam fit/logistic; do
    has "$name"
done
[ -z "$(ls "$folder/tmp")" ] || fail "temporary files are left"

# JSON: the members that are promised, in each line
ok machine/peak gemm/512 train/two-layer predict/two-layer --json
[ "$(wc -l <out)" -ge 6 ] || fail "a line for each workload"
for key in workload threads batch gflops share per_second p50_us p99_us bytes spread limit unit; do
    [ "$(grep -c "\"$key\":" out)" -eq "$(wc -l <out)" ] || fail "a line has no \"$key\""
done
grep -q '"workload":"train/two-layer".*"planned_bytes":[0-9]' out || fail "no memory of the training step"
grep -q '"workload":"predict/two-layer","threads":1,"batch":8,' out || fail "no batch of 8"
cp out old.json

# compare
ok predict/two-layer gemm/1x1000x1000 --compare old.json
has "times"
[ "$(grep '^predict/two-layer' out | grep -cE ' [0-9]+\.[0-9][0-9]$')" -eq 3 ] || fail "no ratios"
grep '^gemm/1x1000x1000' out | grep -qE '[0-9]\.[0-9][0-9]$' && fail "a ratio to a workload that was not in the old file"
awk 'length($0) > 80 { exit 1 }' out || fail "more than 80 columns"
ok predict/two-layer --compare old.json --json
[ "$(grep -c '"times":[0-9]' out)" -eq 3 ] || fail "no ratios in JSON"

# what is wrong
refused 2 "did you mean gemm/1024?" gemm/1O24
refused 2 "did you mean train?" trian
refused 2 "no workload begins with nothing-like-it" nothing-like-it
refused 2 "--seconds must be" --seconds 0
refused 2 "did you mean --compare?" --compar x
refused 1 "cannot read missing.json" gemm/512 --compare missing.json
printf '{"workload":"gemm/512","per_second":1' >cut.json
refused 1 "cut.json, line 1" gemm/512 --compare cut.json
printf 'a,b\n' >table.csv
refused 1 "table.csv, line 1" gemm/512 --compare table.csv
printf '{"a":[1,{"workload":"x"}],"b":{"c":2}}\n' >other.json
refused 1 "holds no line of 'kata bench --json'" gemm/512 --compare other.json
: >empty.json
refused 1 "holds no line" gemm/512 --compare empty.json

[ $failures -eq 0 ] && echo "test_bench: ok"
exit $((failures > 0))
