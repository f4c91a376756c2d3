"""The multi-token prediction head in fp32, written from its equations, over the trunks of two golden cases.

python make_mtp.py        writes mtp.json; see README.md

transformers drops every mtp.* tensor, so it cannot be the reference here. What it does share with the head, a gated
attention layer with its feed-forward, is checked against it before anything is written.
"""

import json
import zlib

import torch
import torch.nn.functional as F
import transformers

import weights
from cases import CASES, _ffn, _spec
from make_goldens import FOLDER, build, compact, prompts

MTP_CASES = ("dense_r1_tied", "moe_r2_per_expert")
DRAFTS = 4
KEPT_ROWS = (0, 1, 2, 17, 36)


def mtp_specs(c, dtype="BF16"):
    """The tensors of the head; experts always one by one, as in the Qwen3.5 checkpoints."""
    h, d = c["hidden_size"], c["head_dim"]
    nq, nkv = c["num_attention_heads"], c["num_key_value_heads"]
    yield _spec("mtp.fc.weight", [h, 2 * h], dtype)
    for name in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        yield _spec(f"mtp.{name}.weight", [h], dtype, scale=0.125)
    base = "mtp.layers.0."
    yield _spec(base + "input_layernorm.weight", [h], dtype, scale=0.125)
    yield _spec(base + "post_attention_layernorm.weight", [h], dtype, scale=0.125)
    yield _spec(base + "self_attn.q_proj.weight", [2 * nq * d, h], dtype)
    yield _spec(base + "self_attn.k_proj.weight", [nkv * d, h], dtype)
    yield _spec(base + "self_attn.v_proj.weight", [nkv * d, h], dtype)
    yield _spec(base + "self_attn.o_proj.weight", [h, nq * d], dtype)
    yield _spec(base + "self_attn.q_norm.weight", [d], dtype, scale=0.5)
    yield _spec(base + "self_attn.k_norm.weight", [d], dtype, scale=0.5)
    yield from _ffn(base + "mlp.", c, False, dtype)


def zero_centred_norm(x, w, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1 + w)


def gated_mlp(x, w, base):
    hidden = F.silu(x @ w[base + "gate_proj.weight"].T) * (x @ w[base + "up_proj.weight"].T)
    return hidden @ w[base + "down_proj.weight"].T


class Layer:
    """A gated full-attention layer with its feed-forward; keeps the keys and values of all positions so far."""

    def __init__(self, c, w, base):
        self.c, self.w, self.base = c, w, base
        self.keys, self.values = [], []

    def weight(self, name):
        return self.w[self.base + name + ".weight"]

    def norm(self, x, name):
        return zero_centred_norm(x, self.weight(name), self.c["rms_norm_eps"])

    def rotate(self, x, position):
        half = int(self.c["head_dim"] * self.c["rope_parameters"]["partial_rotary_factor"]) // 2
        exponents = torch.arange(0, 2 * half, 2, dtype=torch.float32) / (2 * half)
        angle = position * (1.0 / self.c["rope_parameters"]["rope_theta"] ** exponents)
        a, b, rest = x[:, :half], x[:, half : 2 * half], x[:, 2 * half :]
        return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest), -1)

    def attend(self, x, position):
        heads, d = self.c["num_attention_heads"], self.c["head_dim"]
        query, gate = (self.weight("self_attn.q_proj") @ x).view(heads, 2, d).unbind(1)
        key, value = ((self.weight(f"self_attn.{n}_proj") @ x).view(-1, d) for n in "kv")
        query = self.rotate(self.norm(query, "self_attn.q_norm"), position)
        self.keys.append(self.rotate(self.norm(key, "self_attn.k_norm"), position))
        self.values.append(value)
        out = []
        for head in range(heads):
            kv_head = head // (heads // len(value))
            keys = torch.stack([k[kv_head] for k in self.keys])
            share = ((keys @ query[head]) / d**0.5).softmax(0)
            out.append(share @ torch.stack([v[kv_head] for v in self.values]))
        return self.weight("self_attn.o_proj") @ (torch.stack(out) * gate.sigmoid()).flatten()

    def feed_forward(self, x):
        base = self.base + "mlp."
        if "num_experts" not in self.c:
            return gated_mlp(x, self.w, base)
        shares, experts = (self.w[base + "gate.weight"] @ x).softmax(0).topk(self.c["num_experts_per_tok"])
        shares = shares / shares.sum()
        out = sum(s * gated_mlp(x, self.w, f"{base}experts.{int(e)}.") for s, e in zip(shares, experts))
        shared = (self.w[base + "shared_expert_gate.weight"] @ x).sigmoid()
        return out + shared * gated_mlp(x, self.w, base + "shared_expert.")

    def __call__(self, x, position):
        x = x + self.attend(self.norm(x, "input_layernorm"), position)
        return x + self.feed_forward(self.norm(x, "post_attention_layernorm"))


