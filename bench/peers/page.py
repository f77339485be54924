"""Writes docs/performance.md from the figures that bench/peers/run has kept."""
import os
import platform
import statistics

TITLES = {"two-layer": "MLP 784-50-10", "simple-convnet": "SimpleConvNet", "deep-convnet": "DeepConvNet"}
OPTIMIZERS = {"two-layer": "SGD", "simple-convnet": "Adam", "deep-convnet": "Adam"}

INTRODUCTION = """# Performance

How fast Kata is, as a share of what the processor can do and beside the newest PyTorch, Keras and onnxruntime, the
sides of each part in turns on one machine ([another one](performance-zen4.md)). Every figure on this page was printed by a command;
`bench/peers/run` measures all of it again and writes this page. On your own machine, without any peer:

```sh
kata bench                    # the machine's limits, then the usual workloads as shares of them, in a minute
kata bench train predict      # some
```
"""

METHOD = """## How it was measured

Each figure is the median of {processes} process{es} of each side, ours and the peers' in turns, {seconds} of measuring in
each. Training: batch 100, the same batch again and again, so that the step alone is measured (forward, loss, backward,
update); prediction: one input in memory, to probabilities. FLOPs are those of products and convolutions, taps on zero
padding not counted; a share is of the peak of float32 multiply-adds of as many threads, measured between the repetitions
of the same process, because the clock moves. While the processes below ran, everything else on the machine took {foreign}
of a core (median; at most {foreign_most}). Parts are measured one at a time, at the commits named above; where Keras and
torch.compile were left out the second time, their earlier figures stand.

The peers run at the best settings that we found: PyTorch with a heap that is not given back to the system at each step
(`MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`, `MALLOC_TOP_PAD_`), fused optimisers, contiguous or `channels_last`
or `torch.compile`, for prediction `torch.jit.optimize_for_inference` or `torch.compile`; Keras on JAX with compiled steps; onnxruntime through its C library with all graph optimisations, tensors on memory of its own, on the `.onnx`
file that Kata wrote. The tables show the better settings; `bench/peers` holds every line.
"""


def median(rows, key):
    values = [r[key] for r in rows if r.get(key) is not None]
    return statistics.median(values) if values else None


class Figures:
    def __init__(self, rows):
        self.rows = rows

    def pick(self, **wanted):
        return [r for r in self.rows if all(r.get(k) == v for k, v in wanted.items())]

    def value(self, key, **wanted):
        return median(self.pick(**wanted), key)

    def best(self, key, peer, largest=True, **wanted):
        """The best setting of a peer: (value, setting)."""
        rows = self.pick(peer=peer, **wanted)
        values = [(self.value(key, peer=peer, setting=s, **wanted), s) for s in sorted({r["setting"] for r in rows})]
        values = [v for v in values if v[0] is not None]
        if not values:
            return None, None
        return max(values) if largest else min(values)


def count(x):
    """1,234,567 to three figures."""
    if x is None:
        return "-"
    digits = 0 if x >= 100 else 1 if x >= 10 else 2
    if x >= 1000:
        step = 10 ** (len(str(int(x))) - 3)
        x = round(x / step) * step
    return f"{x:,.{digits}f}"


def share(x):
    return "-" if x is None else f"{100 * x:.0f} %"


def times(a, b):
    return "-" if a is None or b is None or b == 0 else f"{a / b:.2f}×"


def megabytes(x):
    return "-" if x is None else f"{x / 2 ** 20:.2f} MiB" if x < 100 * 2 ** 20 else f"{x / 2 ** 20:.0f} MiB"


