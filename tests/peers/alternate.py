"""Runs our side and another one in turns and prints a `peer` line with the medians.

Ours is BUILD/tests/peers/ours, a process that works for so many seconds when told; theirs a function of this process.
PEERS_SECONDS is the time of one run (default 1), PEERS_RUNS their number (default 5, at least 5).
"""
import os
import subprocess
import sys
import time

SECONDS = float(os.environ.get("PEERS_SECONDS", "1"))
RUNS = max(5, int(os.environ.get("PEERS_RUNS", "5")))


class Ours:
    def __init__(self, build, *args):
        self.process = subprocess.Popen([build + "/tests/peers/ours", *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __call__(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("peers: our side ended")
        items, wall, cpu = line.split()
        return int(items), float(wall), float(cpu)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(step):
    """From a function that does some work and returns its number of items to one that goes on for so many seconds."""
    def run(seconds):
        items, wall, cpu = 0, time.perf_counter(), time.process_time()
        while items == 0 or time.perf_counter() - wall < seconds:
            items += step()
        return items, time.perf_counter() - wall, time.process_time() - cpu
    return run


def median(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def compare(target, name, ours, peer, theirs, asked=None):
    ours(SECONDS / 10)
    theirs(SECONDS / 10)
    rates = {"ours": [], "theirs": []}
    cores = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        for who, run in (("ours", ours), ("theirs", theirs)):
            items, wall, cpu = run(SECONDS)
            rates[who].append(items / wall)
            cores[who].append(items / cpu)
    a, b = median(rates["ours"]), median(rates["theirs"])
    print(f"peer\t{target}\t{name}\t{a:.4g}\t{peer}\t{b:.4g}\t{a / b:.2f}", flush=True)
    by_core = median(cores["ours"]) / median(cores["theirs"])
    wanted = f", asked {asked}" if asked else ""
    print(f"target {target} {name}: {a / b:.2f} x {peer}{wanted}; per core-second {by_core:.2f} x "
          f"({median(cores['ours']):.4g} and {median(cores['theirs']):.4g})", file=sys.stderr, flush=True)
    return a / b
