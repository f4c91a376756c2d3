"""The golden cases: a config.json as on disk, and the tensors of its checkpoint with the rule for their values."""

import math

VOCAB = 320
ROPE = {
    "mrope_interleaved": True,
    "mrope_section": [11, 11, 10],
    "partial_rotary_factor": 0.25,
    "rope_theta": 10000000,
    "rope_type": "default",
}


def qwen3_5(
    *,
    hk,
    hv,
    nq=4,
    nkv=2,
    hidden=64,
    layers=4,
    tied=False,
    experts=0,
    top_k=0,
    nested=True,
    fused=True,
    dtype="BF16",
    single="F32",
    yarn=None,
):
    """One Qwen3.5 case. nested: wrapper config and `model.language_model.`; fused: one tensor for all experts.

    yarn: the original context; four times as much is then allowed.
    """
    kind = "qwen3_5_moe" if experts else "qwen3_5"
    name = "Qwen3_5Moe" if experts else "Qwen3_5"
    text = {
        "attention_bias": False,
        "attn_output_gate": True,
        "dtype": "bfloat16",
        "eos_token_id": 0,
        "full_attention_interval": 4,
        "head_dim": 256,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "layer_types": ["full_attention" if i % 4 == 3 else "linear_attention" for i in range(layers)],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_num_key_heads": hk,
        "linear_num_value_heads": hv,
        "linear_value_head_dim": 128,
        "mamba_ssm_dtype": "float32",
        "max_position_embeddings": 4096,
        "model_type": kind + "_text",
        "num_attention_heads": nq,
        "num_hidden_layers": layers,
        "num_key_value_heads": nkv,
        "rms_norm_eps": 1e-06,
        "rope_parameters": ROPE,
        "tie_word_embeddings": tied,
        "vocab_size": VOCAB,
    }
    if yarn:
        text["max_position_embeddings"] = 4 * yarn
        scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": yarn}
        text["rope_parameters"] = ROPE | scaling
    if experts:
        text |= {"moe_intermediate_size": 32, "num_experts": experts, "num_experts_per_tok": top_k}
        text |= {"shared_expert_intermediate_size": 48}
    else:
        text["intermediate_size"] = 160
    if nested:
        config = {"architectures": [name + "ForConditionalGeneration"], "model_type": kind, "text_config": text}
        config["tie_word_embeddings"] = tied
    else:
        config = {"architectures": [name + "ForCausalLM"], **text}
    return {"config": config, "tensors": list(_qwen3_5_tensors(text, nested, fused, dtype, single))}


def _spec(name, shape, dtype, offset=0.0, scale=None):
    """Without a scale: the power of two next to sqrt(3 / fan-in), which keeps the variance."""
    scale = scale or 2.0 ** round(math.log2((3 / shape[-1]) ** 0.5))
    return {"name": name, "shape": shape, "dtype": dtype, "offset": offset, "scale": scale}


def _qwen3_5_tensors(c, nested, fused, dtype, single):
    h, d = c["hidden_size"], c["head_dim"]
    nq, nkv = c["num_attention_heads"], c["num_key_value_heads"]
    kd, vd = c["linear_num_key_heads"] * 128, c["linear_num_value_heads"] * 128
    hv = c["linear_num_value_heads"]
    trunk = "model.language_model." if nested else "model."
    yield _spec(trunk + "embed_tokens.weight", [VOCAB, h], dtype, scale=0.5)
    yield _spec(trunk + "norm.weight", [h], dtype, scale=0.125)
    if not c["tie_word_embeddings"]:
        yield _spec("lm_head.weight", [VOCAB, h], dtype, scale=0.5)
    for i, kind in enumerate(c["layer_types"]):
        base = f"{trunk}layers.{i}."
        yield _spec(base + "input_layernorm.weight", [h], dtype, scale=0.125)
        yield _spec(base + "post_attention_layernorm.weight", [h], dtype, scale=0.125)
        if kind == "full_attention":
            a = base + "self_attn."
            yield _spec(a + "q_proj.weight", [2 * nq * d, h], dtype)
            yield _spec(a + "k_proj.weight", [nkv * d, h], dtype)
            yield _spec(a + "v_proj.weight", [nkv * d, h], dtype)
            yield _spec(a + "o_proj.weight", [h, nq * d], dtype)
            yield _spec(a + "q_norm.weight", [d], dtype, scale=0.5)
            yield _spec(a + "k_norm.weight", [d], dtype, scale=0.5)
        else:
            a = base + "linear_attn."
            yield _spec(a + "in_proj_qkv.weight", [2 * kd + vd, h], dtype)
            yield _spec(a + "in_proj_z.weight", [vd, h], dtype)
            yield _spec(a + "in_proj_b.weight", [hv, h], dtype)
            yield _spec(a + "in_proj_a.weight", [hv, h], dtype)
            yield _spec(a + "conv1d.weight", [2 * kd + vd, 1, 4], dtype, scale=0.5)
            yield _spec(a + "A_log", [hv], single, scale=1.0)
            yield _spec(a + "dt_bias", [hv], dtype, offset=-3.0, scale=2.0)
            yield _spec(a + "norm.weight", [128], single, offset=1.0, scale=0.25)
            yield _spec(a + "out_proj.weight", [h, vd], dtype)
        yield from _ffn(base + "mlp.", c, fused, dtype)


