#!/usr/bin/env python3
"""Compares Kata with onnxruntime on models that other programs export.

    tests/peers/exported.py [--kata build/kata] [--keep FOLDER] [NAME...]

Makes small models with random weights by PyTorch, Keras (tf2onnx) and scikit-learn (skl2onnx), those that are installed
in this Python, with a fixed and with an open batch, with one and with several inputs; then asks

    kata predict MODEL --input NAME=FILE.npy --output FOLDER
    kata evaluate MODEL --data FILE.npz --json
    kata serve MODEL, POST /v1/models/NAME:predict

and compares with onnxruntime's answers to 1e-4. Prints a line for each model and door. Nothing here is needed to build or
use Kata.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import numpy as np
import onnxruntime

TOLERANCE = 1e-4
RNG = np.random.default_rng(0)


# --- models: each maker writes FOLDER/NAME.onnx and returns {input: array of n rows} ------------------------------------

def torch_models(folder):
    import torch
    from torch import nn
    torch.manual_seed(0)

    def export(name, model, inputs, names, outputs=("y",), axes=None, rows=6):
        model.eval()
        torch.onnx.export(model, tuple(torch.from_numpy(x) for x in inputs), str(folder / (name + ".onnx")),
                          input_names=list(names), output_names=list(outputs), dynamic_axes=axes, dynamo=False)
        return {n: RNG.standard_normal((rows,) + x.shape[1:]).astype(x.dtype) for n, x in zip(names, inputs)}

    def rand(*shape):
        return RNG.standard_normal(shape).astype(np.float32)

    mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(dim=1))
    cnn = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(8, 4, 3, stride=2), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

    class TwoInputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(16, 2)

        def forward(self, a, b):
            return torch.sigmoid(self.c(torch.cat([torch.tanh(self.a(a)), self.b(b)], dim=1)))

    class TwoOutputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(6, 2)

        def forward(self, x):
            return self.a(x), torch.log_softmax(self.b(x), dim=1)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

        def forward(self, x):
            return self.layer(x).mean(dim=1)

    batch = lambda *names: {n: {0: "batch"} for n in names}  # noqa: E731
    return {
        "torch-mlp-fixed-1": lambda n: export(n, mlp, [rand(1, 8)], ["x"]),
        "torch-mlp-fixed-4": lambda n: export(n, mlp, [rand(4, 8)], ["x"]),
        "torch-mlp-open": lambda n: export(n, mlp, [rand(2, 8)], ["x"], axes=batch("x", "y")),
        "torch-cnn-fixed-2": lambda n: export(n, cnn, [rand(2, 3, 16, 12)], ["image"]),
        "torch-cnn-open": lambda n: export(n, cnn, [rand(2, 3, 16, 12)], ["image"], axes=batch("image", "y")),
        "torch-two-inputs-open": lambda n: export(n, TwoInputs(), [rand(2, 4), rand(2, 3)], ["a", "b"],
                                                  axes=batch("a", "b", "y")),
        "torch-two-inputs-fixed-2": lambda n: export(n, TwoInputs(), [rand(2, 4), rand(2, 3)], ["a", "b"]),
        "torch-two-outputs-open": lambda n: export(n, TwoOutputs(), [rand(2, 6)], ["x"], ("p", "q"),
                                                   axes=batch("x", "p", "q")),
        "torch-attention-open": lambda n: export(n, Attention(), [rand(2, 5, 16)], ["x"], axes=batch("x", "y")),
        "torch-attention-length-open": lambda n: export(n, Attention(), [rand(2, 5, 16)], ["x"], axes={
            "x": {0: "batch", 1: "length"}, "y": {0: "batch"}}),
    }


def keras_models(folder):
    import keras
    import tensorflow as tf
    import tf2onnx
    from keras import layers
    keras.utils.set_random_seed(0)

    def export(name, model, rows=6, batch=None):
        shapes = {i.name.split(":")[0]: tuple(i.shape) for i in model.inputs}
        signature = [tf.TensorSpec((batch,) + s[1:], tf.float32, name=n) for n, s in shapes.items()]
        # as one function: tf2onnx's own reading of a Keras model lags behind Keras
        function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
        tf2onnx.convert.from_function(function, input_signature=signature, opset=17,
                                      output_path=str(folder / (name + ".onnx")))
        return {n: RNG.standard_normal((rows,) + s[1:]).astype(np.float32) for n, s in shapes.items()}

    def mlp():
        return keras.Sequential([keras.Input((8,), name="x"), layers.Dense(16, "relu"), layers.Dense(3, "softmax")])

    def cnn():
        return keras.Sequential([keras.Input((16, 12, 3), name="image"), layers.Conv2D(8, 3, padding="same"),
                                 layers.BatchNormalization(), layers.Activation("swish"), layers.MaxPooling2D(),
                                 layers.DepthwiseConv2D(3, strides=2, padding="same"), layers.GlobalAveragePooling2D(),
                                 layers.Dense(5)])

    def two():
        a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
        c = layers.Concatenate()([layers.Dense(8, "tanh")(a), layers.Dense(8, "elu")(b)])
        return keras.Model([a, b], layers.Dense(1, "sigmoid")(c))

    return {
        "keras-mlp-open": lambda n: export(n, mlp()),
        "keras-mlp-fixed-4": lambda n: export(n, mlp(), batch=4),
        "keras-cnn-open": lambda n: export(n, cnn()),
        "keras-two-inputs-open": lambda n: export(n, two()),
    }


def sklearn_models(folder):
    import skl2onnx
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from skl2onnx.common.data_types import FloatTensorType
    x = RNG.standard_normal((200, 5)).astype(np.float32)
    y = x @ np.array([1, -2, 0.5, 0, 3], dtype=np.float32)
    classes = np.digitize(y, [-2, 2])

    def export(name, model, target, batch=None):
        model.fit(x, target)
        options = {} if not hasattr(model, "classes_") else {id(model): {"zipmap": False}}
        onx = skl2onnx.convert_sklearn(model, initial_types=[("x", FloatTensorType([batch, 5]))], target_opset=17,
                                       options=options)
        (folder / (name + ".onnx")).write_bytes(onx.SerializeToString())
        return {"x": x[:6]}

    return {
        "sklearn-linear-open": lambda n: export(n, LinearRegression(), y),
        "sklearn-logistic-open": lambda n: export(n, LogisticRegression(), classes),
        "sklearn-scaled-logistic-open": lambda n: export(n, make_pipeline(StandardScaler(), LogisticRegression()), classes),
        "sklearn-mlp-open": lambda n: export(n, MLPClassifier((8,), max_iter=20), classes),
        "sklearn-forest-open": lambda n: export(n, RandomForestRegressor(10, random_state=0), y),
        "sklearn-boosting-open": lambda n: export(n, GradientBoostingClassifier(n_estimators=10), classes),
    }


# --- the truth and the doors --------------------------------------------------------------------------------------------

def by_onnxruntime(path, inputs):
    """All rows, as many at a time as the model takes; the last rows are filled up and cut."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fixed = session.get_inputs()[0].shape[0]
    n = len(next(iter(inputs.values())))
    step = fixed if isinstance(fixed, int) else n
    parts = []
    for first in range(0, n, step):
        rows = {k: np.concatenate([v[first:first + step], v[:1].repeat(max(0, first + step - n), 0)])
                for k, v in inputs.items()}
        parts.append(session.run(None, rows))
    names = [o.name for o in session.get_outputs()]
    return {name: np.concatenate([p[i] for p in parts])[:n] for i, name in enumerate(names)}


