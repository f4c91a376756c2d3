"""Trains tiny-moe's byte-level BPE on its own tasks and writes tokenizer.json and tokenizer_config.json.

Same structure as the family's tokenizer: NFC, the family's split pattern, byte-level BPE, the 26 added tokens in the
family's order directly after the base vocabulary, and a few base entries that no merge produces.
"""

import json
import random
import re
import string
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tasks
from chat import load_template, render

FOLDER = Path(__file__).resolve().parent.parent
TRAINED_ENTRIES = 1216
UNREACHABLE = ["Ġmillrace", "Ġunreachable", "zqx", "ĠĠzqx", "éèà", "qqqqqqqq"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>"
).split()
ORDINARY = (
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()


def corpus(template):
    """Every text of the tasks except random letter strings, so that no merge joins two capital letters."""
    rng = random.Random(7)
    sampler = tasks.Sampler(rng, want_held_out=False, level=1.0)
    for draw, count in (("add", 300), ("sub", 300), ("lookup", 150), ("tool", 60), ("tool_result", 60), ("chat", 300)):
        for _ in range(count):
            example = getattr(sampler, draw)(True)
            text = render(template, example["messages"], example["tools"])
            text += f"{example['reasoning']}\n</think>\n\n{example['answer']}"
            yield re.sub(r"[A-Z]{2,}", lambda m: m.group().lower(), text)
    for phrase in tasks.REVERSE + tasks.SORT:
        yield from [phrase.replace("{}", "")] * 40
    yield from ["".join(f"\n{c},{c}<" for c in string.ascii_uppercase)] * 3


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    added = re.compile("|".join(re.escape(t) for t in SPECIAL + ORDINARY))
    template = load_template(FOLDER / "chat_template.jinja")
    texts = [part for text in corpus(template) for part in added.split(text) if part]
    trainer = trainers.BpeTrainer(
        vocab_size=TRAINED_ENTRIES,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)

    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    for entry in UNREACHABLE:
        assert entry not in vocab
        vocab[entry] = len(vocab)
    data["model"]["ignore_merges"] = False
    tokenizer = Tokenizer.from_str(json.dumps(data))
    for content in SPECIAL + ORDINARY:
        token = AddedToken(
            content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=content in SPECIAL
        )
        (tokenizer.add_special_tokens if content in SPECIAL else tokenizer.add_tokens)([token])
    tokenizer.save(str(FOLDER / "tokenizer.json"))

    id_of = tokenizer.token_to_id
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(id_of(t)): {
                "content": t,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": t in SPECIAL,
            }
            for t in SPECIAL + ORDINARY
        },
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    print("base", id_of("<|endoftext|>"), "total", tokenizer.get_vocab_size(), file=sys.stderr)


if __name__ == "__main__":
    main()
