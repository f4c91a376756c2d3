"""Runs transformers (fp32, CPU, eager) on every case and writes <case>.json and <case>.bin. See README.md.

python make_goldens.py [case ...]
"""

import json
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoConfig, Qwen2ForCausalLM, Qwen3_5ForCausalLM, Qwen3_5MoeForCausalLM

import weights
from cases import CASES, VOCAB

FOLDER = Path(__file__).resolve().parent
LENGTHS = (1, 37, 130)
STREAM_PROMPT = 1  # the prompt whose residual stream, routing and states are kept
SELECTED = (0, 1, 2, 3, 31, 62, 63, 64, 65, 95, 126, 127, 128, 129)
GREEDY = 64
MODELS = {
    "qwen2": Qwen2ForCausalLM,
    "qwen3_5": Qwen3_5ForCausalLM,
    "qwen3_5_text": Qwen3_5ForCausalLM,
    "qwen3_5_moe": Qwen3_5MoeForCausalLM,
    "qwen3_5_moe_text": Qwen3_5MoeForCausalLM,
}


def build(case, seed):
    """The reference model in fp32 with the case's weights, renamed to what transformers calls them."""
    config = AutoConfig.for_model(**case["config"])
    config = getattr(config, "text_config", config)
    config._attn_implementation = "eager"
    if hasattr(config, "num_experts"):
        config._experts_implementation = "eager"
    model = MODELS[case["config"]["model_type"]](config).float().eval()
    state = {}
    for spec in case["tensors"]:
        name = spec["name"].replace("model.language_model.", "model.")
        state[name] = torch.from_numpy(weights.tensor(seed, spec))
    fuse_experts(state)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def fuse_experts(state):
    singles = [n for n in state if ".experts." in n and n.endswith("_proj.weight")]
    for base in sorted({n.split(".experts.")[0] + ".experts." for n in singles}):
        count = len({n.split(".experts.")[1].split(".")[0] for n in singles if n.startswith(base)})

        def take(part):
            return [state.pop(f"{base}{e}.{part}_proj.weight") for e in range(count)]

        gate, up, down = take("gate"), take("up"), take("down")
        state[base + "gate_up_proj"] = torch.stack([torch.cat(both) for both in zip(gate, up)])
        state[base + "down_proj"] = torch.stack(down)


def prompts(seed):
    out = []
    for length in LENGTHS:
        state = np.uint64(weights.fnv1a64(f"prompt {length}") ^ seed)
        with np.errstate(over="ignore"):
            x = weights.splitmix64(state + np.arange(length, dtype=np.uint64) * weights.GOLDEN_GAMMA)
        out.append((x % np.uint64(VOCAB)).astype(int).tolist())
    return out


class Recorder:
    """Keeps the residual stream after each layer and what each router saw, for one forward pass."""

    def __init__(self, model):
        self.stream, self.router = [], []
        layers = model.model.layers
        self.handles = [model.model.embed_tokens.register_forward_hook(self._keep)]
        self.handles += [layer.register_forward_hook(self._keep) for layer in layers]
        self.handles += [model.model.norm.register_forward_hook(self._keep)]
        self.handles += [
            layer.mlp.gate.register_forward_hook(self._route) for layer in layers if hasattr(layer.mlp, "gate")
        ]

    def _keep(self, module, args, output):
        output = output[0] if isinstance(output, tuple) else output
        self.stream.append(output[0].clone())

    def _route(self, module, args, output):
        logits, scores, chosen = output
        ordered = logits.softmax(-1).sort(-1, descending=True).values
        k = chosen.shape[-1]
        self.router.append((chosen.clone(), scores.clone(), ordered[:, k - 1] - ordered[:, k]))

    def close(self):
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def greedy(model, prompt):
    """64 tokens with the cache; returns ids, the top-2 margin of each, and the final cache."""
    ids, margins = torch.tensor([prompt]), []
    out = model(ids, use_cache=True)
    tokens = []
    for _ in range(GREEDY):
        top = out.logits[0, -1].topk(2)
        tokens.append(int(top.indices[0]))
        margins.append(float(top.values[0] - top.values[1]))
        out = model(torch.tensor([[tokens[-1]]]), past_key_values=out.past_key_values, use_cache=True)
    return tokens, margins


