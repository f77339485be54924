#!/usr/bin/env python3
"""Compares Kata with onnxruntime on models whose sizes or values are out of the ordinary: two open sizes, If, Loop, Scan,
NonZero, texts.

    tests/peers/special.py [--kata build/kata] [--library build/libkata.so]

Each model is asked by `kata predict --input NAME=FILE --output FOLDER`; then it is read and written by the library twice:
both files must be the same to the byte, and onnxruntime must answer the same from them as from the original. Nothing here
is needed to build or use Kata.
"""
import argparse
import ctypes
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as h

RNG = np.random.default_rng(0)
LETTERS = np.array(["Apple", "pear", "PLUM", "fig", "", "apple"])


def tensor(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def model(nodes, inputs, outputs, initializers=(), ml=False):
    graph = h.make_graph(nodes, "special", inputs, outputs, list(initializers))
    opsets = [h.make_opsetid("", 17)] + ([h.make_opsetid("ai.onnx.ml", 3)] if ml else [])
    made = h.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(made)
    return made


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def info(name, kind, shape):
    return h.make_tensor_value_info(name, kind, shape)


def two_open_sizes():
    nodes = [h.make_node("MatMul", ["x", "w"], ["a"]), h.make_node("Relu", ["a"], ["r"]),
             h.make_node("ReduceMean", ["r"], ["m"], axes=[1], keepdims=0), h.make_node("Softmax", ["m"], ["y"], axis=-1)]
    made = model(nodes, [info("x", T.FLOAT, ["batch", "length", 4])], [info("y", T.FLOAT, ["batch", 3])],
                 [tensor("w", floats(4, 3))])
    return made, [{"x": floats(2, 5, 4)}, {"x": floats(3, 1, 4)}, {"x": floats(1, 9, 4)}]


def conditional():
    then = h.make_graph([h.make_node("Mul", ["x", "two"], ["t"])], "then", [], [info("t", T.FLOAT, None)])
    other = h.make_graph([h.make_node("Neg", ["x"], ["e"])], "else", [], [info("e", T.FLOAT, None)])
    nodes = [h.make_node("ReduceSum", ["x"], ["s"], keepdims=0), h.make_node("Greater", ["s", "zero"], ["c"]),
             h.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    made = model(nodes, [info("x", T.FLOAT, ["n", 3])], [info("y", T.FLOAT, ["n", 3])],
                 [tensor("two", np.float32(2)), tensor("zero", np.float32(0))])
    return made, [{"x": np.abs(floats(2, 3))}, {"x": -np.abs(floats(4, 3))}]


def loop():
    body = h.make_graph([h.make_node("Add", ["s_in", "x"], ["s_out"]), h.make_node("Identity", ["s_out"], ["row"]),
                         h.make_node("ReduceSum", ["s_out"], ["total"], keepdims=0),
                         h.make_node("Less", ["total", "limit"], ["go"])],
                        "body", [info("i", T.INT64, []), info("c", T.BOOL, []), info("s_in", T.FLOAT, [3])],
                        [info("go", T.BOOL, []), info("s_out", T.FLOAT, [3]), info("row", T.FLOAT, [3])])
    nodes = [h.make_node("Loop", ["trips", "", "start"], ["last", "rows"], body=body)]
    made = model(nodes, [info("trips", T.INT64, []), info("x", T.FLOAT, [3])],
                 [info("last", T.FLOAT, [3]), info("rows", T.FLOAT, ["k", 3])],
                 [tensor("start", np.zeros(3, np.float32)), tensor("limit", np.float32(10))])
    return made, [{"trips": np.array(4, np.int64), "x": np.ones(3, np.float32)},
                  {"trips": np.array(100, np.int64), "x": np.ones(3, np.float32)},
                  {"trips": np.array(0, np.int64), "x": np.ones(3, np.float32)}]


def scan():
    body = h.make_graph([h.make_node("Add", ["s", "v"], ["s2"]), h.make_node("Identity", ["s2"], ["out"])], "body",
                        [info("s", T.FLOAT, [2]), info("v", T.FLOAT, [2])],
                        [info("s2", T.FLOAT, [2]), info("out", T.FLOAT, [2])])
    nodes = [h.make_node("Scan", ["zero", "x"], ["last", "sums"], body=body, num_scan_inputs=1)]
    made = model(nodes, [info("x", T.FLOAT, ["t", 2])], [info("last", T.FLOAT, [2]), info("sums", T.FLOAT, ["t", 2])],
                 [tensor("zero", np.zeros(2, np.float32))])
    return made, [{"x": floats(5, 2)}, {"x": floats(1, 2)}]


def non_zero():
    nodes = [h.make_node("Relu", ["x"], ["r"]), h.make_node("NonZero", ["r"], ["where"]),
             h.make_node("Transpose", ["where"], ["places"]), h.make_node("GatherND", ["x", "places"], ["values"]),
             h.make_node("ReduceSum", ["values"], ["sum"], keepdims=0)]
    made = model(nodes, [info("x", T.FLOAT, ["n", 4])],
                 [info("places", T.INT64, ["k", 2]), info("values", T.FLOAT, ["k"]), info("sum", T.FLOAT, [])])
    return made, [{"x": floats(3, 4)}, {"x": floats(1, 4)}, {"x": -np.abs(floats(2, 4))}]


def texts():
    nodes = [h.make_node("StringNormalizer", ["words"], ["lower"], case_change_action="LOWER", locale="C.UTF-8"),
             h.make_node("LabelEncoder", ["lower"], ["code"], domain="ai.onnx.ml", keys_strings=["apple", "pear", "plum"],
                         values_floats=[1.0, 2.0, 3.0], default_float=-1.0),
             h.make_node("Unsqueeze", ["code", "one"], ["column"]), h.make_node("Gemm", ["column", "w", "b"], ["y"])]
    made = model(nodes, [info("words", T.STRING, ["n"])], [info("y", T.FLOAT, ["n", 2])],
                 [tensor("one", np.array([1], np.int64)), tensor("w", floats(1, 2)), tensor("b", floats(2))], ml=True)
    return made, [{"words": LETTERS}, {"words": LETTERS[:1]}]


def answers(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in inputs.items()}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))


