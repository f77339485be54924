#!/bin/sh
# Folders of pictures as people have them: train/, test/ and val/, clutter between the pictures, a part of the
# classes, one set of several.
# usage: test_folders.sh KATA
kata=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fault() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  /' out err
}
run() {
    "$kata" "$@" >out 2>err </dev/null || fault "kata $*"
}
said() {
    grep -qF -- "$1" "$2" || fault "expected in $2: $1"
}

# A sheet of drawn digits is a picture like any other; each class has sheets of its own.
seed=0
for class in bird cat dog; do
    for part in train test val; do
        mkdir -p pets/$part/$class
        for i in 1 2 3; do
            seed=$((seed + 1))
            "$kata" data make digits --out digits$seed --count 30 --test 1 --seed $seed --quiet >/dev/null &&
                "$kata" data show digits$seed --sheet pets/$part/$class/$i.png >/dev/null 2>&1 || exit 1
            rm -r digits$seed
        done
    done
done
rm pets/val/dog/3.png pets/test/bird/*.png pets/test/dog/3.png
rmdir pets/test/bird
echo x >pets/train/cat/Thumbs.db
echo x >pets/labels.txt
mkdir pets/__MACOSX

run data show pets
said "pets: passed over 3 names that are no data: __MACOSX, labels.txt, train/cat/Thumbs.db" err
said "pets/val: 8 pictures to validate with" err
said "train      9 pictures of" out
said "test       5 pictures of" out
said "validation 8 pictures of" out
said "dog                       3          2          2" out
run data show pets --json
said '"validation":{"n":8,' out

run train --data pets --model mlp --hidden 8 --picture-size 12,12 --epochs 1 --out run --seed 1
said "8 pictures of 1x12x12 to validate with (the validation data)" err
said "test" out
run evaluate run --data pets --json
cp out of_pets
said '"n":5' out
run evaluate run --data pets --part validation --json
said '"n":8' out

# The same pictures without train/ and without the class bird: still the model's cat and dog.
mv pets/test part
run evaluate run --data part --json
said "classes are numbered as the model's, by their names" err
cmp -s of_pets out || fault "a part of the classes: not the same figures"
"$kata" evaluate run --data part --part validation >out 2>err && fault "a part that is not there"
said "part has no validation part" err

# Two sets in one folder.
"$kata" data make digits --out sets --count 40 --test 20 --quiet >/dev/null || exit 1
for name in sets/*; do
    cp "$name" sets/a-$(basename "$name")
    mv "$name" sets/b-$(basename "$name")
done
"$kata" data show sets >out 2>err && fault "two sets in one folder"
said "give sets/NAME with one of these names: a, b" err
run data show sets/b
said "40 pictures of 1x28x28" out
run train --data sets/b --epochs 1 --out digits --model mlp
"$kata" show digits >out 2>err || fault "kata show digits"
said "kata.picture" out
grep -q "kata.picture *digit" out || fault "a set of a folder is digits as well"

[ $failures -eq 0 ] || exit 1
echo "folders: all as expected"
