#!/bin/sh
# The same bits whatever happens: threads, Ctrl-C, SIGKILL at any moment, a disk that is full.
# usage: test_resume.sh KATA
kata=$1
folder=$(mktemp -d) || exit 1
trap 'umount "$folder/disk" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}
hash_of() { # of a run's last epoch
    tail -n 1 "$1/history.jsonl" | sed 's/.*"weights_hash":"\([0-9a-f]*\)".*/\1/'
}

"$kata" data make digits --out idx --count 2000 --test 100 --quiet >/dev/null || fail "data make"
settings="--data idx --model simple-convnet --epochs 3 --batch 50 --augment shift=1 --seed 7 --checkpoint-every 7"

# threads
for n in 1 2 5; do
    "$kata" train $settings --threads $n --out threads-$n --quiet >/dev/null || fail "training with $n threads"
done
hash=$(hash_of threads-1)
[ ${#hash} -eq 16 ] || fail "no weights hash in the history"
[ "$(hash_of threads-2)" = "$hash" ] || fail "2 threads give other weights"
[ "$(hash_of threads-5)" = "$hash" ] || fail "5 threads give other weights"

# bfloat16, asked for whatever the processor: the same bits for any number of threads too, and others than float32's;
# its files are float32
for n in 1 5; do
    KATA_BFLOAT16=plain "$kata" train $settings --precision bf16 --threads $n --out bf16-$n --quiet >/dev/null ||
        fail "bf16 with $n threads"
done
[ "$(hash_of bf16-1)" = "$(hash_of bf16-5)" ] || fail "5 threads give other weights in bf16"
[ "$(hash_of bf16-1)" != "$hash" ] || fail "bf16 gives float32's weights"
# where bfloat16 is no faster, bf16 is float32 to the bit, and says so
KATA_BFLOAT16=float32 "$kata" train $settings --precision bf16 --out bf16-none >/dev/null 2>bf16-said || fail "bf16 as float32"
[ "$(hash_of bf16-none)" = "$hash" ] || fail "bf16 computed in float32 gives other weights"
grep -q "^bf16   convolutions and large products in float32: " bf16-said || fail "training does not say what bf16 is computed in"
grep -q "precision bf16</t[hd]><td>float32: " bf16-none/report.html || fail "the report does not say what bf16 is computed in"
KATA_BFLOAT16=plain "$kata" info --json | grep -q '"bf16":"bfloat16 widened to float32' || fail "kata info does not say what bf16 is computed in"
grep -q "precision: bf16" bf16-1/kata.yaml || fail "kata.yaml does not say the precision"
"$kata" evaluate bf16-1 --data idx --precision bf16 --quiet >/dev/null || fail "evaluating in bf16"

# recomputation: less memory, the same bits, and a stopped run goes on with it
deep="--data idx --model deep-convnet --batch 50 --seed 7"
"$kata" train $deep --epochs 2 --out kept --quiet >/dev/null || fail "training deep-convnet"
"$kata" train $deep --epochs 2 --recompute --out again --quiet >/dev/null || fail "training with --recompute"
[ "$(hash_of kept)" = "$(hash_of again)" ] || fail "--recompute gives other weights"
grep -q "recompute: true" again/kata.yaml || fail "kata.yaml does not say --recompute"
grep -q "recompute" kept/kata.yaml && fail "kata.yaml says recompute where it is off"
"$kata" train --resume again --quiet >/dev/null || fail "resuming with --recompute"
bytes_of() { sed 's/.*"activation_bytes":\([0-9]*\).*/\1/'; }
plain=$("$kata" show deep-convnet --json | bytes_of)
less=$("$kata" show deep-convnet --recompute --json | bytes_of)
[ "$less" -lt "$plain" ] || fail "kata show --recompute says $less bytes, not less than $plain"

# Ctrl-C in mid-epoch, then --resume
for delay in 0.5 0.25 0.1 0.03; do
    rm -rf stopped
    "$kata" train $settings --out stopped >out 2>err &
    pid=$!
    while [ ! -e stopped/kata.yaml ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    sleep $delay
    kill -INT $pid 2>/dev/null
    wait $pid
    status=$?
    [ $status -ne 0 ] && break
done
[ $status -eq 130 ] || fail "Ctrl-C ends with status $status, not 130"
grep -q "kata train --resume stopped" err || fail "Ctrl-C does not say how to go on"
[ -e stopped/model.onnx ] && [ -e stopped/checkpoint.safetensors ] || fail "Ctrl-C leaves no model or checkpoint"
"$kata" train --resume stopped --threads 1 --quiet >/dev/null || fail "resuming after Ctrl-C"
[ "$(hash_of stopped)" = "$hash" ] || fail "a run that was stopped ends on other weights"
[ "$(wc -l <stopped/history.jsonl)" -eq 3 ] || fail "the history of a resumed run has not 3 lines"

# SIGKILL at moments that differ, again and again, until the run is through
"$kata" train $settings --out killed --quiet >/dev/null 2>&1 &
pid=$!
kills=0
for delay in 0.1 0.3 0.2 0.4 0.15 0.35 0.25 0.5; do
    sleep $delay
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
    if [ -e killed/checkpoint.safetensors ]; then
        "$kata" train --resume killed --quiet >/dev/null 2>&1 &
    else
        rm -rf killed
        "$kata" train $settings --out killed --quiet >/dev/null 2>&1 &
    fi
    pid=$!
done
wait $pid || fail "resuming after SIGKILL"
[ "$(hash_of killed)" = "$hash" ] || fail "a run that was killed $kills times ends on other weights"
grep -q "weights hash" killed/report.html || fail "no report after SIGKILL"

# a run without its checkpoint is not begun anew in silence
"$kata" train --data idx --model two-layer --epochs 2 --batch 50 --seed 7 --out longer --quiet >/dev/null || fail "training two-layer"
cp -r longer bare && rm bare/checkpoint.safetensors
"$kata" train --resume bare --quiet >/dev/null 2>err && fail "a run without checkpoint is resumed"
grep -q "there is no checkpoint bare/checkpoint.safetensors to go on from" err || fail "a missing checkpoint is not named"

# a finished run goes on, optimiser state and all, as if it had been longer from the start
"$kata" train --resume longer --epochs 4 --quiet >/dev/null || fail "going on with a finished run"
"$kata" train --data idx --model two-layer --epochs 4 --batch 50 --seed 7 --out four --quiet >/dev/null
[ "$(hash_of longer)" = "$(hash_of four)" ] || fail "2 epochs and 2 more are not 4"
[ "$(wc -l <longer/history.jsonl)" -eq 4 ] || fail "the history of a longer run has not 4 lines"
grep -q "epochs: 4" longer/kata.yaml || fail "kata.yaml does not say the new number of epochs"
"$kata" train --resume longer --lr 0.1 --quiet >/dev/null 2>err && fail "another learning rate is taken"

# early stopping says that it stopped, why, and what stays
"$kata" train --data idx --model two-layer --epochs 50 --batch 50 --seed 7 --early-stopping 1 --min-delta 1 \
    --out early >/dev/null 2>err || fail "early stopping"
grep -q "early stopping after epoch .*: the validation loss has not been below .* by more than 1 for 1 epoch; the weights of epoch .* stay" err ||
    fail "early stopping says nothing"

# two programs on one run
"$kata" train $settings --out twice --quiet >/dev/null 2>&1 &
pid=$!
while [ ! -e twice/kata.yaml ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
"$kata" train --resume twice --quiet >/dev/null 2>err
status=$?
if kill -0 $pid 2>/dev/null; then
    [ $status -eq 1 ] && grep -q "another program is training" err || fail "two programs train in one folder"
fi
wait $pid

# A full disk during a checkpoint: the old one stays usable. Needs the right to mount.
mkdir disk
if mount -t tmpfs -o size=1100k tmpfs disk 2>/dev/null; then
    small="--data idx --model two-layer --epochs 3 --batch 50 --seed 7"
    "$kata" train $small --out whole --quiet >/dev/null || fail "training for the full disk"
    # Room for the files of an epoch, not for the second copy that replaces them.
    "$kata" train $small --out disk/run --quiet >/dev/null 2>err
    status=$?
    [ $status -eq 1 ] && grep -qi "no space left" err || fail "a full disk ends with status $status"
    grep -q "kata train --resume disk/run" err || fail "a full disk does not say how to go on"
    ls disk/run | grep -q "tmp-" && fail "a full disk leaves half a file"
    mount -o remount,size=20m disk && "$kata" train --resume disk/run --quiet >/dev/null || fail "resuming after a full disk"
    [ "$(hash_of disk/run)" = "$(hash_of whole)" ] || fail "after a full disk the weights differ"
    umount disk
else
    echo "the full disk is not tested: no right to mount"
fi

[ $failures -eq 0 ] && echo "the same weights every time ($kills kills)"
exit $failures
