"""Writes heldout.jsonl: prompts that training never draws, with the answer that counts as right.

python make_heldout.py
"""

import json
import random

import architecture
import tasks

SEED, EACH = 2026, 30


def main():
    sampler = tasks.Sampler(random.Random(SEED), want_held_out=True, level=1.0)
    seen, lines = set(), []
    for task in tasks.SCORED:
        for thinking in (True, False):
            kept = 0
            while kept < EACH:
                example = getattr(sampler, task)(thinking)
                key = (thinking, json.dumps(example["messages"]))
                if key in seen:
                    continue
                seen.add(key)
                kept += 1
                call = example.get("call")
                expected = {"tool_call": call} if call else {"content": example["answer"]}
                line = {"id": f"{task}-{'think' if thinking else 'direct'}-{kept:02d}", "task": task}
                line |= {"messages": example["messages"], "tools": example["tools"], "enable_thinking": thinking}
                lines.append(json.dumps(line | {"expected": expected}))
    (architecture.FOLDER / "heldout.jsonl").write_text("\n".join(lines) + "\n")
    print(len(lines), "prompts")


if __name__ == "__main__":
    main()
