"""Writes a training state as a checkpoint in the layout of the family: names, dtypes and shards as it releases them.

python export.py --state ~/.cache/millrace/tiny-moe.pt
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen3_5MoeForCausalLM

import architecture
from mtp import MtpHead

SHARD_BYTES = 3 << 20


def stored_dtype(name):
    return torch.float32 if name.endswith(("linear_attn.A_log", "linear_attn.norm.weight")) else torch.bfloat16


def trunk_tensors(state):
    for name, tensor in state.items():
        yield (name if name == "lm_head.weight" else name.replace("model.", "model.language_model.", 1)), tensor


def mtp_tensors(state):
    """Experts one by one, as the released MTP heads have them."""
    for name, tensor in state.items():
        if name.endswith("experts.gate_up_proj"):
            for e, both in enumerate(tensor):
                gate, up = both.chunk(2, 0)
                base = f"mtp.{name.removesuffix('gate_up_proj')}{e}."
                yield from ((base + "gate_proj.weight", gate), (base + "up_proj.weight", up))
        elif name.endswith("experts.down_proj"):
            for e, down in enumerate(tensor):
                yield f"mtp.{name.removesuffix('down_proj')}{e}.down_proj.weight", down
        else:
            yield "mtp." + name, tensor


def shards(tensors):
    parts, size = [{}], 0
    for name, tensor in tensors:
        tensor = tensor.to(stored_dtype(name)).contiguous().clone()
        if size and size + tensor.nbytes > SHARD_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    return parts


@torch.no_grad()
def same_greedy(state, folder, prompt, count=32):
    """True when the checkpoint, read back, continues the prompt as the rounded state does."""
    rounded = Qwen3_5MoeForCausalLM(architecture.text_config(folder)).float()
    trunk = {name: tensor.to(stored_dtype(name)).float() for name, tensor in state.items()}
    rounded.load_state_dict(trunk)
    texts = []
    for model in (rounded, Qwen3_5MoeForCausalLM.from_pretrained(folder, dtype=torch.float32)):
        ids = torch.tensor([prompt])
        for _ in range(count):
            ids = torch.cat([ids, model.eval()(ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
        texts.append(ids.tolist())
    return texts[0] == texts[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=architecture.FOLDER)
    args = parser.parse_args()
    tokenizer = architecture.load_tokenizer()
    config = architecture.full_config(tokenizer)
    head_path = Path(str(args.state) + ".mtp")
    if head_path.exists():
        head = torch.load(head_path)
    else:
        fresh = MtpHead(architecture.text_config())
        architecture.initialise(fresh, torch.Generator().manual_seed(1))
        head = fresh.state_dict()
    state = torch.load(args.state)["model"]
    parts = shards([*trunk_tensors(state), *mtp_tensors(head)])
    for old in args.out.glob("model-*.safetensors"):
        old.unlink()
    weight_map = {}
    for i, part in enumerate(parts):
        file = f"model-{i + 1:05d}-of-{len(parts):05d}.safetensors"
        save_file(part, args.out / file, metadata={"format": "pt"})
        (args.out / file).chmod(0o644)
        weight_map |= dict.fromkeys(part, file)
    total = sum(t.nbytes for part in parts for t in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    eos, pad = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>"))
    generation = {"bos_token_id": pad, "do_sample": False, "eos_token_id": [eos, pad], "pad_token_id": pad}
    for name, value in (
        ("config.json", config),
        ("model.safetensors.index.json", index),
        ("generation_config.json", generation),
    ):
        (args.out / name).write_text(json.dumps(value, indent=2) + "\n")
    prompt = tokenizer("<|im_start|>user\nWhat is 12 + 7?<|im_end|>\n<|im_start|>assistant\n<think>\n").input_ids
    assert same_greedy(state, args.out, prompt), "the checkpoint does not read back as it was written"
    print(f"{len(weight_map)} tensors, {total} bytes, {len(parts)} shards")


if __name__ == "__main__":
    main()
