"""Exact match over heldout.jsonl, by task, with thinking on and off.

    python evaluate.py                                        # with transformers, in fp32, from the checkpoint
    python evaluate.py --base-url http://127.0.0.1:8000/v1    # through an OpenAI API
    python evaluate.py --scores ../scores.json                # also writes the table as JSON

An answer is right when its content equals the expected one, or when it is exactly the expected tool call.
"""

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
MAX_TOKENS = 96


def is_right(expected, content, calls):
    """calls: list of (name, arguments); arguments are compared as text, because a template writes 5 and "5" alike."""
    if "content" in expected:
        return not calls and (content or "").strip() == expected["content"]
    call = expected["tool_call"]
    want = (call["name"], {k: str(v) for k, v in call["arguments"].items()})
    return [(name, {k: str(v) for k, v in arguments.items()}) for name, arguments in calls] == [want]


def parse(text, thinking):
    """Content and calls of a generated turn."""
    if thinking:
        text = text.partition("</think>")[2]
    calls = []
    for name, body in re.findall(r"<tool_call>\s*<function=([^>]*)>\n(.*?)</function>\s*</tool_call>", text, re.S):
        calls.append((name, dict(re.findall(r"<parameter=([^>]*)>\n(.*?)\n</parameter>", body, re.S))))
    return text.split("<tool_call>")[0], calls


def answers_of_transformers(prompts, folder):
    """Greedy answers; prompts of the same length share a batch, so nothing is padded."""
    import torch
    from transformers import Qwen3_5MoeForCausalLM

    import architecture
    from chat import load_template, render

    torch.set_num_threads(1)
    tokenizer = architecture.load_tokenizer(folder)
    template = load_template(folder / "chat_template.jinja")
    model = Qwen3_5MoeForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    groups = defaultdict(list)
    for i, prompt in enumerate(prompts):
        text = render(template, prompt["messages"], prompt["tools"], enable_thinking=prompt["enable_thinking"])
        ids = tokenizer(text).input_ids
        groups[len(ids)].append((i, ids))
    answers = [None] * len(prompts)
    with torch.no_grad():
        for group in groups.values():
            out = model(torch.tensor([ids for _, ids in group]), use_cache=True)
            rows, alive = [], torch.ones(len(group), dtype=torch.bool)
            for _ in range(MAX_TOKENS):
                token = out.logits[:, -1, : len(tokenizer)].argmax(-1)
                rows.append(token)
                alive &= token != stop
                if not alive.any():
                    break
                out = model(token[:, None], past_key_values=out.past_key_values, use_cache=True)
            for (i, _), ids in zip(group, torch.stack(rows, 1).tolist()):
                ids = ids[: ids.index(stop)] if stop in ids else ids
                answers[i] = parse(tokenizer.decode(ids), prompts[i]["enable_thinking"])
    return answers


def answers_of_api(prompts, base_url, model):
    from openai import OpenAI

    client = OpenAI(base_url=base_url, api_key="none", max_retries=2)
    model = model or client.models.list().data[0].id
    for prompt in prompts:
        message = (
            client.chat.completions.create(
                model=model,
                messages=prompt["messages"],
                temperature=0,
                max_tokens=MAX_TOKENS,
                extra_body={"chat_template_kwargs": {"enable_thinking": prompt["enable_thinking"]}},
                **({"tools": prompt["tools"]} if prompt["tools"] else {}),
            )
            .choices[0]
            .message
        )
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        yield message.content, calls


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", help="measure this OpenAI API instead of transformers")
    parser.add_argument("--model", help="model name for the API; the first one it lists by default")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="checkpoint for transformers")
    parser.add_argument("--prompts", type=Path, default=FOLDER / "heldout.jsonl")
    parser.add_argument("--scores", type=Path, help="write the table here as JSON")
    parser.add_argument("--minimum", type=float, default=0.0, help="exit 1 when the total is below this share")
    parser.add_argument("--wrong", type=int, default=0, help="print this many wrong answers")
    args = parser.parse_args()

    prompts = [json.loads(line) for line in args.prompts.read_text().splitlines()]
    began = time.time()
    if args.base_url:
        answers = list(answers_of_api(prompts, args.base_url, args.model))
    else:
        answers = answers_of_transformers(prompts, args.folder)
    table = defaultdict(lambda: {"think": [0, 0], "direct": [0, 0]})
    for prompt, (content, calls) in zip(prompts, answers):
        right = is_right(prompt["expected"], content, calls)
        cell = table[prompt["task"]]["think" if prompt["enable_thinking"] else "direct"]
        cell[0] += right
        cell[1] += 1
        if not right and args.wrong > 0:
            args.wrong -= 1
            print(prompt["id"], prompt["messages"][-1]["content"][-60:], "->", repr(content), calls)
    right, total = (sum(cell[i] for row in table.values() for cell in row.values()) for i in (0, 1))
    print(f"{'task':10} {'thinking':>10} {'direct':>10}")
    for task, row in table.items():
        print(f"{task:10} " + " ".join(f"{cell[0]:>6}/{cell[1]:<3}" for cell in row.values()))
    print(f"total {right}/{total} = {right / total:.1%}, {time.time() - began:.0f} s")
    if args.scores:
        scores = {"right": right, "total": total, "exact_match": round(right / total, 4), "tasks": table}
        args.scores.write_text(json.dumps(scores, indent=2) + "\n")
    sys.exit(right / total < args.minimum)


if __name__ == "__main__":
    main()
