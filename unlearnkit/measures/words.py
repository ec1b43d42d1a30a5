"""Words of any script, for ROUGE: `rouge_score`'s own tokenizer drops every letter that is not ASCII."""

from __future__ import annotations

import unicodedata
from itertools import groupby

from nltk.stem.porter import PorterStemmer
from rouge_score.tokenizers import Tokenizer

from unlearnkit.measures.scripts import split


class Words(Tokenizer):
    """Letters and digits of any script, in lower case; ASCII words longer than three letters are stemmed (Porter).

    On ASCII text it is `rouge_score.tokenizers.DefaultTokenizer(use_stemmer=True)`.
    """

    def __init__(self) -> None:
        self.stemmer = PorterStemmer()

    def tokenize(self, text: str) -> list[str]:
        """The words of a text; where a script has no spaces, each letter with its marks is one."""
        text = unicodedata.normalize("NFC", text.lower())
        runs = groupby(text, key=lambda letter: unicodedata.category(letter)[0] in "LMN")
        tokens = [word for written, run in runs if written for word in split("".join(run))]
        return [self.stemmer.stem(word) if len(word) > 3 and word.isascii() else word for word in tokens]