def table(head, rows):
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def machine(f):
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 30
    versions = sorted({f"{r['peer']} {r['version']}" for r in f.rows if r.get("version")})
    days = sorted({r["day"] for r in f.rows})
    commits = sorted({r["commit"] for r in f.rows if r["peer"] == "Kata"})
    kernels = sorted({r["kernels"] for r in f.rows if r.get("kernels")})
    text = (f"## The machine\n\n{processor()}, {os.cpu_count()} processors, {gib:.0f} GiB; {platform.system()} "
            f"{platform.release()}; Kata at {', '.join(commits)} with the {', '.join(kernels)} kernels; "
            f"{'; '.join(versions)}; {days[0] if len(days) == 1 else days[0] + ' to ' + days[-1] if days else ''}.\n\n")
    names = [("machine/peak", "float32 multiply-adds, Kata's kernels", 1e9, "GFLOP/s"),
             ("machine/peak/avx512", "the same by AVX-512", 1e9, "GFLOP/s"),
             ("machine/peak/avx2", "by AVX2", 1e9, "GFLOP/s"), ("machine/peak/portable", "by SSE2", 1e9, "GFLOP/s"),
             ("machine/peak/float64", "float64", 1e9, "GFLOP/s"),
             ("machine/peak/avx512-bf16", "bfloat16 by AVX512_BF16", 1e9, "GFLOP/s"),
             ("machine/peak/amx-bf16", "bfloat16 by AMX", 1e9, "GFLOP/s"),
             ("machine/clock", "clock", 1e9, "GHz")]
    names += [(f"machine/bandwidth/{level}-{way}", f"{way}, {level}", 1e9, "GB/s")
              for level in ("L1", "L2", "L3", "memory") for way in ("read", "triad")]
    rows = []
    for name, about, unit, text_of_unit in names:
        values = [f.value("per_second", part="machine", workload=name, threads=t) for t in (1, 2)]
        if values[0] is not None:
            rows.append([about] + [f"{v / unit:.4g} {text_of_unit}" if v is not None else "-" for v in values])
    for us in (3, 30, 100):
        pairs = [[f.value(k, part="machine", workload=f"machine/steady/{us}", threads=t) for k in ("p50_us", "p99_us")]
                 for t in (1, 2)]
        if None not in pairs[0]:
            rows.append([f"additions in registers for {us} µs: 99th of 100 / median"] +
                        [times(p[1], p[0]) if None not in p else "-" for p in pairs])
    often, long = (f.value(k, part="machine", workload="machine/interruptions", threads=1)
                   for k in ("per_second", "p50_us"))
    if often is not None:
        rows.append(["a loop that reads the clock is interrupted", f"{often:.0f} times a second for {long:.0f} µs", "-"])
    return text + table(["limit", "1 thread", "2 threads"], rows)


def training(f):
    rows = []
    for network, title in TITLES.items():
        for t in (1, 2):
            part = {"part": "train/" + network, "threads": t, "neighbour": False}
            ours = f.value("per_second", peer="Kata", **part)
            if ours is None:
                continue
            torch, setting = f.best("per_second", "PyTorch", **part)
            keras, _ = f.best("per_second", "Keras on JAX", **part)
            rows.append([f"{title}, {OPTIMIZERS[network]}", str(t), count(ours),
                         count(f.value("gflops", peer="Kata", **part)), share(f.value("share", peer="Kata", **part)),
                         f"{count(torch)} ({setting})" if torch else "-", count(keras), times(ours, torch)])
    if not rows:
        return ""
    text = "## Training, samples a second\n\nBatch 100, float32.\n\n"
    text += table(["network", "threads", "Kata", "GFLOP/s", "of the peak", "PyTorch (setting)", "Keras on JAX",
                   "Kata / PyTorch"], rows)
    gain = []
    for network, title in TITLES.items():
        one, two = (f.value("per_second", part="train/" + network, peer="Kata", threads=t) for t in (1, 2))
        if one and two:
            gain.append(f"{title} {two / one:.2f}×")
    return text + (f"\nTwo threads against one: {', '.join(gain)}.\n" if gain else "")