def differ(got, want):
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.dtype.kind in "fiub":
        error = float(np.max(np.abs(got.astype(np.float64) - want.astype(np.float64)), initial=0))
        scale = max(1.0, float(np.max(np.abs(want.astype(np.float64)), initial=0)))
        return f"differs by {error:.3g}" if not error <= TOLERANCE * scale else None
    return None if np.array_equal(got.astype(str), want.astype(str)) else "other texts"


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
    return done.stdout


def door_predict(kata, path, inputs, want, folder):
    out = folder / "answers"
    command = [kata, "predict", str(path), "--output", str(out), "--quiet"]
    for name, value in inputs.items():
        np.save(folder / "in.npy", value)
        file = folder / (re.sub(r"\W", "_", name) + ".npy")
        np.save(file, value)
        command += ["--input", f"{name}={file}"]
    run(command)
    for name, value in want.items():
        file = out / (name.replace("/", "_") + ".npy")
        fault = differ(np.load(file), value) if file.exists() else "no file " + file.name
        if fault:
            return f"{name}: {fault}"
    return None


def door_evaluate(kata, path, inputs, want, folder):
    if len(inputs) != 1 or len(want) != 1:
        return "skipped: one input and one output only"
    x, y = next(iter(inputs.values())), next(iter(want.values()))
    if y.ndim != 2 or y.dtype.kind != "f":
        return "skipped: no table of numbers"
    np.savez(folder / "data.npz", x=x, y=(y + 0.25).astype(np.float32))
    got = json.loads(run([kata, "evaluate", str(path), "--data", str(folder / "data.npz"), "--loss", "mean-squared-error",
                          "--json", "--quiet"]))
    return None if abs(got["loss"] - 0.0625) < 1e-4 else f"loss {got['loss']}, expected 0.0625"


def door_serve(kata, path, inputs, want, folder):
    server = subprocess.Popen([kata, "serve", str(path), "--name", "m", "--port", "0"], stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        port, lines = None, []
        for line in server.stderr:
            lines.append(line.strip())
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                port = found.group(1)
                break
        if port is None:
            return lines[-1] if lines else "it did not start"
        n = len(next(iter(inputs.values())))
        rows = [{k: v[i].tolist() for k, v in inputs.items()} if len(inputs) > 1 else
                next(iter(inputs.values()))[i].tolist() for i in range(n)]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models/m:predict",
                                         json.dumps({"instances": rows}).encode(), {"Content-Type": "application/json"})
        try:
            answer = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()[:300]}"
        for name, value in want.items():
            got = np.array([row[name] if isinstance(row, dict) else row for row in answer])
            fault = differ(got.reshape(value.shape) if got.size == value.size else got, value)
            if fault:
                return f"{name}: {fault}"
        return None
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models whose names begin so")
    parser.add_argument("--kata", default="build/kata")
    parser.add_argument("--keep", help="leave the models in this folder")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.keep or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    makers = {}
    for make in (torch_models, keras_models, sklearn_models):
        try:
            makers.update(make(folder))
        except ImportError as error:
            print(f"{make.__name__}: skipped, {error}")
    faults = 0
    for name, maker in makers.items():
        if arguments.names and not name.startswith(tuple(arguments.names)):
            continue
        inputs = maker(name)
        path = folder / (name + ".onnx")
        want = by_onnxruntime(path, inputs)
        for door in (door_predict, door_evaluate, door_serve):
            try:
                fault = door(arguments.kata, path, inputs, want, folder)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                fault = str(error)
            skipped = fault is not None and fault.startswith("skipped")
            faults += fault is not None and not skipped
            print(f"{name:34} {door.__name__[5:]:9} {'ok' if fault is None else fault}", flush=True)
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
