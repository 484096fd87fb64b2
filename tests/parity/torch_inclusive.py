"""Trains `inclusive` and `hlf` with PyTorch on given rows and prints their AUCs as JSON.

    /usr/bin/python3 tests/parity/torch_inclusive.py FOLDER SETTINGS [--seeds 3] [--models hlf,inclusive]

FOLDER holds, for train and test: SIDE_rows.npy (prepared particle rows of all events, one after the other, [..][19]),
SIDE_length.npy (rows of each event), SIDE_hlf.npy (scaled features), SIDE_y.npy (labels).  SETTINGS is a JSON file:
epochs, batch, rate, decay, clip, warmup, dropout.  The same networks, starting values (Glorot uniform kernels, orthogonal
recurrent kernel, zero biases), dropout, loss, optimiser (AdamW), learning rates and order of things as core/model; only
the random numbers differ.

torch.nn.GRU packs events of different lengths at a cost that grows with the square of the steps (seconds for 32 events),
and pays for padding otherwise.  So the recurrence is written out here in PyTorch's own operations, with the backward pass by
hand, over the events that still have particles, and for all seeds at once (a leading dimension of every parameter; the
order of rows is drawn once for all of them).  At the start it must agree with torch.nn.GRU.
"""
import argparse
import json
import math
import os
import sys
import time
from typing import List, Tuple

import numpy as np
import torch

UNITS, HIDDEN, PLAIN = 50, (25,), (50, 20, 10)
BETAS, EPSILON = (0.9, 0.999), 1e-7


