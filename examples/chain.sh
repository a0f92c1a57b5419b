#!/bin/sh
# `make chain`: the whole chain on scikit-learn's digits: train, graft, prune, export, prove about the exported files with
# proofs that the independent checker accepts, compare. BIN is the folder of the `verify` command; results go to chain-out/.
set -eu
verify="${BIN:?set BIN to the folder of the verify command}/verify"
out=${OUT:-chain-out}
mkdir -p "$out"

show() {
    echo
    echo "\$ verify $*"
    "$verify" "$@"
}

# An interrupted chain goes on; what is finished is kept.
step() {
    folder=$1
    shift
    if [ -e "$out/$folder/manifest.json" ]; then
        echo "$out/$folder is there"
    else
        show "$@" --out "$out/$folder"
    fi
}

step dense train fgsm --data digits --arch mlp-3x60 --eps 0.1 --epochs 30 --lr 0.05 --gradalign 0 --test 40 --complete 5 \
    --timeout 1
step grafted graft "$out/dense" --data digits --eps 0.1 --ratio 0.5 --finetune-epochs 5 --test 20 --timeout 1
step pruned prune "$out/dense" --data digits --structured --criterion magnitude --remaining 0.6,0.4 --test 20 --timeout 1

for network in grafted pruned; do
    proved=no
    for property in "$out/$network"/properties/*.vnnlib; do
        proof="$out/$network/$(basename "$property" .vnnlib).proof"
        echo
        echo "\$ verify run $out/$network/model.onnx $property --timeout 20 --proof $proof"
        code=0
        "$verify" run "$out/$network/model.onnx" "$property" --timeout 20 --proof "$proof" || code=$?
        # 0: it holds; 1: it is violated; 3 and 4: not decided. Anything else is an error.
        case $code in
            0) show check "$out/$network/model.onnx" "$property" "$proof" && proved=yes ;;
            1 | 3 | 4) ;;
            *) exit "$code" ;;
        esac
    done
    if [ $proved = no ]; then
        echo "chain: no property of $out/$network was proved" >&2
        exit 1
    fi
done
show compare "$out/dense" "$out/grafted" "$out/pruned" --data digits --eps 0.1 --images 40 --timeout 1 --out "$out/report"
echo
echo "chain: trained, grafted and pruned; proofs checked; $out/report/report.md compares the three networks"
