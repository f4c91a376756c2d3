#!/usr/bin/env python3
"""Writes the load traces of examples/traces. Rates only: the simulator draws the requests."""

import argparse
import math
from pathlib import Path

STEP = 10  # seconds of a row


def step(t):
    return 4.0 if t < 1800 else 16.0 if t < 5400 else 4.0


def diurnal(t):
    """A day in four hours, quiet at its ends."""
    return 3.0 + 21.0 * 0.5 * (1 - math.cos(2 * math.pi * t / 14400))


def spike(t):
    """Three spikes on a steady load, each of five minutes."""
    return 24.0 if any(start <= t < start + 300 for start in (1800, 5400, 9000)) else 6.0


def on_off(t):
    """Twenty minutes of work, twenty minutes of nearly nothing."""
    return 16.0 if (t // 1200) % 2 == 0 else 1.0


def slow_ramp(t):
    """Up over two hours, down over one."""
    return 3.0 + 21.0 * (t / 7200 if t < 7200 else max(0.0, 1 - (t - 7200) / 3600))


TRACES = {
    "step": (step, 9000),
    "diurnal": (diurnal, 14400),
    "spike": (spike, 12600),
    "on-off": (on_off, 12000),
    "slow-ramp": (slow_ramp, 12600),
}


def write(path, shape, seconds):
    lines = [f"# {shape.__doc__.strip() if shape.__doc__ else 'Four times the load for an hour.'}",
             "# start_up_seconds: 60", "# start_replicas: 2", "# max_replicas: 32",
             "# first_token_p95_ms: 1000", "# inter_token_p95_ms: 75", "second,requests_per_second"]
    last = None
    for t in range(0, seconds, STEP):
        rate = f"{shape(t):.3f}"
        if rate != last:
            lines.append(f"{t},{rate}")
        last = rate
    lines.append(f"{seconds},{last}")
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "examples" / "traces")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, (shape, seconds) in TRACES.items():
        write(out / f"{name}.csv", shape, seconds)


if __name__ == "__main__":
    main()
