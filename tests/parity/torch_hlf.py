"""Trains the `hlf` network with PyTorch on given rows and prints its AUCs as JSON.

    /usr/bin/python3 tests/parity/torch_hlf.py FOLDER [--epochs 30] [--batch 128] [--seeds 5]

FOLDER holds train_x.npy, test_x.npy (raw features, [n][14]), train_y.npy, test_y.npy (labels) and the scaler:
scaler_log.npy (1 where log1p comes first), scaler_shift.npy, scaler_factor.npy.  The same network, starting values
(Glorot uniform, zero biases), loss, optimiser and order of things as core/model/train.c; only the random numbers differ.
"""
import argparse
import json
import os

import numpy as np
import torch

HIDDEN = [50, 20, 10]
RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-7


def scaled(folder, name):
    load = lambda part: np.load(os.path.join(folder, part + ".npy"))
    x = load(name).astype(np.float64)
    logged = load("scaler_log").astype(bool)
    x[:, logged] = np.log1p(np.maximum(x[:, logged], 0))
    return ((x - load("scaler_shift")) * load("scaler_factor")).astype(np.float32)


def network(n_in, n_classes):
    layers = []
    for width in HIDDEN + [n_classes]:
        linear = torch.nn.Linear(n_in, width)
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
        n_in = width
    return torch.nn.Sequential(*layers[:-1])


def auc(score, is_signal):
    """Share of pairs in order; ties count half (mean ranks)."""
    order = np.argsort(score, kind="stable")
    value, first, count = np.unique(score[order], return_index=True, return_counts=True)
    mean_rank = np.repeat(first + (count + 1) / 2, count)
    signal = is_signal[order]
    n_s, n_b = signal.sum(), (~signal).sum()
    return float((mean_rank[signal].sum() - n_s * (n_s + 1) / 2) / (n_s * n_b))


def fit(x, y, n_classes, seed, epochs, batch):
    torch.manual_seed(seed)
    net = network(x.shape[1], n_classes)
    adam = torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS, eps=EPSILON)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for first in range(0, len(x), batch):
            rows = order[first:first + batch]
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            adam.step()
    return net


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder")
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--seeds", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    label = lambda name: np.load(os.path.join(given.folder, name + ".npy")).astype(np.int64)
    train_y, test_y = label("train_y"), label("test_y")
    train_x, test_x = (torch.from_numpy(scaled(given.folder, name)) for name in ("train_x", "test_x"))
    n_classes = int(max(train_y.max(), test_y.max())) + 1
    runs = []
    for seed in range(1, given.seeds + 1):
        net = fit(train_x, torch.from_numpy(train_y), n_classes, seed, given.epochs, given.batch)
        with torch.no_grad():
            p = torch.softmax(net(test_x), 1).numpy()
        each = [auc(p[:, c], test_y == c) for c in range(n_classes)]
        runs.append({"seed": seed, "auc": each, "macro_auc": float(np.mean(each)),
                     "accuracy": float((p.argmax(1) == test_y).mean())})
    print(json.dumps({"train_events": len(train_y), "test_events": len(test_y), "torch": torch.__version__,
                      "runs": runs, "mean_macro_auc": float(np.mean([r["macro_auc"] for r in runs]))}))


if __name__ == "__main__":
    main()
