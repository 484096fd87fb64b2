"""Trains the `inclusive` network with PyTorch on given rows and prints its AUCs as JSON.

    /usr/bin/python3 tests/parity/torch_inclusive.py FOLDER [--epochs 5] [--batch 128] [--seeds 3]

FOLDER holds, for train and test: SIDE_rows.npy (prepared particle rows of all events, one after the other, [..][19]),
SIDE_length.npy (rows of each event), SIDE_hlf.npy (scaled features), SIDE_y.npy (labels).  The same network, starting
values (Glorot uniform kernels, orthogonal recurrent kernel, zero biases), dropout, loss, optimiser and order of things as
core/model; only the random numbers differ.  Rows beyond an event's length are packed away, so the GRU never sees them.
"""
import argparse
import json
import os
import time

import numpy as np
import torch

UNITS, HIDDEN, DROPOUT = 50, 25, 0.2
RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-7


class Inclusive(torch.nn.Module):
    def __init__(self, n_columns, n_hlf, n_classes):
        super().__init__()
        self.gru = torch.nn.GRU(n_columns, UNITS, batch_first=True)
        self.hidden = torch.nn.Linear(UNITS + n_hlf, HIDDEN)
        self.last = torch.nn.Linear(HIDDEN, n_classes)
        self.drop = torch.nn.Dropout(DROPOUT)
        torch.nn.init.xavier_uniform_(self.gru.weight_ih_l0)
        torch.nn.init.orthogonal_(self.gru.weight_hh_l0)
        for linear in (self.hidden, self.last):
            torch.nn.init.xavier_uniform_(linear.weight)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                torch.nn.init.zeros_(parameter)

    def forward(self, packed, hlf):
        state = self.gru(packed)[1][0]
        both = torch.cat([self.drop(state), self.drop(hlf)], 1)
        return self.last(torch.relu(self.hidden(both)))


class Side:
    def __init__(self, folder, side):
        load = lambda name: np.load(os.path.join(folder, f"{side}_{name}.npy"))
        self.length, self.y = load("length"), torch.from_numpy(load("y"))
        self.hlf = torch.from_numpy(load("hlf"))
        self.rows = torch.split(torch.from_numpy(load("rows")), self.length.tolist())

    def batch(self, index):
        packed = torch.nn.utils.rnn.pack_sequence([self.rows[i] for i in index], enforce_sorted=False)
        return packed, self.hlf[index]


def auc(score, is_signal):
    """Share of pairs in order; ties count half (mean ranks)."""
    order = np.argsort(score, kind="stable")
    value, first, count = np.unique(score[order], return_index=True, return_counts=True)
    mean_rank = np.repeat(first + (count + 1) / 2, count)
    signal = is_signal[order]
    n_s, n_b = signal.sum(), (~signal).sum()
    return float((mean_rank[signal].sum() - n_s * (n_s + 1) / 2) / (n_s * n_b))


def fit(train, n_classes, seed, epochs, batch):
    torch.manual_seed(seed)
    net = Inclusive(train.rows[0].shape[1], train.hlf.shape[1], n_classes)
    adam = torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS, eps=EPSILON)
    for _ in range(epochs):
        order = torch.randperm(len(train.y))
        for first in range(0, len(order), batch):
            index = order[first:first + batch]
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(*train.batch(index)), train.y[index]).backward()
            adam.step()
    return net.eval()


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder")
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--seeds", type=int, default=3)
    given = options.parse_args()
    train, test = Side(given.folder, "train"), Side(given.folder, "test")
    n_classes = int(max(train.y.max(), test.y.max())) + 1
    y, runs = test.y.numpy(), []
    for seed in range(1, given.seeds + 1):
        start = time.monotonic()
        net = fit(train, n_classes, seed, given.epochs, given.batch)
        seconds = time.monotonic() - start
        with torch.no_grad():
            parts = [net(*test.batch(torch.arange(first, min(first + 500, len(y))))) for first in range(0, len(y), 500)]
            p = torch.softmax(torch.cat(parts), 1).numpy()
        each = [auc(p[:, c], y == c) for c in range(n_classes)]
        runs.append({"seed": seed, "auc": each, "macro_auc": float(np.mean(each)),
                     "accuracy": float((p.argmax(1) == y).mean()), "train_seconds": round(seconds, 1)})
    print(json.dumps({"train_events": len(train.y), "test_events": len(y), "torch": torch.__version__, "runs": runs,
                      "mean_macro_auc": float(np.mean([r["macro_auc"] for r in runs]))}))


if __name__ == "__main__":
    main()