def neighbour(f):
    rows = []
    for network, title in TITLES.items():
        part = {"part": "neighbour/" + network}
        for peer, setting, name in (("Kata", "", "Kata"), ("PyTorch", "channels_last", "PyTorch"),
                                    ("PyTorch", "channels_last, passive waiting", "PyTorch, OMP_WAIT_POLICY=passive")):
            who = {"peer": peer, "setting": setting, **part}
            base = {"peer": peer, "setting": "channels_last" if peer == "PyTorch" else "", **part}
            one = f.value("per_second", threads=1, neighbour=False, **base)
            quiet = f.value("per_second", threads=2, neighbour=False, **who)
            busy = f.value("per_second", threads=2, neighbour=True, **who)
            if one is None or quiet is None or busy is None:
                continue
            rows.append([title, name, count(one), count(quiet), count(busy), share(busy / (4 / 3 * one))])
    if not rows:
        return ""
    return ("## Two threads beside a busy process\n\nOne other process keeps a core busy all the time. Two threads and "
            "it share two cores: the fair share of the two is 4/3 of a core.\n\n" +
            table(["network", "", "1 thread, quiet", "2 threads, quiet", "2 threads, busy", "of the fair share"], rows))


def prediction(f, batch):
    rows = []
    for network, title in TITLES.items():
        for t in (1, 2):
            part = {"part": "predict/" + network, "threads": t, "batch": batch}
            if f.value("per_second", peer="Kata", **part) is None:
                continue
            if batch == 1:
                ours, ort = (f.value("p50_us", peer=p, **part) for p in ("Kata", "onnxruntime"))
                tail, ort_tail = (f.value("p99_us", peer=p, **part) for p in ("Kata", "onnxruntime"))
                torch, setting = f.best("p50_us", "PyTorch", largest=False, **part)
                keras, _ = f.best("p50_us", "Keras on JAX", largest=False, **part)
                rows.append([title, str(t), f"{count(ours)} / {count(tail)}", share(f.value("share", peer="Kata", **part)),
                             f"{count(ort)} / {count(ort_tail)}", f"{count(torch)} ({setting})" if torch else "-", count(keras),
                             times(ours, ort)])
            else:
                ours, ort = (f.value("per_second", peer=p, **part) for p in ("Kata", "onnxruntime"))
                torch, setting = f.best("per_second", "PyTorch", **part)
                keras, _ = f.best("per_second", "Keras on JAX", **part)
                peers = [x for x in (ort, torch) if x]
                rows.append([title, str(t), count(ours), share(f.value("share", peer="Kata", **part)), count(ort),
                             f"{count(torch)} ({setting})" if torch else "-", count(keras),
                             times(ours, max(peers) if peers else None)])
    if not rows:
        return ""
    if batch == 1:
        return ("## Prediction of one sample, microseconds\n\nMedian / 99th of 100 calls; the peers but onnxruntime by "
                "their medians. The share is of the limit that binds: multiply-adds, or the weights' way from the cache "
                "that holds them.\n\n" +
                table(["network", "threads", "Kata", "of the limit", "onnxruntime", "PyTorch (setting)", "Keras on JAX",
                       "Kata / onnxruntime"], rows))
    return ("## Prediction of 100 samples, samples a second\n\n" +
            table(["network", "threads", "Kata", "of the limit", "onnxruntime", "PyTorch (setting)", "Keras on JAX",
                   "Kata / the better peer"], rows))


def bfloat16(f):
    rows = []
    for network, title in TITLES.items():
        for t in (1, 2):
            part = {"part": "bf16/" + network, "threads": t}
            single = f.value("per_second", workload="train/" + network, **part)
            half = f.value("per_second", workload="train-bf16/" + network, **part)
            if single is None or half is None:
                continue
            one = {"workload": "predict-bf16/" + network, "batch": 1, **part}
            p50, p99 = f.value("p50_us", **one), f.value("p99_us", **one)
            ort = f.value("p50_us", part="predict/" + network, peer="onnxruntime", threads=t, batch=1)
            rows.append([title, str(t), count(single), count(half), times(half, single), f"{count(p50)} / {count(p99)}",
                         times(p50, ort)])
    if not rows:
        return ""
    return ("## bfloat16\n\n`--precision bf16`: training at batch 100, samples a second, beside float32 in turns; prediction of one "
            "sample, microseconds, beside onnxruntime in float32.\n\n" +
            table(["network", "threads", "training, float32", "training, bfloat16", "ratio", "prediction, median / 99th of 100",
                   "of onnxruntime's time"], rows))


