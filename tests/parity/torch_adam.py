"""Makes tests/fixtures/nn/adam_*.npy: ten Adam steps of PyTorch on the `hlf` network.

    /usr/bin/python3 tests/parity/torch_adam.py tests/fixtures/nn

Parameters are flat as in core/nn: for each layer the kernel [in][out], then the bias.  tests/core/nn/test_adam.c
compares loss, gradients and parameters step by step.
"""
import sys

import numpy as np
import torch

WIDTHS = [14, 50, 20, 10, 3]
ROWS, STEPS = 37, 10
RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-7


def flat(tensors):
    parts = []
    for weight, bias in zip(tensors[0::2], tensors[1::2]):
        parts += [weight.detach().numpy().T.reshape(-1), bias.detach().numpy().reshape(-1)]
    return np.concatenate(parts).astype("<f4")


def main(folder):
    torch.manual_seed(20260117)
    torch.set_num_threads(1)
    layers = []
    for n_in, n_out in zip(WIDTHS[:-1], WIDTHS[1:]):
        linear = torch.nn.Linear(n_in, n_out)
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.uniform_(linear.bias, -0.1, 0.1)
        layers += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    x = torch.randn(ROWS, WIDTHS[0])
    label = torch.randint(0, WIDTHS[-1], (ROWS,))
    weight = torch.rand(ROWS) + 0.5
    adam = torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS, eps=EPSILON)
    losses, params, grads = [], [flat(list(net.parameters()))], []
    for _ in range(STEPS):
        adam.zero_grad()
        each = torch.nn.functional.cross_entropy(net(x), label, reduction="none")
        loss = (each * weight).sum() / ROWS
        loss.backward()
        losses.append(loss.item())
        grads.append(flat([p.grad for p in net.parameters()]))
        adam.step()
        params.append(flat(list(net.parameters())))
    save = lambda name, value: np.save(f"{folder}/adam_{name}.npy", value)
    save("x", x.numpy().astype("<f4"))
    save("label", label.numpy().astype("<i8"))
    save("weight", weight.numpy().astype("<f4"))
    save("loss", np.array(losses, dtype="<f8"))
    save("grad", grads[0])
    for step in (0, 1, 2, STEPS):
        save(f"params_{step}", params[step])


if __name__ == "__main__":
    main(sys.argv[1])
