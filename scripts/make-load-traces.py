#!/usr/bin/env python3
"""Writes the load traces of examples/traces. Rates only: the simulator draws the requests.

The planner was tuned on the traces of TUNED. Those of HELD_OUT, in the folder held-out, have other shapes, noise of
their own seeds and partly other services; nothing was tuned on them.
"""

import argparse
import math
import random
import sys
import tempfile
from pathlib import Path

STEP = 10  # seconds of a row
PROPERTIES = {"start_up_seconds": 60, "start_replicas": 2, "max_replicas": 32, "first_token_p95_ms": 1000,
              "inter_token_p95_ms": 75}


def step(t):
    """Four times the load for an hour."""
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


TUNED = {
    "step": (step, 9000),
    "diurnal": (diurnal, 14400),
    "spike": (spike, 12600),
    "on-off": (on_off, 12000),
    "slow-ramp": (slow_ramp, 12600),
}


def wandering(seed, seconds, deviation, memory):
    """A noise to multiply with: log-normal, of this standard deviation, that forgets itself in `memory` seconds."""
    draw = random.Random(seed)
    keep = math.exp(-STEP / memory)
    level = draw.gauss(0, deviation)
    levels = []
    for _ in range(0, seconds, STEP):
        levels.append(math.exp(level))
        level = keep * level + draw.gauss(0, deviation * math.sqrt(1 - keep * keep))
    return lambda t: levels[t // STEP]


def office_hours():
    """Two humps with noise, as of a morning and an afternoon; long prompts, short answers."""
    noise = wandering(101, 10800, 0.15, 60)

    def shape(t):
        humps = math.exp(-(((t - 3200) / 1300) ** 2)) + 0.8 * math.exp(-(((t - 7400) / 1500) ** 2))
        return (2.0 + 18.0 * humps) * noise(t), 1500, 120

    return shape, 10800, {"start_up_seconds": 90}


def bursts():
    """Bursts at random times, of random heights with a long tail, each forgotten in some minutes."""
    draw = random.Random(102)
    begun = []
    at = draw.expovariate(1 / 900)
    while at < 10800:
        begun.append((at, min(25.0, 5.0 * draw.paretovariate(2))))
        at += draw.expovariate(1 / 900)
    return lambda t: (5.0 + sum(h * math.exp(-(t - a) / 240) for a, h in begun if a <= t), 600, 200), 10800, {}


def wander():
    """A load that drifts without a plan, over minutes, between a third and three times its mean."""
    noise = wandering(103, 14400, 0.5, 1200)
    return lambda t: (8.0 * noise(t), 600, 200), 14400, {}


def longer_answers():
    """As many requests all the time, with answers that grow to four times their length."""
    noise = wandering(104, 10800, 0.1, 60)
    return lambda t: (8.0 * noise(t), 600, round(120 * 4 ** (t / 10800))), 10800, {}


def flash_crowd():
    """Eight times the load within a minute, which takes an hour to go; slow starts."""
    noise = wandering(105, 9000, 0.1, 60)

    def shape(t):
        crowd = 0.0 if t < 2400 else (t - 2400) / 60 if t < 2460 else math.exp(-(t - 2460) / 1200)
        return (4.0 + 28.0 * crowd) * noise(t), 600, 200

    return shape, 9000, {"start_up_seconds": 120}


def large_replicas():
    """A noisy hump on replicas that take many times more than those of the other traces, and start slowly."""
    noise = wandering(106, 9000, 0.15, 120)
    service = {"slots": 128, "kv_tokens": 400000, "prefill_tokens_per_second": 30000, "chunk_tokens": 512,
               "decode_base_ms": 15, "decode_per_sequence_ms": 0.2, "start_up_seconds": 180}
    return lambda t: ((10.0 + 60.0 * math.sin(math.pi * t / 9000) ** 2) * noise(t), 600, 200), 9000, service


HELD_OUT = {
    "office-hours": office_hours,
    "bursts": bursts,
    "wander": wander,
    "longer-answers": longer_answers,
    "flash-crowd": flash_crowd,
    "large-replicas": large_replicas,
}


def text_of(title, properties, heading, shape, seconds):
    lines = [f"# {title}"] + [f"# {key}: {value}" for key, value in {**PROPERTIES, **properties}.items()] + [heading]
    last = None
    for t in range(0, seconds, STEP):
        row = shape(t)
        if row != last:
            lines.append(f"{t},{row}")
        last = row
    lines.append(f"{seconds},{last}")
    return "\n".join(lines) + "\n"


def write_all(out):
    (out / "held-out").mkdir(parents=True, exist_ok=True)
    for name, (shape, seconds) in TUNED.items():
        text = text_of(shape.__doc__, {}, "second,requests_per_second", lambda t, f=shape: f"{f(t):.3f}", seconds)
        (out / f"{name}.csv").write_text(text)
    for name, make in HELD_OUT.items():
        shape, seconds, properties = make()
        text = text_of(make.__doc__, properties, "second,requests_per_second,prompt_tokens,output_tokens",
                       lambda t, f=shape: "{:.3f},{},{}".format(*f(t)), seconds)
        (out / "held-out" / f"{name}.csv").write_text(text)


def stale(folder):
    """Names of the traces in `folder` that are not what this script writes."""
    with tempfile.TemporaryDirectory() as fresh:
        write_all(Path(fresh))
        written = {path.relative_to(fresh): path.read_text() for path in Path(fresh).rglob("*.csv")}
        stored = {path.relative_to(folder): path.read_text() for path in folder.rglob("*.csv")}
    return sorted(str(name) for name in written.keys() | stored.keys() if written.get(name) != stored.get(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "examples" / "traces")
    parser.add_argument("--check", action="store_true", help="write nothing; say which files differ")
    args = parser.parse_args()
    if not args.check:
        write_all(args.out)
        return 0
    names = stale(args.out)
    if names:
        print("not what scripts/make-load-traces.py writes: " + ", ".join(names), file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
