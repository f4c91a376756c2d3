"""The multi-token-prediction head: one gated-attention MoE layer over [embedding of the next token ; trunk hidden].

transformers has no such module, so it is put together here from its own layer classes. The embedding and lm_head of the
trunk are shared. The trunk hidden is the one after the final norm.

    python mtp.py --minutes 6 --state ~/.cache/millrace/tiny-moe.pt
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen3_5MoeForCausalLM
from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe as qwen

import architecture
import fast
from train import Batches, trunk


class MtpHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        config = copy.deepcopy(config)
        config.layer_types = ["full_attention"]

        def norm():
            return qwen.Qwen3_5MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

        self.pre_fc_norm_embedding, self.pre_fc_norm_hidden, self.norm = norm(), norm(), norm()
        self.fc = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.layers = nn.ModuleList([qwen.Qwen3_5MoeDecoderLayer(config, 0)])

    def forward(self, next_embedding, hidden, cos_sin):
        """Embedding of token i+1 and trunk hidden i, both (B, T, H): the hidden that predicts token i+2."""
        fused = torch.cat([self.pre_fc_norm_embedding(next_embedding), self.pre_fc_norm_hidden(hidden)], -1)
        return self.norm(self.layers[0](self.fc(fused), position_embeddings=cos_sin))


def predictions(model, head, ids, hidden):
    """Final hidden of the head for positions 0..T-2."""
    embedding = model.model.embed_tokens(ids[:, 1:])
    positions = torch.arange(ids.shape[1] - 1).expand(3, ids.shape[0], -1)
    return head(embedding, hidden[:, :-1], model.model.rotary_emb(embedding, positions))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument(
        "--state", type=Path, required=True, help="trained trunk; the head is written beside it as *.mtp"
    )
    parser.add_argument("--log", type=Path, default=architecture.FOLDER / "training.jsonl")
    parser.add_argument("--seed", type=int, default=36)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    fast.install()
    config = architecture.text_config()
    model = Qwen3_5MoeForCausalLM(config).float()
    model.load_state_dict(torch.load(args.state)["model"])
    model.eval().requires_grad_(False)
    head = MtpHead(config).float().train()
    architecture.initialise(head, torch.Generator().manual_seed(args.seed))
    batches = Batches(architecture.load_tokenizer(), args.seed, 2048)
    opt = torch.optim.AdamW(head.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
    began, count, right, asked = time.time(), 0, 0, 0
    while (done := (time.time() - began) / (60 * args.minutes)) < 1:
        for group in opt.param_groups:
            group["lr"] = 0.003 * min(1.0, (count + 1) / 30) * min(1.0, 1.3 * (1 - done) + 0.01)
        ids, labels, _ = next(batches)
        with torch.no_grad():
            hidden = trunk(model, ids)
        fast.router_logits.clear()
        out = predictions(model, head, ids, hidden)
        target = labels[:, 1:].reshape(-1)  # labels[i] is token i+1, so this is token i+2
        keep = target >= 0
        logits = model.lm_head(out.reshape(-1, out.shape[-1])[keep])
        loss = F.cross_entropy(logits, target[keep]) + 0.01 * fast.balance_loss(config.num_experts)
        loss.backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        count += 1
        right += (logits.argmax(-1) == target[keep]).sum().item()
        asked += int(keep.sum())
        if count % 50 == 0:
            line = {"mtp_step": count, "loss": round(loss.item(), 4), "accuracy": round(right / asked, 4)}
            with args.log.open("a") as log:
                log.write(json.dumps(line) + "\n")
            right = asked = 0
    torch.save(head.state_dict(), str(args.state) + ".mtp")


if __name__ == "__main__":
    main()
