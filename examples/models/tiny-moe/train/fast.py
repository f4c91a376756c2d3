"""The same mathematics as transformers' Qwen3.5 MoE modules, arranged for training on one CPU core.

`install()` replaces three forward methods; `check()` proves them equal to the originals on random data.
"""

import torch
import torch.nn.functional as F
from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe as qwen

LONGEST_CHUNK = 128
router_logits = []  # filled by every forward pass of a MoE block while training; the caller empties it

_slow_gdn = qwen.Qwen3_5MoeGatedDeltaNet.forward
_slow_moe = qwen.Qwen3_5MoeSparseMoeBlock.forward
_slow_norm = qwen.Qwen3_5MoeRMSNorm.forward


torch._dynamo.config.specialize_int = True
torch._dynamo.config.recompile_limit = 64


def _fused(function):
    """Chains of elementwise operations are bound by memory; compiled they read and write each tensor once."""
    return torch.compile(function, dynamic=True)


def _convolve(mixed, taps, length):
    c = mixed[:, :length] * taps[0] + mixed[:, 1 : 1 + length] * taps[1]
    return c + mixed[:, 2 : 2 + length] * taps[2] + mixed[:, 3 : 3 + length] * taps[3]


@_fused
def _heads(mixed, taps, key_heads: int):
    length = mixed.shape[1] - 3
    c = F.silu(_convolve(mixed, taps, length)).view(mixed.shape[0], length, -1, 128)
    qk = c[:, :, : 2 * key_heads]
    qk = qk * torch.rsqrt((qk * qk).sum(-1, keepdim=True) + 1e-6)
    q, k, v = qk[:, :, :key_heads] * 128**-0.5, qk[:, :, key_heads:], c[:, :, 2 * key_heads :]
    return q.transpose(1, 2).contiguous(), k.transpose(1, 2).contiguous(), v.transpose(1, 2).contiguous()


@_fused
def _heads_backward(mixed, taps, dq, dk, dv):
    """Gradient of the convolution's output before SiLU."""
    length = mixed.shape[1] - 3
    pre = _convolve(mixed, taps, length)
    gate = torch.sigmoid(pre)
    x = (pre * gate).view(mixed.shape[0], length, -1, 128)[:, :, : dq.shape[1] + dk.shape[1]]
    dy = torch.cat([dq * 128**-0.5, dk], 1).transpose(1, 2)
    r = torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
    dx = r * dy - x * (r * r * r * (x * dy).sum(-1, keepdim=True))
    dc = torch.cat([dx, dv.transpose(1, 2)], 2).reshape(pre.shape)
    return dc * (gate * (1 + pre * (1 - gate)))


class _ConvAndHeads(torch.autograd.Function):
    """By hand, because the reduction to the gradient of the taps is slow when it is compiled with the rest."""

    @staticmethod
    def forward(ctx, mixed, taps, key_heads):
        ctx.save_for_backward(mixed, taps)
        return _heads(mixed, taps, key_heads)

    @staticmethod
    def backward(ctx, dq, dk, dv):
        mixed, taps = ctx.saved_tensors
        dpre = _heads_backward(mixed, taps, dq.contiguous(), dk.contiguous(), dv.contiguous())
        length = dpre.shape[1]
        dmixed = torch.zeros_like(mixed)
        dtaps = torch.empty_like(taps)
        for j in range(4):
            dmixed[:, j : j + length].addcmul_(dpre, taps[j])
            dtaps[j] = (dpre * mixed[:, j : j + length]).sum((0, 1))
        return dmixed, dtaps, None


def conv_and_heads(mixed, taps, key_heads):
    """Causal convolution, SiLU, split into heads (B, heads, T, 128), L2 norm of q and k, scale of q."""
    return _ConvAndHeads.apply(mixed, taps, key_heads)


@_fused
def gated_norm(x, z, weight, eps: float):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * weight * F.silu(z)


@_fused
def zero_centred_norm(x, weight, eps: float):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * (1.0 + weight)


@_fused
def swiglu(both):
    gate, up = both.chunk(2, -1)
    return F.silu(gate) * up


