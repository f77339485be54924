#!/bin/sh
# A ready network may bring its own training; flags and a project file come over it.
# usage: test_settings.sh KATA
kata=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}
wants() { # wants FILE LINE: the project states it
    grep -q "^  $2\$" "$1" || fail "$1 has no '$2': $(tr '\n' ';' <"$1")"
}
"$kata" data make digits --out idx --count 200 --test 50 --quiet >/dev/null || fail "data make"
small="--data idx --batch 50 --quiet"

"$kata" train $small --model mnist-sprint --out own >/dev/null || fail "train mnist-sprint"
for line in "epochs: 2" "lr: 0.003" "schedule: one-cycle" "batch: 50"; do wants own/kata.yaml "$line"; done
[ "$(wc -l <own/history.jsonl)" -eq 2 ] || fail "mnist-sprint did not train two epochs"

"$kata" train $small --model mnist-sprint --schedule constant --epochs 1 --out flags >/dev/null || fail "flags"
for line in "epochs: 1" "lr: 0.003" "schedule: constant"; do wants flags/kata.yaml "$line"; done

# A saved project means the same again: constant is not replaced by the model's own schedule.
"$kata" train flags/kata.yaml --data idx --quiet --out again >/dev/null || fail "project"
cmp -s flags/kata.yaml again/kata.yaml || fail "the project changed: $(diff flags/kata.yaml again/kata.yaml)"
[ "$(tail -n 1 flags/history.jsonl | sed 's/.*weights_hash//')" = "$(tail -n 1 again/history.jsonl | sed 's/.*weights_hash//')" ] ||
    fail "a saved project trains to other weights"

# Another model has nothing of it.
"$kata" train $small --model logistic --epochs 1 --out other >/dev/null || fail "logistic"
wants other/kata.yaml "schedule: constant"
wants other/kata.yaml "lr: 0.001"

[ "$failures" -eq 0 ] || exit 1
