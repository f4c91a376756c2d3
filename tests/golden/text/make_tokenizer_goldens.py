"""Ids of the `tokenizers` package for texts.py: tokenizer_tiny_moe.json and tokenizer_qwen2.json. See README.md."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from texts import TEXTS

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
TINY = ROOT / "examples/models/tiny-moe/tokenizer.json"
QWEN2 = ROOT.parent / "shared/data/tokenizer"


def qwen2_vocabulary(split):
    """The Qwen2 vocabulary under the split pattern of Qwen3.5, without added tokens."""
    tokenizer = Tokenizer(models.BPE.from_file(str(QWEN2 / "qwen2-vocab.json"), str(QWEN2 / "qwen2-merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(split), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def vectors(tokenizer):
    return [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in TEXTS]


def decodings(tokenizer):
    """Ids to text, with ids that split characters, break them, or no encoder would emit."""

    def encode(text):
        return tokenizer.encode(text).ids

    special, smile = encode("a<|im_end|>b<think>c"), encode("🙂")
    unreachable = [tokenizer.token_to_id(t) for t in ("zqx", "Ġmillrace", "éèà")]
    lists = [[], special, smile, smile[:1], smile[:2], smile[:3], smile[1:], smile[:2] + encode("x"), smile[:3] + smile]
    lists += [smile[3:] * 3, encode("é")[:1] + encode("\n"), unreachable, encode("中")[:2] + special]
    return [
        {
            "ids": ids,
            "text": tokenizer.decode(ids, skip_special_tokens=False),
            "text_skip_special": tokenizer.decode(ids),
        }
        for ids in lists
    ]


def write(name, value):
    lines = ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(v, ensure_ascii=True) for v in rows) + "\n]"
        for key, rows in value.items()
    )
    (FOLDER / name).write_text("{\n" + lines + "\n}\n")
    print(name, {key: len(rows) for key, rows in value.items()})


def main():
    tiny = Tokenizer.from_file(str(TINY))
    write("tokenizer_tiny_moe.json", {"encode": vectors(tiny), "decode": decodings(tiny)})
    split = json.loads(TINY.read_text())["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    write("tokenizer_qwen2.json", {"encode": vectors(qwen2_vocabulary(split))})


if __name__ == "__main__":
    main()
