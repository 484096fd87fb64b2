"""Targets 3 and 4: epochs of `hlf` and `inclusive` here and in PyTorch, one core, the same rows, batch and optimiser.

    torch_peer.py BUILD FOLDER

Both sides shuffle the rows of each epoch and take Adam's steps on the mean cross-entropy.  Ragged events: torch.nn.GRU
over packed sequences costs several times what padding does, so PyTorch gets batches padded to the longest event, and the
state behind each event's last row.
"""
import sys

import numpy as np
import torch

from alternate import Ours, compare, timed
from rows import clouds, save

ROWS_HLF, ROWS_INCLUSIVE, STEPS, COLUMNS, MEAN = 1 << 17, 256, 801, 19, 570


class Hlf(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(14, 50), torch.nn.ReLU(), torch.nn.Linear(50, 20), torch.nn.ReLU(),
                         torch.nn.Linear(20, 10), torch.nn.ReLU(), torch.nn.Linear(10, 3))


class Inclusive(torch.nn.Module):
    def __init__(self, dropout=0.2):
        super().__init__()
        self.gru = torch.nn.GRU(COLUMNS, 50, batch_first=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Sequential(torch.nn.Linear(64, 25), torch.nn.ReLU(), torch.nn.Linear(25, 3))

    def forward(self, rows, last, hlf):
        states, h = self.gru(rows)
        h = h[0] if last is None else states[torch.arange(len(rows)), last]
        return self.head(torch.cat([self.dropout(h), self.dropout(hlf)], 1))


def adam(network):
    return torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-7)


def steps(network, n, batch, inputs):
    """A function that takes the next step of an epoch and returns its rows; inputs(index) are the network's."""
    optimizer, state = adam(network), {"order": torch.randperm(n), "at": 0}
    loss_of = torch.nn.CrossEntropyLoss()

    def step():
        if state["at"] >= n:
            state.update(order=torch.randperm(n), at=0)
        index = state["order"][state["at"]:state["at"] + batch]
        state["at"] += batch
        *values, labels = inputs(index)
        optimizer.zero_grad()
        loss_of(network(*values), labels).backward()
        optimizer.step()
        return len(index)
    return step


def hlf(build, folder):
    x, y = clouds(ROWS_HLF, np.random.default_rng(3))
    save(folder, hlf=x, y=y)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    for batch, asked in ((128, 15), (1024, 4)):
        ours = Ours(build, "train", folder, "hlf", batch)
        step = steps(Hlf(), len(x), batch, lambda i: (tx[i], ty[i]))
        compare(3, f"train_hlf_{batch}", ours, "PyTorch", timed(step), asked)
        ours.close()


def inclusive(build, folder, ragged):
    rng = np.random.default_rng(4)
    n = ROWS_INCLUSIVE
    x, y = clouds(n, rng)
    length = rng.integers(MEAN - 200, MEAN + 201, n) if ragged else np.full(n, STEPS)
    rows = rng.normal(0, 1, (length.sum(), COLUMNS)).astype(np.float32)
    save(folder, hlf=x, y=y, rows=rows, length=length.astype(np.int64))
    padded = np.zeros((n, length.max(), COLUMNS), np.float32)
    for i, first in enumerate(np.concatenate([[0], np.cumsum(length)[:-1]])):
        padded[i, :length[i]] = rows[first:first + length[i]]
    tr, tx, ty, tl = map(torch.from_numpy, (padded, x, y, length.astype(np.int64)))

    def inputs(i):
        if not ragged:
            return tr[i], None, tx[i], ty[i]
        return tr[i, :int(tl[i].max())], tl[i] - 1, tx[i], ty[i]
    ours = Ours(build, "train", folder, "inclusive", 128)
    kind = "ragged" if ragged else "dense"
    compare(4, f"train_inclusive_{kind}", ours, "PyTorch", timed(steps(Inclusive(), n, 128, inputs)),
            None if ragged else 3.5)
    ours.close()


def main():
    build, folder = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(1)
    hlf(build, folder)
    inclusive(build, folder, False)
    inclusive(build, folder, True)


main()