class Head:
    def __init__(self, c, w, embedding, output):
        self.c, self.w, self.embedding, self.output = c, w, embedding, output
        self.layer = Layer(c, w, "mtp.layers.0.")

    def __call__(self, hidden, next_token, position):
        """(its own normed hidden, logits of the token after next_token); hidden is after the trunk's final norm."""

        def norm(x, name):
            return zero_centred_norm(x, self.w[f"mtp.{name}.weight"], self.c["rms_norm_eps"])

        embedded = norm(self.embedding[next_token], "pre_fc_norm_embedding")
        joined = torch.cat((embedded, norm(hidden, "pre_fc_norm_hidden")))
        out = norm(self.layer(self.w["mtp.fc.weight"] @ joined, position), "norm")
        return out, self.output @ out


def check_layer(model, c, w, tokens, base):
    """Layer 3 of the trunk, here and in transformers."""
    kept = {}

    def keep(module, args, kwargs, output):
        kept["x"] = (args[0] if args else kwargs["hidden_states"])[0]
        kept["y"] = (output[0] if isinstance(output, tuple) else output)[0]

    handle = model.model.layers[3].register_forward_hook(keep, with_kwargs=True)
    model(torch.tensor([tokens]))
    handle.remove()
    mine = Layer(c, w, base + "layers.3.")
    found = torch.stack([mine(x, i) for i, x in enumerate(kept["x"])])
    error = float((found - kept["y"]).abs().max() / kept["y"].abs().max())
    assert error < 1e-5, error
    return error


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.flatten().tolist()]


@torch.no_grad()
def make(name):
    case, seed = CASES[name], zlib.crc32(name.encode())
    model = build(case, seed)
    c = case["config"].get("text_config", case["config"])
    specs = list(mtp_specs(c))
    w = {s["name"]: torch.from_numpy(weights.tensor(seed, s)) for s in case["tensors"] + specs}
    prefix = next(n for n in w if n.endswith("embed_tokens.weight")).removesuffix("embed_tokens.weight")
    tokens = prompts(seed)[1]
    error = check_layer(model, c, w, tokens, prefix)
    trunk = model.model(torch.tensor([tokens])).last_hidden_state[0]
    output = model.lm_head.weight
    head = Head(c, w, model.model.embed_tokens.weight, output)
    first = int((output @ trunk[-1]).argmax())
    rows = [head(y, token, i) for i, (y, token) in enumerate(zip(trunk, tokens[1:] + [first]))]
    hidden, logits = rows[-1]
    drafts, margins, last = [], [], []
    for position in range(len(tokens), len(tokens) + DRAFTS):
        top = logits.topk(2)
        drafts.append(int(top.indices[0]))
        margins.append(float(f"{float(top.values[0] - top.values[1]):.3e}"))
        hidden, logits = head(hidden, drafts[-1], position)
        last.append(hidden)
    print(f"{name}: layer against transformers {error:.1e}, smallest margin {min(margins):.1e}")
    return {
        "case": name,
        "tensors": specs,
        "tokens": tokens,
        "first_token": first,
        "rows": list(KEPT_ROWS),
        "hidden": numbers(torch.stack([rows[i][0] for i in KEPT_ROWS])),
        "logits_of_last_row": numbers(rows[-1][1]),
        "drafts": drafts,
        "draft_margins": margins,
        "draft_hidden": numbers(torch.stack(last)),
    }


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    (FOLDER / "mtp.json").write_text(compact({"cases": [make(name) for name in MTP_CASES]}))


if __name__ == "__main__":
    main()