class Bin:
    """Float32 arrays one after the other; the header says where each begins."""

    def __init__(self):
        self.arrays, self.parts, self.size = {}, [], 0

    def add(self, name, array):
        array = np.ascontiguousarray(array, dtype="<f4")
        self.arrays[name] = {"offset": self.size, "shape": list(array.shape)}
        self.parts.append(array.tobytes())
        self.size += array.size


@torch.no_grad()
def make(name, case):
    seed = zlib.crc32(name.encode())
    model = build(case, seed)
    bin_ = Bin()
    header = {"case": name, "seed": seed, "config": case["config"], "tensors": case["tensors"]}
    header |= {"weight_check": weight_check(case, seed), "prompts": []}
    for n, prompt in enumerate(prompts(seed)):
        recorder = Recorder(model)
        out = model(torch.tensor([prompt]), use_cache=True)
        recorder.close()
        positions = list(range(len(prompt)) if len(prompt) < 100 else SELECTED)
        entry = {"tokens": prompt, "logit_positions": positions, "logits": f"logits_{n}"}
        bin_.add(entry["logits"], out.logits[0, positions])
        entry["greedy"], entry["greedy_margins"] = greedy(model, prompt)
        entry["self_noise"] = self_noise(model, prompt, out.logits[0])
        if n == STREAM_PROMPT:
            keep_inner(entry, bin_, recorder, out.past_key_values, model)
        header["prompts"].append(entry)
    header["arrays"] = bin_.arrays
    (FOLDER / f"{name}.bin").write_bytes(b"".join(bin_.parts))
    (FOLDER / f"{name}.json").write_text(compact(header))
    noise = max(p["self_noise"] for p in header["prompts"])
    print(
        f"{name}: {bin_.size * 4} bytes, noise {noise:.1e}, smallest margin "
        f"{min(m for p in header['prompts'] for m in p['greedy_margins']):.1e}",
        flush=True,
    )


def self_noise(model, prompt, logits):
    """Largest difference between one full pass and half a prefill followed by single tokens."""
    half = max(1, len(prompt) // 2)
    out = model(torch.tensor([prompt[:half]]), use_cache=True)
    rows = [out.logits[0]]
    for token in prompt[half:]:
        out = model(torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
        rows.append(out.logits[0])
    return float((torch.cat(rows) - logits).abs().max())


def keep_inner(entry, bin_, recorder, cache, model):
    entry["stream"] = "stream"
    bin_.add("stream", torch.stack(recorder.stream))
    if recorder.router:
        entry["experts"] = [chosen.tolist() for chosen, _, _ in recorder.router]
        entry["expert_margins"] = [[float(f"{m:.3e}") for m in margin] for _, _, margin in recorder.router]
        bin_.add("expert_weights", torch.stack([scores for _, scores, _ in recorder.router]))
        entry["expert_weights"] = "expert_weights"
    kinds = getattr(model.config, "layer_types", [])
    linear = [i for i, kind in enumerate(kinds) if kind == "linear_attention"]
    if linear:
        states = [cache.get_recurrent_state(i, state_idx=0)[0] for i in linear]
        entry["state_layers"] = linear
        entry["state_slices"] = "state_slices"  # [layer, head, dk 0,9,18.., dv 0,7,14..]
        bin_.add("state_slices", torch.stack([s[:, ::9, ::7] for s in states]))
        if model.config.linear_num_value_heads == 3 * model.config.linear_num_key_heads:
            entry["state_first_layer"] = "state_first_layer"  # whole, [head, dk, dv]
            bin_.add("state_first_layer", states[0])


def weight_check(case, seed):
    """The first values of a few tensors, so that a wrong weight function is found before a wrong model."""
    specs = case["tensors"][:4] + case["tensors"][-2:]
    return {spec["name"]: weights.tensor(seed, spec).reshape(-1)[:4].tolist() for spec in specs}


def compact(header):
    """Indented JSON with each list of numbers on one line."""
    text = json.dumps(header, indent=1, ensure_ascii=False)

    def one_line(m):
        return re.sub(r"\s+", " ", m.group()).replace("[ ", "[").replace(" ]", "]")

    return re.sub(r"\[[^\[\]{}]*\]", one_line, text) + "\n"


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in sys.argv[1:] or CASES:
        make(name, CASES[name])


if __name__ == "__main__":
    main()