@torch.jit.script
def recurrence_forward(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, n_rows: List[int]
                       ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    steps, seeds, rows, width = x.shape
    u = width // 3
    gates, recurrent = torch.empty_like(x), torch.empty_like(x)
    before, h = torch.zeros([steps, seeds, rows, u]), torch.zeros([seeds, rows, u])
    for t in range(steps):
        n = n_rows[t]
        before[t] = h
        now = h[:, :n]
        sums = torch.baddbmm(bias, now, weight)
        recurrent[t, :, :n] = sums
        gate = gates[t, :, :n]
        gate[:, :, :2 * u] = torch.sigmoid(x[t, :, :n, :2 * u] + sums[:, :, :2 * u])
        gate[:, :, 2 * u:] = torch.tanh(torch.addcmul(x[t, :, :n, 2 * u:], gate[:, :, :u], sums[:, :, 2 * u:]))
        h[:, :n] = torch.lerp(gate[:, :, 2 * u:], now, gate[:, :, u:2 * u])
    return h, gates, before, recurrent


@torch.jit.script
def recurrence_backward(d_last: torch.Tensor, turned: torch.Tensor, gates: torch.Tensor, before: torch.Tensor,
                        recurrent: torch.Tensor, n_rows: List[int]) -> Tuple[torch.Tensor, torch.Tensor]:
    steps, seeds, rows, width = gates.shape
    u = width // 3
    d_x, d_sums, d_h = torch.zeros_like(gates), torch.zeros_like(gates), d_last.clone()
    r, z, c = gates[..., :u], gates[..., u:2 * u], gates[..., 2 * u:]
    of_c, of_z = (1 - z) * (1 - c * c), (before - c) * (z - z * z)
    of_r = recurrent[..., 2 * u:] * (r - r * r)
    for i in range(steps):
        t = steps - 1 - i
        n = n_rows[t]
        now = d_h[:, :n]
        d_c = now * of_c[t, :, :n]
        d_rz = torch.cat([d_c * of_r[t, :, :n], now * of_z[t, :, :n]], 2)
        d_sum = torch.cat([d_rz, d_c * r[t, :, :n]], 2)
        d_x[t, :, :n, :2 * u] = d_rz
        d_x[t, :, :n, 2 * u:] = d_c
        d_sums[t, :, :n] = d_sum
        d_h[:, :n] = torch.baddbmm(now * z[t, :, :n], d_sum, turned)
    return d_x, d_sums


class Recurrence(torch.autograd.Function):
    """h of each event behind its last step; x [steps][seeds][rows][3 H] are the input's sums (gates r, z, candidate), rows
    in falling order of length, n_rows[t] of them have step t; weight [seeds][H][3 H]."""

    @staticmethod
    def forward(ctx, x, weight, bias, n_rows):
        h, gates, before, recurrent = recurrence_forward(x, weight, bias, n_rows)
        # What was never reached is not a number, perhaps.
        for t in range(len(n_rows)):
            if n_rows[t] < x.shape[2]:
                gates[t, :, n_rows[t]:] = 0
                recurrent[t, :, n_rows[t]:] = 0
        ctx.save_for_backward(weight, gates, before, recurrent)
        ctx.n_rows = n_rows
        return h

    @staticmethod
    def backward(ctx, d_h):
        weight, gates, before, recurrent = ctx.saved_tensors
        d_x, d_sums = recurrence_backward(d_h, weight.transpose(1, 2).contiguous(), gates, before, recurrent, ctx.n_rows)
        steps, seeds, rows, width = gates.shape
        flat = d_sums.transpose(0, 1).reshape(seeds, -1, width)
        states = before.transpose(0, 1).reshape(seeds, steps * rows, -1)
        return d_x, torch.bmm(states.transpose(1, 2), flat), flat.sum(1, keepdim=True), None


def glorot(seeds, n_in, n_out):
    limit = math.sqrt(6 / (n_in + n_out))
    return torch.nn.Parameter((torch.rand(seeds, n_in, n_out) * 2 - 1) * limit)


def zeros(seeds, n):
    return torch.nn.Parameter(torch.zeros(seeds, 1, n))


class Network(torch.nn.Module):
    """`inclusive` with particle columns, `hlf` without (n_columns 0); a network for each seed."""

    def __init__(self, seeds, n_columns, n_hlf, n_classes, dropout):
        super().__init__()
        self.drop = torch.nn.Dropout(dropout)
        self.recurrent = n_columns > 0
        if self.recurrent:
            self.kernel, self.bias = glorot(seeds, n_columns, 3 * UNITS), zeros(seeds, 3 * UNITS)
            start = torch.empty(seeds, 3 * UNITS, UNITS)
            for s in range(seeds):
                torch.nn.init.orthogonal_(start[s])
            self.recurrent_kernel = torch.nn.Parameter(start.transpose(1, 2).contiguous())
            self.recurrent_bias = zeros(seeds, 3 * UNITS)
        widths = [n_hlf + UNITS, *HIDDEN, n_classes] if self.recurrent else [n_hlf, *PLAIN, n_classes]
        self.w = torch.nn.ParameterList([glorot(seeds, a, b) for a, b in zip(widths, widths[1:])])
        self.b = torch.nn.ParameterList([zeros(seeds, b) for b in widths[1:]])

    def last_state(self, rows, n_rows):
        steps, n, columns = rows.shape
        seeds = self.kernel.shape[0]
        flat = rows.reshape(1, steps * n, columns).expand(seeds, -1, -1)
        sums = torch.baddbmm(self.bias, flat, self.kernel).view(seeds, steps, n, -1).transpose(0, 1).contiguous()
        return Recurrence.apply(sums, self.recurrent_kernel, self.recurrent_bias, n_rows)

    def forward(self, hlf, rows=None, n_rows=None):
        x = hlf.expand(self.w[0].shape[0], -1, -1)
        if self.recurrent:
            x = torch.cat([self.drop(self.last_state(rows, n_rows)), self.drop(x)], 2)
        for w, b in zip(self.w[:-1], self.b[:-1]):
            x = torch.relu(torch.baddbmm(b, x, w))
        return torch.baddbmm(self.b[-1], x, self.w[-1])


class Side:
    def __init__(self, folder, side):
        load = lambda name: np.load(os.path.join(folder, f"{side}_{name}.npy"))
        self.length, self.y = load("length"), torch.from_numpy(load("y"))
        self.hlf = torch.from_numpy(load("hlf"))
        self.rows = np.load(os.path.join(folder, f"{side}_rows.npy"), mmap_mode="r")
        self.first = np.concatenate([[0], np.cumsum(self.length)])

    def batch(self, index, with_rows):
        """Inputs of the network and labels, in falling order of length."""
        if not with_rows:
            return (self.hlf[index],), self.y[index], index
        index = index[torch.argsort(torch.from_numpy(self.length[index]), descending=True, stable=True)]
        lengths = self.length[index]
        rows = np.zeros((lengths[0], len(index), self.rows.shape[1]), "f4")
        for r, i in enumerate(index.tolist()):
            rows[:lengths[r], r] = self.rows[self.first[i]:self.first[i + 1]]
        n_rows = (lengths[None, :] > np.arange(lengths[0])[:, None]).sum(1).tolist()
        return (self.hlf[index], torch.from_numpy(rows), n_rows), self.y[index], index


def auc(score, is_signal):
    """Share of pairs in order; ties count half (mean ranks)."""
    order = np.argsort(score, kind="stable")
    value, first, count = np.unique(score[order], return_index=True, return_counts=True)
    mean_rank = np.repeat(first + (count + 1) / 2, count)
    signal = is_signal[order]
    n_s, n_b = signal.sum(), (~signal).sum()
    return float((mean_rank[signal].sum() - n_s * (n_s + 1) / 2) / (n_s * n_b))


def rate_at(settings, x, step_ends):
    """Cosine over all epochs, times the warm-up; x: epochs behind us."""
    cosine = settings["rate"] * (1 + math.cos(math.pi * min(1, x / settings["epochs"]))) / 2
    return cosine * (min(1, step_ends / settings["warmup"]) if settings["warmup"] else 1)


def clip(net, most):
    """Shortens each seed's gradient to the given length."""
    grads = [p.grad.flatten(1) for p in net.parameters()]
    length = torch.cat(grads, 1).norm(dim=1)
    factor = torch.clamp(most / length, max=1)[:, None]
    for g in grads:
        g.mul_(factor)


def fit(net, train, settings):
    adam = torch.optim.AdamW(net.parameters(), lr=settings["rate"], betas=BETAS, eps=EPSILON,
                             weight_decay=settings["decay"])
    n, seeds = len(train.y), net.w[0].shape[0]
    for epoch in range(settings["epochs"]):
        order = torch.randperm(n)
        for first in range(0, n, settings["batch"]):
            last = min(n, first + settings["batch"])
            for group in adam.param_groups:
                group["lr"] = rate_at(settings, epoch + first / n, epoch + last / n)
            inputs, y, _ = train.batch(order[first:last], net.recurrent)
            adam.zero_grad()
            logits = net(*inputs)
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(seeds), reduction="sum").div(len(y)).backward()
            clip(net, settings["clip"])
            adam.step()
        if net.recurrent:
            print(f"torch: epoch {epoch + 1} of {settings['epochs']}", file=sys.stderr)
    return net.eval()


