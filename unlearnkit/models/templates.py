"""How a question is put to a model: its chat template, or plain text around it."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Template:
    """Plain text when `text` is given (with the field {prompt}), else the tokenizer's own chat template.

    Args:
        text: for base models, such as "### Question: {prompt}\\n ### Answer:" (Liu et al. 2024).
        separator: stands between prompt and response; a space in plain text.
        system: a system message for the chat template.
        closed: a response is followed by the end-of-sequence token; not so where prompts are completed.
    """

    text: str | None = None
    separator: str = ""
    system: str | None = None
    closed: bool = True

    def prompt(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
        """The text up to where the response begins."""
        if self.text is not None:
            return self.text.format(prompt=prompt)
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages.append({"role": "user", "content": prompt})
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def encode_prompt(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
        """Token ids of the prompt; a chat template writes its own special tokens, plain text gets them added."""
        return self._ids(tokenizer, self.prompt(tokenizer, prompt))

    def encode(self, tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> tuple[list[int], list[int]]:
        """Token ids of the prompt, and of the response with the end-of-sequence token that closes it.

        The two are tokenised as one text and parted where the prompt's own tokens end, so that training sees
        the tokens that generation will produce. Without a prompt the response is plain text: it stands after the
        start token, bare of any template, and is not closed, for a paragraph's end is seldom its text's.
        """
        if not prompt:
            start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
            return [start], list(tokenizer(response, add_special_tokens=False)["input_ids"])
        text = self.prompt(tokenizer, prompt)
        alone = self._ids(tokenizer, text)
        whole = self._ids(tokenizer, text + self.separator + response)
        shared = 0
        while shared < min(len(alone), len(whole)) and alone[shared] == whole[shared]:
            shared += 1
        return whole[:shared], whole[shared:] + [tokenizer.eos_token_id] * self.closed

    def _ids(self, tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
        ids = tokenizer(text, add_special_tokens=self.text is not None)["input_ids"]
        # Some tokenizers add an end token of their own to plain text.
        adds_end = self.text is not None and ids[-1:] == [tokenizer.eos_token_id]
        return ids[:-1] if adds_end else ids
