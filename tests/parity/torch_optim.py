"""Makes tests/fixtures/nn/optim_*.npy: what PyTorch's optimisers and schedules do, in float64.

    /usr/bin/python3 tests/parity/torch_optim.py tests/fixtures/nn

optim_start, optim_grads [steps][n]: parameters and gradients; optim_NAME: parameters after all steps of
    adamw, sgd, momentum, nesterov, sgdw (momentum, with decay apart from the gradient), clipped (momentum, gradients
    clipped to length 1).
optim_rate_NAME: learning rates, a number a step (cosine: 12 epochs of 5 steps) or an epoch (step, exponential);
optim_losses, optim_rate_plateau: validation losses and the rate of the epoch behind each.
tests/core/nn/test_descent.c and tests/core/model/test_schedule.c compare.
"""
import sys

import numpy as np
import torch

N, STEPS = 37, 12
RATE, DECAY = 0.05, 0.3


def steps(make, start, grads, decay=0.0, clip=0.0):
    p = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = make([p])
    for g in grads:
        p.grad = torch.from_numpy(g.copy())
        if clip:
            torch.nn.utils.clip_grad_norm_([p], clip)
        with torch.no_grad():
            p.mul_(1 - RATE * decay)
        optimizer.step()
    return p.detach().numpy()


def rates(make, n):
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=RATE)
    schedule = make(optimizer)
    out = []
    for _ in range(n):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(out)


def plateau(losses):
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=RATE)
    # PyTorch acts when more than `patience` epochs were bad, we behind the third bad one.
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.01,
                                                          threshold_mode="abs", eps=0)
    out = []
    for loss in losses:
        schedule.step(loss)
        out.append(optimizer.param_groups[0]["lr"])
    return np.array(out)


def main(folder):
    rng = np.random.default_rng(20260118)
    start, grads = rng.normal(size=N).astype("<f4"), rng.normal(size=(STEPS, N)).astype("<f4")
    start, wide = start.astype("f8"), grads.astype("f8")
    sgd = lambda **more: lambda p: torch.optim.SGD(p, lr=RATE, **more)
    losses = 1 + np.cumsum(rng.normal(-0.01, 0.05, size=30))
    cut = torch.optim.lr_scheduler
    out = {
        "start": start, "grads": wide, "losses": losses,
        "adamw": steps(lambda p: torch.optim.AdamW(p, lr=RATE, betas=(0.9, 0.999), eps=1e-7, weight_decay=DECAY), start, wide),
        "sgd": steps(sgd(), start, wide),
        "momentum": steps(sgd(momentum=0.9), start, wide),
        "nesterov": steps(sgd(momentum=0.9, nesterov=True), start, wide),
        "sgdw": steps(sgd(momentum=0.9), start, wide, decay=DECAY),
        "clipped": steps(sgd(momentum=0.9), start, wide, clip=1.0),
        "rate_cosine": rates(lambda o: cut.CosineAnnealingLR(o, T_max=60, eta_min=0.001), 60),
        "rate_step": rates(lambda o: cut.StepLR(o, step_size=4, gamma=0.3), 20),
        "rate_exponential": rates(lambda o: cut.ExponentialLR(o, gamma=0.8), 20),
        "rate_warm": rates(lambda o: cut.LinearLR(o, start_factor=1 / 7, end_factor=1, total_iters=6), 12),
        "rate_plateau": plateau(losses),
    }
    for name, values in out.items():
        np.save(f"{folder}/optim_{name}.npy", values.astype("<f8"))


if __name__ == "__main__":
    main(sys.argv[1])