def _ffn(base, c, fused, dtype):
    h = c["hidden_size"]
    if "num_experts" not in c:
        yield from _gated(base, h, c["intermediate_size"], dtype)
        return
    e, i = c["num_experts"], c["moe_intermediate_size"]
    yield _spec(base + "gate.weight", [e, h], dtype)
    yield _spec(base + "shared_expert_gate.weight", [1, h], dtype)
    yield from _gated(base + "shared_expert.", h, c["shared_expert_intermediate_size"], dtype)
    if fused:
        yield _spec(base + "experts.gate_up_proj", [e, 2 * i, h], dtype)
        yield _spec(base + "experts.down_proj", [e, h, i], dtype)
    else:
        for n in range(e):
            yield from _gated(f"{base}experts.{n}.", h, i, dtype)


def _gated(base, h, width, dtype):
    yield _spec(base + "gate_proj.weight", [width, h], dtype)
    yield _spec(base + "up_proj.weight", [width, h], dtype)
    yield _spec(base + "down_proj.weight", [h, width], dtype)


def qwen2(*, nq, nkv, hidden, layers, tied, dtype="BF16", yarn=None):
    """The QwQ architecture: plain norms, biases on q, k and v, rotation over the whole head of 128.

    yarn: the original context; four times as much is then allowed, in the keys that the model card documents.
    """
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dtype": "bfloat16",
        "eos_token_id": 0,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": 320,
        "max_position_embeddings": 4096,
        "max_window_layers": layers,
        "model_type": "qwen2",
        "num_attention_heads": nq,
        "num_hidden_layers": layers,
        "num_key_value_heads": nkv,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": tied,
        "use_sliding_window": False,
        "vocab_size": VOCAB,
    }
    if yarn:
        config["max_position_embeddings"] = 4 * yarn
        config["rope_scaling"] = {"factor": 4.0, "original_max_position_embeddings": yarn, "type": "yarn"}
    return {"config": config, "tensors": list(_qwen2_tensors(config, dtype))}


def _qwen2_tensors(c, dtype):
    h = c["hidden_size"]
    d = h // c["num_attention_heads"]
    yield _spec("model.embed_tokens.weight", [VOCAB, h], dtype, scale=0.5)
    yield _spec("model.norm.weight", [h], dtype, offset=1.0, scale=0.125)
    if not c["tie_word_embeddings"]:
        yield _spec("lm_head.weight", [VOCAB, h], dtype, scale=0.25)
    for i in range(c["num_hidden_layers"]):
        base = f"model.layers.{i}."
        yield _spec(base + "input_layernorm.weight", [h], dtype, offset=1.0, scale=0.125)
        yield _spec(base + "post_attention_layernorm.weight", [h], dtype, offset=1.0, scale=0.125)
        for part, heads in (
            ("q", c["num_attention_heads"]),
            ("k", c["num_key_value_heads"]),
            ("v", c["num_key_value_heads"]),
        ):
            yield _spec(f"{base}self_attn.{part}_proj.weight", [heads * d, h], dtype)
            yield _spec(f"{base}self_attn.{part}_proj.bias", [heads * d], dtype, scale=0.25)
        yield _spec(base + "self_attn.o_proj.weight", [h, h], dtype)
        yield from _gated(base + "mlp.", h, c["intermediate_size"], dtype)


CASES = {
    "dense_r1_tied": qwen3_5(hk=2, hv=2, tied=True),
    "dense_r1_yarn": qwen3_5(hk=1, hv=1, nq=2, nkv=1, tied=True, nested=False, yarn=64),
    "dense_r2_tied_bf16_decay": qwen3_5(hk=2, hv=4, tied=True, single="BF16"),
    "dense_r2_text_only_f32": qwen3_5(hk=2, hv=4, nested=False, dtype="F32"),
    "dense_r3": qwen3_5(hk=2, hv=6, nq=6, nkv=2),
    "dense_r4_two_blocks_f16": qwen3_5(hk=1, hv=4, nq=4, nkv=1, layers=8, hidden=96, dtype="F16"),
    "moe_r1_text_only": qwen3_5(hk=4, hv=4, experts=8, top_k=2, nested=False),
    "moe_r2_per_expert": qwen3_5(hk=2, hv=4, experts=16, top_k=4, fused=False),
    "moe_r3_per_expert_text_only_f32": qwen3_5(hk=1, hv=3, experts=8, top_k=3, nested=False, fused=False, dtype="F32"),
    "moe_r4": qwen3_5(hk=1, hv=4, nq=8, nkv=2, experts=16, top_k=4, hidden=96),
    "qwen2_untied": qwen2(nq=4, nkv=2, hidden=512, layers=3, tied=False),
    "qwen2_tied_f16": qwen2(nq=2, nkv=1, hidden=256, layers=2, tied=True, dtype="F16"),
    "qwen2_yarn": qwen2(nq=4, nkv=2, hidden=512, layers=2, tied=True, yarn=64),
}
