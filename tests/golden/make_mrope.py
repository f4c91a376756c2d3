"""Runs transformers' Qwen3.5 rotary embedding, and one golden case, with tokens whose three positions differ.

python make_mrope.py        writes mrope.json; see README.md
"""

import json
import zlib

import torch
import transformers

from cases import CASES
from make_goldens import FOLDER, build, compact, prompts

CASE = "dense_r1_tied"
FAR = [(0, 0, 0), (1, 2, 3), (3, 1, 2), (17, 400, 9), (1000, 3, 50), (7, 2222, 31), (40, 5, 4000), (4095, 4094, 4093)]


def image_positions(before, rows, columns, after):
    """Text, an image of rows x columns, text: positions as Qwen3.5 gives them to its rotary embedding."""
    out = [(i, i, i) for i in range(before)]
    out += [(before, before + r, before + c) for r in range(rows) for c in range(columns)]
    start = before + max(rows, columns)
    return out + [(start + i,) * 3 for i in range(after)]


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.flatten().tolist()]


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    seed = zlib.crc32(CASE.encode())
    model = build(CASES[CASE], seed)
    cos, sin = model.model.rotary_emb(torch.zeros(1), torch.tensor(FAR).T[:, None])
    positions = image_positions(7, 4, 5, 10)
    tokens = prompts(seed)[1]
    out = model(torch.tensor([tokens]), position_ids=torch.tensor(positions).T[:, None])
    half = cos.shape[-1] // 2
    header = {
        "rotary": {"positions": FAR, "cos": numbers(cos[0, :, :half]), "sin": numbers(sin[0, :, :half])},
        "model": {
            "case": CASE,
            "tokens": tokens,
            "positions": positions,
            "logits_of_last": 4,
            "logits": numbers(out.logits[0, -4:]),
        },
    }
    (FOLDER / "mrope.json").write_text(compact(header))


if __name__ == "__main__":
    main()