def delta_rule(q, k, v, g, beta):
    """Chunked gated delta rule from a zero state. q, k, v (B, Hd, T, 128), g and beta (B, Hd, T)."""
    length = q.shape[2]
    chunks = -(-length // LONGEST_CHUNK)
    size = -(-length // chunks)
    if pad := size * chunks - length:
        q, k, v = (F.pad(x, (0, 0, 0, pad)) for x in (q, k, v))
        g, beta = (F.pad(x, (0, pad)) for x in (g, beta))
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    outputs, state = [], None
    for i in range(chunks):
        part = slice(i * size, (i + 1) * size)
        qc, kc, vc, bc = q[:, :, part], k[:, :, part], v[:, :, part], beta[:, :, part, None]
        cum = g[:, :, part].cumsum(-1)
        decay = (cum[..., :, None] - cum[..., None, :]).masked_fill(~causal, float("-inf")).exp()
        system = ((bc * kc) @ kc.transpose(-1, -2)) * decay
        into = cum.exp()[..., None]
        right = bc * vc
        if state is not None:
            right = right - (bc * into * kc) @ state
        new = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
        out = ((qc @ kc.transpose(-1, -2)) * decay) @ new
        if state is not None:
            out = out + (qc * into) @ state
        outputs.append(out)
        if i + 1 < chunks:
            last = cum[..., -1:]
            write = (kc * (last - cum).exp()[..., None]).transpose(-1, -2) @ new
            state = write if state is None else state * last.exp()[..., None] + write
    return torch.cat(outputs, 2)[:, :, :length]


def gdn_forward(self, hidden_states, cache_params=None, attention_mask=None, **kwargs):
    if cache_params is not None:
        return _slow_gdn(self, hidden_states, cache_params, attention_mask, **kwargs)
    batch, length, _ = hidden_states.shape
    mixed = F.pad(self.in_proj_qkv(hidden_states), (0, 0, 3, 0))
    q, k, v = conv_and_heads(mixed, self.conv1d.weight[:, 0].t().contiguous(), self.num_k_heads)
    if self.num_v_heads != self.num_k_heads:
        q, k = (x.repeat_interleave(self.num_v_heads // self.num_k_heads, 1) for x in (q, k))
    beta = self.in_proj_b(hidden_states).sigmoid().transpose(1, 2)
    g = (-self.A_log.exp() * F.softplus(self.in_proj_a(hidden_states) + self.dt_bias)).transpose(1, 2)
    out = delta_rule(q, k, v, g, beta).transpose(1, 2)
    z = self.in_proj_z(hidden_states).view(batch, length, -1, 128)
    out = gated_norm(out.contiguous(), z, self.norm.weight, self.norm.variance_epsilon)
    return self.out_proj(out.reshape(batch, length, -1))


def norm_forward(self, x):
    return zero_centred_norm(x, self.weight, self.eps)


def moe_forward(self, hidden_states):
    x = hidden_states.reshape(-1, hidden_states.shape[-1])
    logits, weights, chosen = self.gate(x)
    if self.training:
        router_logits.append((logits, chosen))
    k = chosen.shape[1]
    order = chosen.reshape(-1).argsort()
    counts = chosen.reshape(-1).bincount(minlength=self.gate.num_experts).tolist()
    rows = order // k
    up = torch.cat([F.linear(p, w) for p, w in zip(x[rows].split(counts), self.experts.gate_up_proj)])
    down = [F.linear(p, w) for p, w in zip(swiglu(up).split(counts), self.experts.down_proj)]
    routed = torch.cat(down) * weights.reshape(-1)[order, None]
    out = torch.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)
    return out.index_add(0, rows, routed).view_as(hidden_states)


def install():
    qwen.Qwen3_5MoeGatedDeltaNet.forward = gdn_forward
    qwen.Qwen3_5MoeSparseMoeBlock.forward = moe_forward
    qwen.Qwen3_5MoeRMSNorm.forward = norm_forward


def balance_loss(num_experts):
    """Mean over layers of the switch-transformer balance loss; 1 when every expert gets the same share."""
    total = 0.0
    for logits, chosen in router_logits:
        share = torch.zeros(num_experts).index_add(0, chosen.reshape(-1), torch.ones(chosen.numel())) / chosen.numel()
        total = total + num_experts * (share * logits.softmax(-1).mean(0)).sum()
    count = len(router_logits)
    router_logits.clear()
    return total / count


def check(model):
    """Largest difference of logits between transformers' own modules and these; the model is left untouched."""
    ids = torch.randint(0, 1000, (2, 300), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fast = model(ids, use_cache=False).logits
        qwen.Qwen3_5MoeGatedDeltaNet.forward, qwen.Qwen3_5MoeSparseMoeBlock.forward = _slow_gdn, _slow_moe
        qwen.Qwen3_5MoeRMSNorm.forward = _slow_norm
        slow = model(ids, use_cache=False).logits
    install()
    router_logits.clear()
    return (fast - slow).abs().max().item(), slow.abs().max().item()
