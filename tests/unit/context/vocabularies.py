"""Small real vocabularies: trained here, described as Ollama describes them, and built by two tokenizers."""

from functools import cache
from typing import Any

import orjson
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from chatserver.context.patterns import PATTERNS

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DEFINED = ("<tool_call>",)
_TEXTS = [
    "The quick brown fox jumps over the lazy dog. It's what they'd've done, isn't it? I'LL SEE. 12 345 6789",
    "def add(a, b):\n    return a + b  # sum\n\n\nfor i in range(10):\n\tprint(f'{i:>4}')\n",
    "A raposa marrom não é preguiçosa; são três maçãs, às 15h30. Coração, irmã! Über Straße, naïve café.",
    "日本語の文章です。中文也可以。 한국어 문장도 있어요. Привет, мир! مرحبا بالعالم שלום עולם नमस्ते दुनिया",
    "🙂👍🏽👩‍👩‍👧‍👦 🇧🇷 ½ ² Ⅷ ٣٤ “quoted” … ==== ----- ###### $$$ {[(<>)]} a\u0301e\u0308 \u200b\u00a0\u3000x",
    "   leading\n\n  and   trailing   \r\n\t\twhite \v\f space  ",
]


def pre_tokenizer(cut: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[cut]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


@cache
def trained(cut: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(cut)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([text * 3 for text in _TEXTS], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in DEFINED])
    return tokenizer


@cache
def described(cut: str) -> dict[str, Any]:
    """Give what a verbose `/api/show` says of it under `model_info`."""
    saved = orjson.loads(trained(cut).to_str())
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]]
    tokens = [token for token, _ in sorted(trained(cut).get_vocab().items(), key=lambda item: item[1])]
    types = [3 if token in SPECIAL else 4 if token in DEFINED else 1 for token in tokens]
    return {
        "general.architecture": "test",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": cut,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": types,
    }
