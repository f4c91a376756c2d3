"""Texts of the tokenizer vectors."""

import random

WORDS = [
    "", "a", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", "\t\t", " \n", "\n ", " \n ", "\t\n  \n", "a\n", "a \n", "a  \n b",
    "Hello, world!", "Hello,world", " hello", "  hello", "   hello", "hello ", "hello  ", "hello   world", "\nhello", "\n hello", "\n  hello",
    "HELLO Hello hELLO", "What is 347 + 285?", "1", "12", "123", " 1", "  12", "a1b22c333", "3.14159", "1,000,000", "-5", "1e-7", "x=1;y=2",
    "I'm you're he's we'll they've I'd can't", "I'M YOU'RE HE'S WE'LL THEY'VE I'D CAN'T", "'s", "'S", "''s", "'x", "it's's", "o'clock 'til", "’s it’s",
    "rock'n'roll 'lla 'vex 'red", "a'", "'", "\"'", "don't\n'll",
    "!", "!!", "! !", "!\n", "!\n\n", "! \n", "?!?\n\r\n x", "...", "a...b", " ...", "  ...", "(a)", "(a) [b] {c}", "a/b\\c|d", "@user #tag $5 100%", "--flag=value",
    "https://example.org/a?b=c&d=e#f", "user@example.org", "C:\\dir\\file.txt", "/usr/bin/env", "snake_case camelCase kebab-case SCREAMING_CASE",
    "def f(x):\n    return x + 1\n", "for (int i = 0; i < 10; ++i) {\n\tsum += a[i];\n}\n", '{"a": [1, 2, {"b": null}], "c": "d\\n"}', "<a href=\"x\">y</a>", "SELECT * FROM t WHERE a >= 1;",
    "```python\nprint('hi')\n```", "| a | b |\n|---|---|\n| 1 | 2 |", "- one\n- two\n  - three", "# Title\n\nText.", "a\u00a0b", "a\u2003b", "a\u3000b", "a\u200bb", "a\u2028b\u2029c", "\u0085", "\u00a0\u00a0", " \u00a0x",
]
MARKS = [
    "é", "e\u0301", "cafe\u0301", "café", "e\u0301\u0323", "e\u0323\u0301", "a\u0308o\u0308u\u0308", "A\u030a", "\u212b", "\u2126", "ﬁ", "①②③", "½", "x²", "\u0301", "\u0301a", " \u0301", " \u0301a", "1\u0301", "!\u0301", "!\u0301!",
    "a\u0301\u0302\u0303\u0304b", "q\u0307\u0323", "\u1e9b\u0323", "\uac00", "\u1100\u1161\u11a8", "한국어", "각\u11a8",
    "हिन्दी में नमस्ते", "বাংলা", "தமிழ்", "ไทยภาษา", "ລາວ", "မြန်မာ", "ខ្មែរ", "עִבְרִית", "العَرَبِيَّة", "فارسی", "ქართული", "Ελληνικά", "Русский й и\u0306", "Việt Nam", "Vie\u0323\u0302t",
    "日本語のテキスト", "が か\u3099", "中文，测试。", "中文 English 混合 text 123", "繁體中文「引號」", "𠮷野家", "٣٤٥", "१२३", "Ⅳ", "二〇二六", "𝟙𝟚",
    "🙂", "🙂🙂", "a🙂b", " 🙂", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪🇫🇷", "❤️", "☀\ufe0f", "1️⃣", "™®©", "←→", "∑∫√", "…", "“quoted”", "«guillemets»", "–—", "\ufeff", "\ufffd", "\x00", "\x01\x7f", "a\x00b", "\u00ad", "ſ 'ſ", "İıß", "ǅ",
]
SPECIALS = [
    "<|im_start|>user\nHello, how are you?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|im_start|>assistant\n<think>\nhm\n</think>\n\n<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call><|im_end|>",
    "<|endoftext|>", "a<|endoftext|>b", " <|im_end|> ", "<|im_end|><|im_end|>", "<|im_end|", "<|im_end |>", "<<|im_end|>>", "<think>", "<think >", "</think>x", "<tool_response>\nok\n</tool_response>",
    "<|vision_start|><|image_pad|><|vision_end|>", "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "e<|im_end|>\u0301", "e\u0301<think>e\u0301", "<|IM_END|>", "<tool_call><tool_call>",
    "<tools>\n{\"type\": \"function\"}\n</tools>", " millrace", "unreachable", "zqx", "  zqx", "éèà", "qqqqqqqq",
]


def noise():
    """Random mixtures that no one would think of."""
    rng = random.Random(20)
    pool = list("aZ09 \n\r\t'!.,é\u0301中🙂\u00a0\u0940١_s") + ["  ", "\n\n", "'s", "ll", " the", "<think>", "e\u0301"]
    return ["".join(rng.choices(pool, k=rng.randint(3, 40))) for _ in range(40)]


TEXTS = WORDS + MARKS + SPECIALS + noise()
