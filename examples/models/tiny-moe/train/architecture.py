"""tiny-moe's shape, as config.json carries it and as transformers builds it."""

import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen3_5MoeTextConfig

FOLDER = Path(__file__).resolve().parent.parent


def round_up(value, multiple):
    return -(-value // multiple) * multiple


def full_config(tokenizer):
    """config.json: the wrapper of the family around the text model. There is no vision tower."""
    id_of = tokenizer.convert_tokens_to_ids
    text = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_output_gate": True,
        "dtype": "bfloat16",
        "eos_token_id": id_of("<|endoftext|>"),
        "full_attention_interval": 4,
        "head_dim": 256,
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_num_key_heads": 4,
        "linear_num_value_heads": 4,
        "linear_value_head_dim": 128,
        "mamba_ssm_dtype": "float32",
        "max_position_embeddings": 4096,
        "mlp_only_layers": [],
        "model_type": "qwen3_5_moe_text",
        "moe_intermediate_size": 64,
        "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False,
        "num_attention_heads": 4,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "router_aux_loss_coef": 0.001,
        "shared_expert_intermediate_size": 64,
        "tie_word_embeddings": False,
        "use_cache": True,
        # Whole rows of 64, and at least one row that no token uses, as in the released checkpoints.
        "vocab_size": round_up(len(tokenizer) + 1, 64),
        "rope_parameters": {
            "mrope_interleaved": True,
            "mrope_section": [11, 11, 10],
            "partial_rotary_factor": 0.25,
            "rope_theta": 10000000,
            "rope_type": "default",
        },
    }
    return {
        "architectures": ["Qwen3_5MoeForConditionalGeneration"],
        "image_token_id": id_of("<|image_pad|>"),
        "model_type": "qwen3_5_moe",
        "text_config": text,
        "tie_word_embeddings": False,
        "video_token_id": id_of("<|video_pad|>"),
        "vision_end_token_id": id_of("<|vision_end|>"),
        "vision_start_token_id": id_of("<|vision_start|>"),
    }


def load_tokenizer(folder=FOLDER):
    return AutoTokenizer.from_pretrained(folder)


def text_config(folder=FOLDER):
    config = Qwen3_5MoeTextConfig(**json.loads((Path(folder) / "config.json").read_text())["text_config"])
    config._attn_implementation = "sdpa"
    return config


def initialise(model, generator):
    """Small normal weights; decays of 10 to 1000 tokens, so that recall over the prompt is there from the start."""
    for name, p in model.named_parameters():
        with torch.no_grad():
            if name.endswith("A_log"):
                p.copy_(torch.log(torch.empty_like(p).uniform_(0.5, 2.0, generator=generator)))
            elif name.endswith("dt_bias"):
                step = torch.exp(torch.empty_like(p).uniform_(-6.9, -2.3, generator=generator))
                p.copy_(step + torch.log(-torch.expm1(-step)))  # inverse of softplus
            elif name.endswith("linear_attn.norm.weight"):
                p.fill_(1.0)
            elif p.dim() == 1:
                p.zero_()
            elif "embed_tokens" in name:
                p.normal_(0.0, 0.3, generator=generator)
            elif "lm_head" in name or name.endswith(("mlp.gate.weight", "shared_expert_gate.weight")):
                p.normal_(0.0, 0.02, generator=generator)
            elif "conv1d" in name:
                p.uniform_(-0.5, 0.5, generator=generator)
            else:
                p.normal_(0.0, 0.6 * p.shape[-1] ** -0.5, generator=generator)
