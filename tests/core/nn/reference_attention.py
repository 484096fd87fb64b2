#!/usr/bin/python3
"""Expected values for tests/core/nn/test_attention.c, in float64 by PyTorch: scores of a small transformer and the
gradients of its parameters.  Writes tests/fixtures/nn/attention.txt: lines "name count numbers...".

Network: self-attention over the first `length` steps of a sequence (Keras' MultiHeadAttention: projections with biases
for each head, queries divided by the root of key_dim, softmax over the keys that are there), [the sequence added,]
layer norm (1e-6), dense 4 relu at each step, flatten with zeros for steps that are not there, dense 5 relu, joined with
4 flat features, dense 3.  Loss: sum over rows of weight x cross-entropy.

Run from the project root: python3 tests/core/nn/reference_attention.py"""
import numpy as np
import torch

torch.set_default_dtype(torch.float64)
ROWS, STEPS, FEATURES, HEADS, DIM = 6, 21, 6, 3, 5
LENGTH = [21, 16, 17, 1, 0, 9]
rng = np.random.default_rng(7)


def numbers(*shape, size=1.0):
    # Rounded to float32, so that the test starts from the same numbers.
    return torch.tensor(rng.normal(0, size, shape).astype(np.float32).astype(np.float64))


def network(p, flat, sequence, residual):
    rows = []
    for r in range(ROWS):
        n = LENGTH[r]
        x = sequence[r, :n]
        q = torch.einsum("tf,fhd->htd", x, p["q"]) + p["qb"][:, None]
        k = torch.einsum("tf,fhd->htd", x, p["k"]) + p["kb"][:, None]
        v = torch.einsum("tf,fhd->htd", x, p["v"]) + p["vb"][:, None]
        weights = torch.softmax(q @ k.transpose(1, 2) / DIM ** 0.5, dim=2)
        y = torch.einsum("htd,hdf->tf", weights @ v, p["o"]) + p["ob"]
        if residual:
            y = y + x
        y = torch.nn.functional.layer_norm(y, (FEATURES,), p["gamma"], p["beta"], 1e-6)
        y = torch.relu(y @ p["w1"] + p["b1"])
        full = torch.zeros(STEPS, 4)
        full[:n] = y
        rows.append(full.reshape(-1))
    y = torch.relu(torch.stack(rows) @ p["w2"] + p["b2"])
    return torch.cat([y, flat], 1) @ p["w3"] + p["b3"]


shapes = [("q", (FEATURES, HEADS, DIM)), ("qb", (HEADS, DIM)), ("k", (FEATURES, HEADS, DIM)), ("kb", (HEADS, DIM)),
          ("v", (FEATURES, HEADS, DIM)), ("vb", (HEADS, DIM)), ("o", (HEADS, DIM, FEATURES)), ("ob", (FEATURES,)),
          ("gamma", (FEATURES,)), ("beta", (FEATURES,)), ("w1", (FEATURES, 4)), ("b1", (4,)),
          ("w2", (STEPS * 4, 5)), ("b2", (5,)), ("w3", (9, 3)), ("b3", (3,))]
params = {name: numbers(*shape, size=0.5).requires_grad_() for name, shape in shapes}
flat, sequence = numbers(ROWS, 4), numbers(ROWS, STEPS, FEATURES)
label = torch.tensor([0, 1, 2, 0, 1, 2])
weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25, 1.5])

with open("tests/fixtures/nn/attention.txt", "w") as out:
    def put(name, values):
        v = values.detach().numpy().reshape(-1)
        out.write(f"{name} {len(v)} " + " ".join(f"{x:.9g}" for x in v) + "\n")

    put("params", torch.cat([params[n].reshape(-1) for n, _ in shapes]))
    put("flat", flat)
    put("sequence", sequence)
    for residual in (0, 1):
        for p in params.values():
            p.grad = None
        logits = network(params, flat, sequence, residual)
        loss = (weight * torch.nn.functional.cross_entropy(logits, label, reduction="none")).sum()
        loss.backward()
        put(f"logits{residual}", logits)
        put(f"grads{residual}", torch.cat([params[n].grad.reshape(-1) for n, _ in shapes]))