def differ(got, want):
    if got.shape != want.shape or got.dtype.kind != want.dtype.kind:
        return f"{got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
    return None if np.allclose(got, want, rtol=1e-4, atol=1e-5) else f"{got.tolist()}, expected {want.tolist()}"


def by_program(kata, path, inputs, folder):
    command = [kata, "predict", str(path), "--output", str(folder / "out"), "--quiet"]
    for name, value in inputs.items():
        np.save(folder / (name + ".npy"), value)
        command += ["--input", f"{name}={folder / (name + '.npy')}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    return {p.stem: np.load(p) for p in (folder / "out").glob("*.npy")}


def write_again(library, path, to):
    graph = ctypes.c_void_p()
    library.kata_context_default.restype = ctypes.c_void_p
    library.kata_error_message.restype = ctypes.c_char_p
    context = ctypes.c_void_p(library.kata_context_default())
    if library.kata_onnx_read(ctypes.byref(graph), context, str(path).encode()) != 0 or \
            library.kata_onnx_write(graph, str(to).encode()) != 0:
        raise RuntimeError(library.kata_error_message().decode())
    library.kata_graph_free(graph)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kata", default="build/kata")
    parser.add_argument("--library", default="build/libkata.so")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    library = ctypes.CDLL(str(pathlib.Path(arguments.library).resolve()))
    faults = 0
    for make in (two_open_sizes, conditional, loop, scan, non_zero, texts):
        made, cases = make()
        path, first, second = folder / (make.__name__ + ".onnx"), folder / "first.onnx", folder / "second.onnx"
        path.write_bytes(made.SerializeToString())
        notes = []
        try:
            write_again(library, path, first)
            write_again(library, first, second)
            if first.read_bytes() != second.read_bytes():
                notes.append("written twice, the files differ")
            for inputs in cases:
                want = answers(path, inputs)
                for name, value in answers(first, inputs).items():
                    fault = differ(value, want[name])
                    notes += [f"written again, {name}: {fault}"] if fault else []
        except Exception as error:  # of the library or of onnxruntime: its sentence is what matters
            notes.append(f"written again: {str(error)[:300]}")
        for inputs in cases:
            want = answers(path, inputs)
            try:
                got = by_program(arguments.kata, path, inputs, folder)
                for name, value in want.items():
                    fault = differ(got[name], value) if name in got else "missing"
                    notes += [f"predict, {name}: {fault}"] if fault else []
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                notes.append(f"predict: {error}")
        faults += len(notes)
        print(f"{make.__name__:16} {'ok' if not notes else notes[0]}" + (f" (+{len(notes) - 1})" if len(notes) > 1 else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