def memory(f):
    rows = []
    for network, title in TITLES.items():
        part = {"part": "memory/" + network}
        planned = f.value("planned_bytes", peer="Kata", **part)
        if planned is None:
            continue
        torch, setting = f.best("bytes", "PyTorch", largest=False, **part)
        keras, _ = f.best("bytes", "Keras on JAX", largest=False, **part)
        rows.append([title, megabytes(planned)] +
                    [megabytes(f.value(k, peer="Kata", **part)) for k in ("arena_bytes", "weight_bytes", "state_bytes",
                                                                            "structure_bytes", "resident_bytes")] +
                    [f"{megabytes(torch)} ({setting})" if torch else "-", megabytes(keras), times(planned, torch)])
    if not rows:
        return ""
    return ("## Memory of a training step\n\nBatch 100. What Kata takes is known before the first step and is what the "
            "plan says, to the byte (`tests/train/test_memory.c` counts it): one block of activations, gradients and "
            "workspaces, the weights, the optimiser's state, and the graph and plan of the step. Grown is by how much "
            "the process's resident memory rose over what it was after a step of one sample; the peers' figures are "
            "measured in that way.\n\n" +
            table(["network", "Kata, planned", "activations", "weights", "optimiser", "graph and plan", "grown",
                   "PyTorch (setting)", "Keras on JAX", "Kata / PyTorch"], rows))


def start(f):
    rows = []
    for network, title in TITLES.items():
        who = {"part": "start", "workload": "start/" + network}
        p50 = f.value("p50_us", **who)
        if p50 is not None:
            rows.append([title, f"{p50 / 1000:.1f} ms", f"{f.value('p99_us', **who) / 1000:.1f} ms",
                         megabytes(f.value("memory_bytes", **who))])
    if not rows:
        return ""
    return ("## Start\n\n`kata predict MODEL.onnx DIGIT.png` as a whole process: load the model, decode the picture, "
            "answer.\n\n" + table(["network", "median", "99th of 100", "peak memory"], rows))


def products(f):
    names = list(dict.fromkeys(r["workload"] for r in f.pick(part="gemm", peer="Kata") if r.get("library")))
    libraries = sorted({r["peer"] for r in f.pick(part="gemm")} - {"Kata"})
    rows = []
    for name in names:
        for t in (1, 2):
            who = {"part": "gemm", "workload": name, "threads": t}
            ours = f.value("gflops", peer="Kata", **who)
            if ours is None:
                continue
            best = [x for x in (f.value("gflops", peer=p, **who) for p in libraries) if x]
            rows.append([name.split("/")[1], str(t)] +
                        [share(f.value("share", peer=p, **who)) for p in ["Kata"] + libraries] +
                        [times(ours, max(best) if best else None)])
    if not rows:
        return ""
    return ("## Products\n\nShares of the peak of float32 multiply-adds; rows × columns × terms, then whether A and B are "
            "transposed (t) or not (n). Each library in a process of its own, in turns.\n\n" +
            table(["shape", "threads", "Kata"] + libraries + ["Kata / the best"], rows))


def method(f):
    foreign = sorted(r["foreign"] for r in f.rows if not r.get("neighbour"))
    if not foreign:
        return ""
    processes = max(r["process"] for r in f.rows) + 1
    return METHOD.format(processes=processes, es="" if processes == 1 else "es", seconds="a second", foreign=f"{foreign[len(foreign) // 2]:.2f}",
                         foreign_most=f"{foreign[-1]:.2f}")


def text(rows, here):
    f = Figures(rows)
    parts = [INTRODUCTION, machine(f), method(f), training(f), neighbour(f), prediction(f, 1), prediction(f, 100),
             bfloat16(f), memory(f), start(f), products(f)]
    notes = here / "notes.md"
    if notes.exists():
        parts.append(notes.read_text())
    parts.append("## Printed by\n\n```sh\nbench/peers/run              # everything, some 35 minutes (--fast: 15, without Keras and torch.compile); the peers come "
                 "from PyPI into build/peers/venv\nbench/peers/run train memory # some parts; the rest of the page "
                 "stays as it was\n```\n")
    return "\n".join(p for p in parts if p)
