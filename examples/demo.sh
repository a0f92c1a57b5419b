#!/bin/sh
# `make demo`: one look at a network; on each of the two committed networks one proof, checked, and one refutation.
# BIN is the folder of the `verify` command; results go to demo-out/.
set -u
verify="${BIN:?set BIN to the folder of the verify command}/verify"
mkdir -p demo-out

# expect CODE COMMAND... : shows the command, runs it, and stops the demo when the exit code is another one.
expect() {
    wanted=$1
    shift
    echo
    echo "\$ verify $*"
    "$verify" "$@"
    code=$?
    if [ "$code" -ne "$wanted" ]; then
        echo "demo: expected exit code $wanted, got $code" >&2
        exit 1
    fi
}

expect 0 info examples/digits_mlp.onnx examples/digits_mlp_holds.vnnlib
for net in digits_mlp digits_conv; do
    expect 0 run "examples/$net.onnx" "examples/${net}_holds.vnnlib" --timeout 50 --json "demo-out/${net}_holds.json" \
        --proof "demo-out/${net}_holds.proof"
    expect 0 check "examples/$net.onnx" "examples/${net}_holds.vnnlib" "demo-out/${net}_holds.proof"
    expect 1 run "examples/$net.onnx" "examples/${net}_violated.vnnlib" --timeout 50 \
        --witness "demo-out/${net}_witness.txt" --json "demo-out/${net}_violated.json"
    echo "the counterexample (X: input, Y: onnxruntime's output on it), demo-out/${net}_witness.txt ends in:"
    tail -n 4 "demo-out/${net}_witness.txt"
done
echo
echo "demo: proved one property (and checked the proof) and refuted another on each network; the results are in demo-out/"
