"""PyTorch's part of bench/peers/run: one measurement in a process of its own, one JSON object on stdout.

    peer_torch.py train|predict|memory NETWORK BATCH SECONDS SETTING

SETTING: plain, channels_last, compile (with channels_last), jit (prediction: frozen and optimize_for_inference).
Threads and the behaviour of the heap come from the environment that bench/peers/run sets.
"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class TwoLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(784, 50), nn.Linear(50, 10)

    def forward(self, x):
        return self.second(F.relu(self.first(x.flatten(1))))


class SimpleConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 30, 5)
        self.first, self.second = nn.Linear(30 * 12 * 12, 100), nn.Linear(100, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.second(F.relu(self.first(x.flatten(1))))


class DeepConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        sizes, pads = [1, 16, 16, 32, 32, 64, 64], [1, 1, 1, 2, 1, 1]
        self.convs = nn.ModuleList([nn.Conv2d(sizes[i], sizes[i + 1], 3, padding=pads[i]) for i in range(6)])
        self.first, self.second = nn.Linear(64 * 4 * 4, 50), nn.Linear(50, 10)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if i % 2 == 1:
                x = F.max_pool2d(x, 2)
        return self.drop(self.second(self.drop(F.relu(self.first(x.flatten(1))))))


NETWORKS = {"two-layer": TwoLayer, "simple-convnet": SimpleConvNet, "deep-convnet": DeepConvNet}


class WithSoftmax(nn.Module):
    """What the .onnx file of the same network answers: probabilities."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return F.softmax(self.inner(x), dim=1)


def batches(n, batch, setting):
    x = torch.rand(n * batch, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = torch.randint(0, 10, (n * batch,), generator=torch.Generator().manual_seed(2))
    if setting in ("channels_last", "compile"):
        x = x.to(memory_format=torch.channels_last)
    return [(x[i * batch:(i + 1) * batch], y[i * batch:(i + 1) * batch]) for i in range(n)]


def make(network, setting, training):
    torch.manual_seed(0)
    model = NETWORKS[network]()
    if not training:
        model = WithSoftmax(model)
    model.train(training)
    if setting in ("channels_last", "compile"):
        model = model.to(memory_format=torch.channels_last)
    return model


def make_step(network, setting):
    model = make(network, setting, True)
    if network == "two-layer":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model) if setting == "compile" else model

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def repeat(call, seconds, repetitions=9):
    """Calls a second: the median of so many repetitions, and the lowest and highest."""
    until = time.perf_counter() + 0.25 * seconds
    while time.perf_counter() < until:
        call()
    rates = []
    for _ in range(repetitions):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / repetitions:
            call()
            n += 1
        rates.append(n / (time.perf_counter() - start))
    rates.sort()
    return rates[len(rates) // 2], rates[0], rates[-1]


def train(network, batch, seconds, setting):
    x, y = batches(1, batch, setting)[0]
    step = make_step(network, setting)
    for _ in range(3):
        step(x, y)
    middle, low, high = repeat(lambda: step(x, y), seconds)
    return {"per_second": batch * middle, "low": batch * low, "high": batch * high}


def predict(network, batch, seconds, setting):
    model = make(network, setting, False)
    x = batches(1, batch, setting)[0][0]
    if setting == "jit":
        model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))
    elif setting == "compile":
        model = torch.compile(model)
    times = []
    with torch.inference_mode():
        until = time.perf_counter() + 0.25 * seconds
        for _ in range(5):
            model(x)
        while time.perf_counter() < until:
            model(x)
        start = time.perf_counter()
        while time.perf_counter() - start < seconds or len(times) < 100:
            from_ = time.perf_counter_ns()
            model(x)
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


def memory(network, batch, _seconds, setting):
    """Peak of resident memory over ten steps, above what lay there when the libraries had run a small step of the same
    kind (batch 1, a network made anew) and the data was made."""
    data = batches(10, batch, setting)
    warm = make_step(network, setting)
    for x, y in data[:3]:
        warm(x[:1], y[:1])
    del warm
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    step = make_step(network, setting)
    for x, y in data:
        step(x, y)
    return {"bytes": resident("VmHWM") - before, "baseline_bytes": before}


def main():
    what, network, batch, seconds, setting = sys.argv[1:6]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_num_interop_threads(1)
    part = {"train": train, "predict": predict, "memory": memory}[what]
    row = part(network, int(batch), float(seconds), setting)
    row.update(peer="PyTorch", batch=int(batch), version=torch.__version__.split("+")[0], setting=setting)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
