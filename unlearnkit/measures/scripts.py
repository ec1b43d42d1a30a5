"""Where a word ends, in any script."""

from __future__ import annotations

import unicodedata

UNSPACED = (  # scripts without spaces between words, by the first and last letter of their blocks
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao; Myanmar; Khmer
    *((0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),  # signs of repetition, kana
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),  # Han
)


def split(run: str) -> list[str]:
    """A run of letters, cut before and after each letter of an unspaced script."""
    parts: list[str] = []
    alone = True  # the last word takes no further letter
    for letter in run:
        mark, single = unicodedata.category(letter)[0] == "M", unspaced(letter)
        if parts and (mark or not (alone or single)):
            parts[-1] += letter
        else:
            parts.append(letter)
            alone = single
    return parts


def unspaced(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in UNSPACED)
