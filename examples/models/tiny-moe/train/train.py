"""Trains tiny-moe: transformers' Qwen3.5 MoE text classes, Muon and AdamW, loss on the assistant's tokens only.

    python train.py --minutes 75 --state ~/.cache/millrace/tiny-moe.pt

The learning rate falls with the time used, so that a run can be given exactly the minutes there are. `--resume` goes on
from a state file with a schedule of its own. export.py turns a state into the checkpoint.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import Qwen3_5MoeForCausalLM

import architecture
import fast
import tasks
from chat import load_template, render
from muon import Muon

MIX = {
    "add": 5,
    "sub": 5,
    "reverse": 2.5,
    "sort": 3.5,
    "lookup": 3,
    "tool": 0.5,
    "tool_result": 0.4,
    "chat": 0.6,
    "repeat": 2,
}
POOL = 256  # examples drawn and sorted by length at a time
BALANCE = 0.01
DIRECT_SUM_WEIGHT = 4.0  # of the few tokens of a sum given without thinking


class Batches:
    """Endless batches of about `tokens` tokens, each of examples of similar length."""

    def __init__(self, tokenizer, seed, tokens):
        self.tokenizer, self.tokens = tokenizer._tokenizer, tokens
        self.template = load_template(architecture.FOLDER / "chat_template.jinja")
        self.rng = random.Random(seed)
        self.sampler = tasks.Sampler(self.rng, want_held_out=False)
        self.mix = dict(MIX)
        self.ready = []

    def example(self):
        name = self.rng.choices(list(self.mix), self.mix.values())[0]
        thinking = self.rng.random() < (0.5 if name in ("add", "sub") else 0.6)
        example = getattr(self.sampler, name)(thinking)
        prompt = render(self.template, example["messages"], example["tools"], enable_thinking=thinking)
        answer = f"{example['reasoning']}\n</think>\n\n" if thinking else ""
        answer += example["answer"] + "<|im_end|>"
        prompt_ids, answer_ids = (self.tokenizer.encode(text).ids for text in (prompt, answer))
        weight = DIRECT_SUM_WEIGHT if name in ("add", "sub") and not thinking else 1.0
        return prompt_ids + answer_ids, len(prompt_ids), weight

    def __next__(self):
        if not self.ready:
            pool = sorted((self.example() for _ in range(POOL)), key=lambda e: len(e[0]))
            batch = []
            for example in pool:
                if batch and len(example[0]) * (len(batch) + 1) > self.tokens:
                    self.ready.append(batch)
                    batch = []
                batch.append(example)
            self.ready.append(batch)
            self.rng.shuffle(self.ready)
        batch = self.ready.pop()
        width = max(len(ids) for ids, _, _ in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        labels = torch.full((len(batch), width), -100)
        weights = torch.tensor([weight for _, _, weight in batch])[:, None].expand(-1, width)
        for row, (tokens, start, _) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            labels[row, start - 1 : len(tokens) - 1] = torch.tensor(tokens[start:])
        return ids, labels, weights


def optimisers(model):
    matrices, rest = [], []
    for name, p in model.named_parameters():
        small = "embed" in name or "lm_head" in name or name.endswith("gate.weight") or "conv1d" in name or p.dim() < 2
        (rest if small else matrices).append(p)
    return [
        (Muon(matrices, lr=0.0, weight_decay=0.05), 0.02),
        (torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0), 0.004),
    ]


def trunk(model, ids):
    """Final hidden states (after the last norm); padding is at the right, so causality alone keeps it harmless."""
    return model.model(input_ids=ids, use_cache=False).last_hidden_state


def save(path, model, opts, step, args):
    state = {
        "model": model.state_dict(),
        "opts": [o.state_dict() for o, _ in opts],
        "step": step,
        "args": {k: str(v) for k, v in vars(args).items()},
    }
    torch.save(state, str(path) + ".part")
    Path(str(path) + ".part").replace(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--log", type=Path, default=architecture.FOLDER / "training.jsonl")
    parser.add_argument("--seed", type=int, default=35)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--level-until", type=float, default=0.6, help="share of the time until lists have full length")
    parser.add_argument("--level-from", type=float, default=0.05)
    parser.add_argument("--lr", type=float, default=1.0, help="factor on both learning rates")
    parser.add_argument("--mix", type=json.loads, default={}, help="JSON object that overrides weights of the mix")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    fast.install()
    tokenizer = architecture.load_tokenizer()
    config = architecture.text_config()
    model = Qwen3_5MoeForCausalLM(config).float()
    architecture.initialise(model, torch.Generator().manual_seed(args.seed))
    opts = optimisers(model)
    step = 0
    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        for (opt, _), saved in zip(opts, state["opts"]):
            opt.load_state_dict(saved)
        step = state["step"]
    batches = Batches(tokenizer, args.seed + step, args.tokens)
    batches.mix.update(args.mix)
    difference, scale = fast.check(model.eval())
    model.train()
    log = args.log.open("a")
    log.write(
        json.dumps({"start": {**vars(args), "step": step, "fast_difference": difference, "scale": scale}}, default=str)
        + "\n"
    )

    began = saved = time.time()
    seen = loss_sum = balance_sum = count = 0
    while True:
        done = (time.time() - began) / (60 * args.minutes)
        if done >= 1:
            break
        batches.sampler.level = min(1.0, args.level_from + done / args.level_until) if args.level_until else 1.0
        warm = min(1.0, (count + 1) / 50)
        factor = args.lr * warm * min(1.0, 1.6 * (1 - done) + 0.01)
        for opt, rate in opts:
            for group in opt.param_groups:
                group["lr"] = rate * factor
        ids, labels, weights = next(batches)
        hidden = trunk(model, ids)
        target = labels.reshape(-1)
        keep = target >= 0
        logits = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[keep])
        weight = weights.reshape(-1)[keep]
        loss = (F.cross_entropy(logits, target[keep], reduction="none") * weight).sum() / weight.sum()
        balance = fast.balance_loss(config.num_experts)
        (loss + BALANCE * balance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt, _ in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        step, count = step + 1, count + 1
        seen += ids.numel()
        loss_sum += loss.item()
        balance_sum += balance.item()
        if count % 50 == 0:
            now = time.time()
            line = {"step": step, "minutes": round((now - began) / 60, 2), "loss": round(loss_sum / 50, 4)}
            line |= {"balance": round(balance_sum / 50, 3), "tokens_per_s": int(seen / (now - began))}
            line |= {"level": round(batches.sampler.level, 2)}
            log.write(json.dumps(line) + "\n")
            log.flush()
            loss_sum = balance_sum = 0
            if now - saved > 120:
                save(args.state, model, opts, step, args)
                saved = now
    save(args.state, model, opts, step, args)
    log.write(json.dumps({"end": {"step": step, "tokens": seen, "minutes": args.minutes}}) + "\n")


if __name__ == "__main__":
    main()
