"""Checks the checkpoint beside this folder: tensor names, shapes and dtypes as the family has them, and that it loads.

python check_checkpoint.py [folder]
"""

import json
import sys
from pathlib import Path

from safetensors import safe_open

import architecture


def expected(c):
    """{name: (shape, dtype)} for a text config, from the family's checkpoint layout."""
    h, e, i, s = c["hidden_size"], c["num_experts"], c["moe_intermediate_size"], c["shared_expert_intermediate_size"]
    d, nq, nkv = c["head_dim"], c["num_attention_heads"], c["num_key_value_heads"]
    hk, hv = c["linear_num_key_heads"], c["linear_num_value_heads"]
    kd, vd = hk * c["linear_key_head_dim"], hv * c["linear_value_head_dim"]
    out = {"lm_head.weight": [c["vocab_size"], h], "mtp.fc.weight": [h, 2 * h]}
    for name in ("mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden", "mtp.norm"):
        out[name + ".weight"] = [h]
    trunk = "model.language_model."
    out[trunk + "embed_tokens.weight"] = [c["vocab_size"], h]
    out[trunk + "norm.weight"] = [h]

    def layer(base, kind, fused):
        out[base + "input_layernorm.weight"] = out[base + "post_attention_layernorm.weight"] = [h]
        if kind == "full_attention":
            a = base + "self_attn."
            out[a + "q_proj.weight"], out[a + "o_proj.weight"] = [2 * nq * d, h], [h, nq * d]
            out[a + "k_proj.weight"] = out[a + "v_proj.weight"] = [nkv * d, h]
            out[a + "q_norm.weight"] = out[a + "k_norm.weight"] = [d]
        else:
            a = base + "linear_attn."
            out[a + "in_proj_qkv.weight"], out[a + "in_proj_z.weight"] = [2 * kd + vd, h], [vd, h]
            out[a + "in_proj_b.weight"] = out[a + "in_proj_a.weight"] = [hv, h]
            out[a + "conv1d.weight"] = [2 * kd + vd, 1, c["linear_conv_kernel_dim"]]
            out[a + "A_log"] = out[a + "dt_bias"] = [hv]
            out[a + "norm.weight"], out[a + "out_proj.weight"] = [c["linear_value_head_dim"]], [h, vd]
        m = base + "mlp."
        out[m + "gate.weight"], out[m + "shared_expert_gate.weight"] = [e, h], [1, h]
        out[m + "shared_expert.gate_proj.weight"] = out[m + "shared_expert.up_proj.weight"] = [s, h]
        out[m + "shared_expert.down_proj.weight"] = [h, s]
        if fused:
            out[m + "experts.gate_up_proj"], out[m + "experts.down_proj"] = [e, 2 * i, h], [e, h, i]
            return
        for n in range(e):
            x = f"{m}experts.{n}."
            out[x + "gate_proj.weight"] = out[x + "up_proj.weight"] = [i, h]
            out[x + "down_proj.weight"] = [h, i]

    for n, kind in enumerate(c["layer_types"]):
        layer(f"{trunk}layers.{n}.", kind, fused=True)
    layer("mtp.layers.0.", "full_attention", fused=False)
    single = ("linear_attn.A_log", "linear_attn.norm.weight")
    return {name: (shape, "F32" if name.endswith(single) else "BF16") for name, shape in out.items()}


def stored(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    found = {}
    for file in sorted(set(index["weight_map"].values())):
        with safe_open(folder / file, "pt") as shard:
            for name in shard.keys():
                assert index["weight_map"].get(name) == file, f"{name} is in {file}, the index says otherwise"
                part = shard.get_slice(name)
                found[name] = (part.get_shape(), part.get_dtype())
    assert set(found) == set(index["weight_map"]), "the index and the shards name different tensors"
    return found


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else architecture.FOLDER
    config = json.loads((folder / "config.json").read_text())["text_config"]
    want, have = expected(config), stored(folder)
    problems = [f"missing {n}" for n in want.keys() - have.keys()] + [f"extra {n}" for n in have.keys() - want.keys()]
    problems += [f"{n}: {have[n]}, want {want[n]}" for n in want.keys() & have.keys() if have[n] != want[n]]
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    if size > 16e6:
        problems.append(f"the shards have {size} bytes, more than 16 MB")
    tokenizer = architecture.load_tokenizer(folder)
    if len(tokenizer) >= config["vocab_size"] or config["vocab_size"] % 64:
        problems.append(f"{len(tokenizer)} tokens do not fit {config['vocab_size']} padded rows")
    from transformers import AutoConfig, Qwen3_5MoeForCausalLM

    assert AutoConfig.from_pretrained(folder).model_type == "qwen3_5_moe"
    _, report = Qwen3_5MoeForCausalLM.from_pretrained(folder, output_loading_info=True)
    problems += [f"transformers misses {n}" for n in report["missing_keys"]]
    problems += [f"transformers does not expect {n}" for n in report["unexpected_keys"] if not n.startswith("mtp.")]
    print(
        "\n".join(problems) or f"{len(have)} tensors, {size} bytes, {len(tokenizer)} tokens: as the family stores them"
    )
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
