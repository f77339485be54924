#!/bin/sh
# What is wrong gets one clear sentence and exit status 1 or 2, and leaves what was there as it was.
# usage: test_bad_input.sh KATA
kata=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# check STATUS TEXT ARGUMENTS...: the program ends with STATUS, stderr holds TEXT, one sentence, no crash.
check() {
    status=$1 text=$2
    shift 2
    "$kata" "$@" >out 2>err </dev/null
    got=$?
    if [ $got -ne "$status" ] || ! grep -qF -- "$text" err || [ "$(grep -c . err)" -gt 2 ] || [ -s out ]; then
        failures=$((failures + 1))
        echo "FAILED: kata $*"
        echo "  expected status $status and '$text', got status $got and:"
        sed 's/^/  /' err out
    fi
}

tiny="--data make:digits --limit-train 20 --limit-test 10 --epochs 1 --quiet"

# numbers
check 2 "--lr must be a number above 0, at most 1000, got nan" train $tiny --lr nan
check 2 "got 1e999" train $tiny --lr 1e999
check 2 "got 0x1" train $tiny --lr 0x1
check 2 "--batch must be a whole number from 1 to 1000000, got 0" train $tiny --batch 0
check 2 "got -1" train $tiny --epochs -1
check 2 "got 12abc" train $tiny --epochs 12abc
check 2 "got 99999999999999999999" train $tiny --steps 99999999999999999999
check 2 "--lr needs a value" train $tiny --lr
check 2 "--threads must be" train $tiny --threads 0
check 2 "rotate must be a number from 0 to 180" train $tiny --augment rotate=361
check 2 "class weights must be" train $tiny --class-weights a,b
check 2 "2 class weights are given" train $tiny --class-weights 1,2

# names
check 2 "did you mean 'kata train'?" trian
check 2 "did you mean --epochs?" train $tiny --epoch 2
check 2 "did you mean --optimizer?" train $tiny --optimiser adam
check 2 "did you mean adam?" train $tiny --optimizer adan
check 2 "did you mean bf16?" train $tiny --precision bf61
check 2 "did you mean shift?" train $tiny --augment shfit=2
check 1 "did you mean simple-convnet?" train $tiny --model simple-convent
check 1 "did you mean mnist?" train --data mnits
check 1 "make:digits" train --data make:digit
check 2 "no data set named mnits" data get mnits

# what is not there
check 2 "no data" train
check 1 "cannot read nothing.onnx" train $tiny --model nothing.onnx
check 1 "there is no folder nothing" train --resume nothing
check 2 "a MODEL is missing" evaluate
check 2 "not trained" evaluate simple-convnet --data make:digits
check 1 "cannot read nothing.onnx" predict nothing.onnx x.png

# data
mkdir empty
check 1 "the folder is empty" train --data empty
check 1 "no run" train --resume empty
"$kata" data make digits --out idx --count 600 --test 20 --quiet >/dev/null || failures=$((failures + 1))
check 2 "holds idx files already" data make digits --out idx --count 60 --test 20
images=idx/train-images-idx3-ubyte labels=idx/train-labels-idx1-ubyte
cp $images i.good
cp $labels l.good
rm $images
check 1 "train-images-idx3-ubyte" train --data idx --epochs 1 --out run
head -c 300000 i.good >$images
check 1 "truncated" train --data idx --epochs 1 --out run
head -c 3 i.good >$images
check 1 "truncated" train --data idx --epochs 1 --out run
: >$images
check 1 "train-images-idx3-ubyte" train --data idx --epochs 1 --out run
printf 'PK\003\004' | cat - i.good >$images
check 1 "not an idx file" train --data idx --epochs 1 --out run
{ head -c 4 i.good; printf '\377\377\377\377'; tail -c +9 i.good; } >$images
check 1 "train-images-idx3-ubyte" train --data idx --epochs 1 --out run
cp i.good $images
head -c 400 l.good >$labels
check 1 "truncated" train --data idx --epochs 1 --out run
{ printf '\000\000\010\001\000\000\000\036'; tail -c +9 l.good | head -c 30; } >$labels
check 1 "30" train --data idx --epochs 1 --out run
cp l.good $labels
"$kata" train --data idx --model two-layer --epochs 1 --out good --quiet >/dev/null || failures=$((failures + 1))
{ head -c 8 l.good; printf '\310'; tail -c +10 l.good; } >$labels
check 1 "label" train --data idx --epochs 1 --out run
check 1 "201 classes" evaluate good --data idx --part train
cp l.good $labels
printf 'not a picture' >text.png
: >zero.png
check 1 "zero.png: the picture is empty (0 bytes)" predict good zero.png
check 1 "neither PNG nor JPEG" predict good text.png
# a PNG that claims 65535x65535: signature, IHDR with its sum, nothing else
printf '\211PNG\r\n\032\n\000\000\000\015IHDR\000\000\377\377\000\000\377\377\010\000\000\000\000\036\163\251\043' >huge.png
check 1 "huge.png" predict good huge.png
mkdir -p pictures/a pictures/b
cp zero.png pictures/a/1.png
cp zero.png pictures/b/1.png
check 1 "pictures/a/1.png" train --data pictures --epochs 1

# model and data that do not fit
printf 'data: idx\nmodel:\n  - flatten\n  - {type: dense, units: 4}\n' >small.yaml
check 1 "4 outputs" train small.yaml --epochs 1 --out run
printf 'data: idx\nmodel:\n  - {type: conv2d, filters: 2, kernel: [40, 40]}\n' >large.yaml
check 1 "conv2d_1" train large.yaml --epochs 1 --out run
printf 'data: idx\ntrain: {epoch: 2}\n' >typo.yaml
check 2 "line 2: there is no key train.epoch; did you mean train.epochs?" train typo.yaml
head -c 100 good/model.onnx >cut.onnx
check 1 "cut.onnx" evaluate cut.onnx --data idx

# places that cannot be written
check 1 "/dev/null" train $tiny --out /dev/null/run
check 1 "/dev/null" data make digits --out /dev/null/x --count 10 --test 10 --quiet
before=$(cksum <good/model.onnx)
check 2 "holds a run already" train --data idx --out good
mkdir other && : >other/file
check 2 "holds other files" train --data idx --out other
check 2 "cannot be given with --resume" train --resume good --lr 0.5
[ "$before" = "$(cksum <good/model.onnx)" ] || { echo "FAILED: good/model.onnx changed"; failures=$((failures + 1)); }
[ -e run ] && { echo "FAILED: a run folder was made though nothing could be trained"; failures=$((failures + 1)); }

# an answer that cannot be written is a failure
if [ -w /dev/full ]; then
    "$kata" info >/dev/full 2>err
    [ $? -eq 1 ] && grep -q "stdout" err || { echo "FAILED: a full stdout"; failures=$((failures + 1)); }
fi

# help is data, anywhere on the line
for line in help "help train" "train -h" "train --lr 3 --help" "data get -h" --help --version; do
    "$kata" $line >out 2>err || { echo "FAILED: kata $line"; failures=$((failures + 1)); }
    [ -s out ] && [ ! -s err ] || { echo "FAILED: kata $line"; failures=$((failures + 1)); }
done

[ $failures -eq 0 ] && echo "all bad inputs get their sentence"
exit $failures
