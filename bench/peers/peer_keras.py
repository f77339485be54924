"""Keras' part of bench/peers/run, on JAX: one measurement in a process of its own, one JSON object on stdout.

    peer_keras.py train|predict|memory NETWORK BATCH SECONDS SETTING

SETTING: jit. A training step is Keras' own compiled step (jit_compile, several steps an execution, data in memory); a
prediction is the model as one function compiled by JAX. Threads: the processors that the process may run on.
"""
import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"
threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

# Steps that Keras compiles into one call: they are compiled one by one, which takes minutes for many convolutions.
STEPS = {"two-layer": 20, "simple-convnet": 2, "deep-convnet": 1}


def two_layer():
    return [layers.Flatten(), layers.Dense(50, activation="relu"), layers.Dense(10)]


def simple_convnet():
    return [layers.Conv2D(30, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
            layers.Dense(100, activation="relu"), layers.Dense(10)]


def deep_convnet():
    rows = []
    for i, filters in enumerate([16, 16, 32, 32, 64, 64]):
        if i == 3:
            rows += [layers.ZeroPadding2D(2), layers.Conv2D(filters, 3, activation="relu")]
        else:
            rows.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        if i % 2 == 1:
            rows.append(layers.MaxPooling2D(2))
    return rows + [layers.Flatten(), layers.Dense(50, activation="relu"), layers.Dropout(0.5), layers.Dense(10),
                   layers.Dropout(0.5)]


NETWORKS = {"two-layer": two_layer, "simple-convnet": simple_convnet, "deep-convnet": deep_convnet}


def make(network):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((28, 28, 1))] + NETWORKS[network]())
    adam = network != "two-layer"
    model.compile(optimizer=keras.optimizers.Adam(1e-3) if adam else keras.optimizers.SGD(0.1),
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True,
                  steps_per_execution=STEPS[network])
    return model


def samples(n):
    generator = np.random.default_rng(1)
    return generator.random((n, 28, 28, 1), dtype=np.float32), generator.integers(0, 10, n)


def fit(model, x, y, batch, epochs):
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, shuffle=False)


def train(network, batch, seconds, _setting):
    model = make(network)
    x, y = samples(STEPS[network] * batch * 10)
    fit(model, x, y, batch, 2)
    rates = []
    for _ in range(9):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 9:
            fit(model, x, y, batch, 1)
            n += len(x)
        rates.append(n / (time.perf_counter() - start))
    rates.sort()
    return {"per_second": rates[4], "low": rates[0], "high": rates[-1]}


def predict(network, batch, seconds, _setting):
    model = make(network)
    weights, others = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    answer = jax.jit(lambda x: jax.nn.softmax(model.stateless_call(weights, others, x)[0]))
    x = jax.device_put(samples(batch)[0])
    times = []
    for _ in range(20):
        answer(x).block_until_ready()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 100:
        from_ = time.perf_counter_ns()
        answer(x).block_until_ready()
        times.append(time.perf_counter_ns() - from_)
    times.sort()
    return {"p50_us": times[len(times) // 2] / 1e3, "p99_us": times[int(0.99 * len(times))] / 1e3,
            "per_second": batch * len(times) / (sum(times) / 1e9), "calls": len(times)}


def resident(key):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    return 0


def memory(network, batch, _seconds, _setting):
    """Peak of resident memory over two executions, above what lay there when a small network had been trained."""
    x, y = samples(STEPS["two-layer"] * batch)
    warm = make("two-layer")
    fit(warm, x[:STEPS["two-layer"]], y[:STEPS["two-layer"]], 1, 1)
    del warm
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    fit(make(network), x, y, batch, 2)
    return {"bytes": resident("VmHWM") - before, "baseline_bytes": before}


def main():
    what, network, batch, seconds, setting = sys.argv[1:6]
    part = {"train": train, "predict": predict, "memory": memory}[what]
    row = part(network, int(batch), float(seconds), setting)
    row.update(peer="Keras on JAX", batch=int(batch), version=keras.__version__ + ", JAX " + jax.__version__,
               setting=setting)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
