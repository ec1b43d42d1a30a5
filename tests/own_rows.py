"""Files of rows as people have them, for the tests of `data=files`."""

import json

from unlearnkit.data.files import load

PAIRS = [(f"What is thing {n}?", f"Thing {n} is blue.") for n in range(10)]


def jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


def pairs(path, count=10, word="thing", **more):
    return jsonl(path, [{"prompt": f"What is {word} {n}?", "response": f"It is {n}.", **more} for n in range(count)])


def read(source, **settings):
    return [(row.prompt, row.response) for row in load(forget=str(source), **settings).streams["forget"]]


def chat(prompt, response, system=None):
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