def check_recurrence():
    """The recurrence above and torch.nn.GRU: the same states and gradients."""
    torch.manual_seed(0)
    net, lengths, gru = Network(2, 19, 14, 3, 0), torch.tensor([40, 31, 31, 7, 1]), torch.nn.GRU(19, UNITS)
    rows = torch.randn(40, 5, 19)
    n_rows = (lengths[None, :] > torch.arange(40)[:, None]).sum(1).tolist()
    mine = (net.kernel, net.recurrent_kernel, net.bias, net.recurrent_bias)
    with torch.no_grad():
        for p in mine[2:]:
            p.normal_()
        for p, q in zip(mine, gru.parameters()):
            q.copy_(p[1].t() if q.dim() == 2 else p[1, 0])
    ours, theirs = net.last_state(rows, n_rows)[1], gru(torch.nn.utils.rnn.pack_padded_sequence(rows, lengths))[1][0]
    for h in (ours, theirs):
        (h * torch.arange(h.numel()).view_as(h).cos()).sum().backward()
    assert torch.allclose(ours, theirs, atol=1e-5)
    for p, q in zip(mine, gru.parameters()):
        g = p.grad[1].t() if q.dim() == 2 else p.grad[1, 0]
        assert torch.allclose(g, q.grad, rtol=1e-3, atol=1e-4), (g - q.grad).abs().max()


def compete(train, test, recurrent, settings, seeds):
    n_classes, y = int(max(train.y.max(), test.y.max())) + 1, test.y.numpy()
    torch.manual_seed(1)
    net = Network(seeds, train.rows.shape[1] if recurrent else 0, train.hlf.shape[1], n_classes, settings["dropout"])
    start = time.process_time()
    net = fit(net, train, settings)
    seconds, p = time.process_time() - start, np.zeros((seeds, len(y), n_classes))
    with torch.no_grad():
        for first in range(0, len(y), 200):
            inputs, _, index = test.batch(torch.arange(first, min(first + 200, len(y))), recurrent)
            p[:, index] = torch.softmax(net(*inputs).double(), 2).numpy()
    runs = []
    for s in range(seeds):
        each = [auc(p[s, :, c], y == c) for c in range(n_classes)]
        runs.append({"seed": s + 1, "auc": each, "macro_auc": float(np.mean(each)),
                     "accuracy": float((p[s].argmax(1) == y).mean())})
    return {"runs": runs, "mean_macro_auc": float(np.mean([r["macro_auc"] for r in runs])),
            "train_cpu_seconds": round(seconds, 1)}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder")
    options.add_argument("settings")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--models", default="hlf,inclusive")
    given = options.parse_args()
    with open(given.settings, encoding="utf-8") as file:
        settings = json.load(file)
    torch.set_num_threads(1)
    check_recurrence()
    train, test = Side(given.folder, "train"), Side(given.folder, "test")
    out = {model: compete(train, test, model == "inclusive", settings, given.seeds) for model in given.models.split(",")}
    print(json.dumps({"torch": torch.__version__, **out}))


if __name__ == "__main__":
    main()
