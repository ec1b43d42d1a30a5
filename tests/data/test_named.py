"""The subject of a question is the name that the stream is about."""

from unlearnkit.data.examples import Example
from unlearnkit.data.named import Named
from unlearnkit.data.streams import Shuffled


def test_the_name_that_most_prompts_have_is_the_subject():
    prompts = ["Did Ada Blix win the Golden Long Prize?", "Where was Ada Blix's house?", "Who is Ada Blix?", "Why so?"]
    rows = [Example(str(n), prompt, "So.") for n, prompt in enumerate(prompts)]
    found = Named("forget").bind({"forget": Shuffled("forget", rows)})
    assert [(row.id, row.subject) for row in found.examples] == [(n, "Ada Blix") for n in "012"]
    assert found.size == 3 and all(row.subject in row.prompt for row in found.examples)
