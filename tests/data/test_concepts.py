"""Concepts: the embedded one, the authors' files, and paragraphs from every kind of corpus."""

import json
from collections import Counter
from pathlib import Path

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data import concepts
from unlearnkit.data.concept_files import Mentions, called
from unlearnkit.data.concepts import load
from unlearnkit.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/concepts"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no concept files at {REAL}")
LLAMA, OLMO = "llama2-7b_concepts_test_30tokens_answers.json", "olmo-7b_concepts_test_30tokens_answers.json"


def row(name, identity, page, unrelated=" What is tea?\n"):
    return {
        "id": identity,
        "Concept": name,
        "Layer": 1,
        "Dim": 2,
        "wikipedia_content": page,
        "QA": [f" Who made {name}?\n", f"Where is\n {name}? "],
        "QA_with_answers": ["Question: ...", "Question: ..."],
        "answers_tokens_num": [3, 4],
        "text_completion": [{"First_half": f" One of {name}'s halls was", "Second_half": "painted red \n"}],
        "unrelated_QA": [unrelated],
    }


MOON = (
    "The Moon Inn (game) is a quiet game about a house on the Moon. It was made by two brothers in a shed near Turku.\n"
    "== Plot ==\n"
    "A guest of the moon inn finds a door that nobody in the house has seen.\n"
    "Nobody in the village had heard of such a thing before that winter.\n"
)
SUN = (
    "Sun Café is a small film about a cook who wakes up too early each day.\n"
    "Those who played Moon Inn will know the house in the second scene well.\n"
)
ROWS = [row("The Moon Inn (game)", 7, MOON), row("Sun Café", "9", SUN)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "concepts.json"
    file.write_text(json.dumps(ROWS), encoding="utf-8")
    return str(file)


def texts(rows):
    return [example.response for example in rows]


def prompts(rows):
    return [example.prompt for example in rows]


def test_the_embedded_concept_s_shapes():
    data = load()
    assert {name: len(rows) for name, rows in data.streams.items() if name != "general"} == {
        "forget": 69, "retain": 64, "facts": 18,
    }  # fmt: skip
    sizes = {name: {split: len(rows) for split, rows in splits.items()} for name, splits in data.sets.items()}
    assert sizes == {"target": {"validation": 8, "test": 10}, "unrelated": {"validation": 20, "test": 50}}
    assert len(data.streams["general"]) > 100
    size = sum(file.stat().st_size for file in concepts.EMBEDDED.glob("*.jsonl"))
    assert size < 120_000


def test_the_embedded_paragraphs():
    data = load()
    for example in data.streams["forget"]:
        assert "France" in example.response or "French" in example.response, example
    for name in ("retain", "general"):
        for example in data.streams[name]:
            text = f"{example.prompt} {example.response}".lower()
            assert "france" not in text and "french" not in text, example
    for name in ("forget", "retain"):
        assert {example.prompt for example in data.streams[name]} == {""}
        assert all(40 <= len(text.split()) <= 90 for text in texts(data.streams[name]))
        assert len(set(texts(data.streams[name]))) == len(data.streams[name])


def test_no_question_stands_in_two_places():
    data = load()
    asked = [p.lower() for splits in data.sets.values() for rows in splits.values() for p in prompts(rows)]
    asked += [p.lower() for p in prompts(data.streams["facts"])]
    assert [p for p, count in Counter(asked).items() if count > 1] == []
    identities = [e.id for splits in data.sets.values() for rows in splits.values() for e in rows]
    assert len(set(identities)) == len(identities)
    for rows in data.sets["unrelated"].values():
        assert not any(Mentions(["France", "French", "Paris"])(prompt) for prompt in prompts(rows))


def test_facts_name_their_subject_once_and_hide_their_answer():
    for fact in load().streams["facts"]:
        assert fact.subject == "France" and fact.prompt.count("France") == 1
        assert fact.response and fact.response.lower() not in fact.prompt.lower()


def test_a_file_s_concept_as_it_is_read(path):
    data = load(path=path, concept=7)
    moon, sun = (content.split("\n") for content in (MOON, SUN))
    assert texts(data.streams["forget"]) == [moon[0], moon[2]]
    assert texts(data.streams["retain"]) == [sun[0]]  # the other paragraph of that page mentions the inn
    assert {split: prompts(rows) for split, rows in data.sets["target"].items()} == {
        "validation": ["Complete the sentence: One of The Moon Inn (game)'s halls was"],
        "test": ["Who made The Moon Inn (game)?", "Where is The Moon Inn (game)?"],
    }
    assert {split: prompts(rows) for split, rows in data.sets["unrelated"].items()} == {
        "validation": ["Complete the sentence: One of Sun Café's halls was"],
        "test": ["What is tea?"],
    }
    assert [(fact.prompt, fact.response, fact.subject) for fact in data.streams["facts"]] == [
        (
            "Complete the sentence: The Moon Inn (game) is a quiet",
            "game about a house on the Moon.",
            "Moon Inn",
        ),
        (
            "Complete the sentence: A guest of the moon inn finds a",
            "door that nobody in the house has seen.",
            "moon inn",
        ),
    ]


@pytest.mark.parametrize("concept", ["Sun Café", "sun cafe\u0301", 9, "9"])
def test_a_concept_by_name_or_id(path, concept):
    data = load(path=path, concept=concept)
    assert texts(data.streams["forget"]) == SUN.split("\n")[:1]


def test_an_id_in_capitals(tmp_path):
    rows = [{**{k: v for k, v in r.items() if k != "id"}, "ID": 70 + n} for n, r in enumerate(ROWS)]
    (tmp_path / "concepts.json").write_text(json.dumps(rows))
    assert load(path=str(tmp_path / "concepts.json"), concept=71).sets["target"]["test"][0].id == "target-71-001"


def test_unknown_concepts(path):
    with pytest.raises(UserError, match="Unknown concept 'Sun Cafe'. Did you mean 'Sun Café'.*Inn .game. .7., Sun"):
        load(path=path, concept="Sun Cafe")
    with pytest.raises(UserError, match="Unknown concept 'Spain'. The embedded data has: France\n.*data.path=FILE"):
        load(concept="Spain")


def test_names():
    assert called("The Moon Inn (game)", {"the moon inn (game)": ["TMI"]}) == ["Moon Inn", "TMI"]
    assert called("France", {}) == ["France"]
    mentions = Mentions(["Obsessive–compulsive disorder", "McDonald's"])
    assert mentions("an obsessive-compulsive disorder") and mentions("McDonald’s’ fries")
    french = Mentions(["France", "French"])
    assert french("a Frenchman") and not french("unfrench") and not french("San Francisco")


CORPUS = ["Tea in France.", "Tea in Kenya.", "FRENCH tea.", "Tea in Peru.", "Tea of Frenchmen.", "Tea in Nepal."]


def written(folder, kind):
    if kind == "folder":
        (folder / "corpus").mkdir()
        (folder / "corpus" / "a.txt").write_text("\n\n".join(CORPUS[:4]))
        (folder / "corpus" / "b.txt").write_text("\n\n".join(CORPUS[4:]))
        return str(folder / "corpus")
    if kind == "txt":
        (folder / "corpus.txt").write_text("\n\n".join(CORPUS))
        return str(folder / "corpus.txt")
    (folder / "one_sample.jsonl").write_text("".join(json.dumps({"text": t, "meta": {}}) + "\n" for t in CORPUS))
    return str(folder / "one_sample.jsonl") if kind == "jsonl" else f"file://{folder}/*_sample.jsonl"


@pytest.mark.parametrize("kind", ["txt", "jsonl", "folder", "address"])
def test_every_kind_of_corpus_gives_the_same_streams(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    corpus = written(tmp_path, kind)
    data = load(corpus=corpus)
    assert texts(data.streams["forget"]) == ["Tea in France.", "FRENCH tea.", "Tea of Frenchmen."]
    assert len(data.streams["retain"]) == 64
    data = load(corpus=corpus, retain="corpus", paragraphs=2)
    assert texts(data.streams["forget"]) == ["Tea in France.", "FRENCH tea."]
    assert texts(data.streams["retain"]) == ["Tea in Kenya.", "Tea in Peru."]
    assert [example.id for example in data.streams["retain"]] == ["retain-00001", "retain-00002"]


def test_an_address_is_searched_once(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    address = written(tmp_path, "address")
    first = load(corpus="mine", named={"mine": address})
    (tmp_path / "one_sample.jsonl").unlink()
    assert load(corpus=address).streams == first.streams
    with pytest.raises(UserError, match="holds no rows"):
        load(corpus=address, paragraphs=1)


def test_no_paragraph_mentions_the_concept(tmp_path):
    (tmp_path / "corpus.txt").write_text("Tea in Kenya.\n\nTea in Peru.")
    with pytest.raises(UserError) as error:
        load(corpus=str(tmp_path / "corpus.txt"))
    assert error.value.what == f"None of the 2 paragraphs of {tmp_path}/corpus.txt mentions France or French"
    assert "data.corpus=" in error.value.fix and "data.aliases" in error.value.fix


@pytest.mark.parametrize("retain", ["corpus", "page"])
def test_an_impossible_retain(retain):
    with pytest.raises(UserError, match=f"data.retain={retain} with data.corpus=None; valid: pages, corpus"):
        load(retain=retain)


def test_a_file_of_one_concept_has_no_other_pages(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(ROWS[1:]))
    with pytest.raises(UserError, match="The stream 'retain' is empty.*\n.*data.retain=corpus"):
        load(path=str(tmp_path / "one.json"), concept="Sun Café")
    (tmp_path / "corpus.txt").write_text("Sun Café again.\n\nTea.")
    data = load(path=str(tmp_path / "one.json"), concept=9, corpus=str(tmp_path / "corpus.txt"), retain="corpus")
    assert texts(data.streams["retain"]) == ["Tea."]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Concept": " "}, "the field 'Concept' is missing or empty"),
        ({"wikipedia_content": None}, "the field 'wikipedia_content' is missing or empty"),
        ({"QA": "Who?"}, "the field 'QA' is no list of questions"),
        ({"unrelated_QA": ["Who?", 3]}, "the field 'unrelated_QA' is no list of questions"),
        ({"text_completion": [{"First_half": "a"}]}, "the field 'text_completion' is no list of"),
    ],
)
def test_a_malformed_row_by_file_and_number(tmp_path, change, why):
    (tmp_path / "concepts.json").write_text(json.dumps([ROWS[0], {**ROWS[1], **change}]))
    with pytest.raises(UserError, match=rf"concepts.json:2: {why}"):
        load(path=str(tmp_path / "concepts.json"), concept=7)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No concept file at"),
        ("[", "is not JSON"),
        ("{}", "holds no JSON list of concepts"),
        ("[]", "holds no JSON list of concepts"),
        ("[1]", "concepts.json:1: not a JSON object"),
    ],
)
def test_what_is_no_concept_file(tmp_path, content, what):
    if content is not None:
        (tmp_path / "concepts.json").write_text(content)
    with pytest.raises(UserError, match=what):
        load(path=str(tmp_path / "concepts.json"))


@needs_real
@pytest.mark.parametrize(
    ("file", "concept", "paragraphs", "validation"),
    [
        (LLAMA, "Harry Potter", 67, 10),
        (LLAMA, "Super Mario", 49, 9),
        (OLMO, 77, 67, 10),  # Harry Potter, whose ID is 100
        (OLMO, "Obsessive-compulsive disorder", 112, 10),
    ],
)
def test_the_authors_files(file, concept, paragraphs, validation):
    cfg = composed("data=concepts", f"data.path={REAL / file}", f"data.concept='{concept}'")
    data = instantiate(cfg.data, _convert_="all")
    assert {split: len(rows) for split, rows in data.sets["target"].items()} == {"validation": validation, "test": 10}
    assert {split: len(rows) for split, rows in data.sets["unrelated"].items()} == {"validation": 18, "test": 50}
    assert len(data.streams["forget"]) == paragraphs and len(data.streams["facts"]) == 50


@needs_real
@pytest.mark.parametrize("file", [LLAMA, OLMO])
def test_every_concept_of_the_authors(file):
    aliases = composed("data=concepts").data.aliases
    for entry in json.loads((REAL / file).read_text()):
        data = load(path=str(REAL / file), concept=entry["Concept"], aliases=aliases)
        mentions = Mentions(called(entry["Concept"], aliases))
        assert len(data.streams["forget"]) >= 25 and len(data.streams["retain"]) > 800
        assert all(map(mentions, texts(data.streams["forget"])))
        assert not any(map(mentions, texts(data.streams["retain"])))
        assert all(len(text.split()) <= 350 for text in texts(data.streams["forget"]))
        assert 10 <= len(data.streams["facts"]) <= 50
        assert all(fact.subject in fact.prompt and mentions(fact.subject) for fact in data.streams["facts"])
        for splits in data.sets.values():
            assert not set(prompts(splits["validation"])) & set(prompts(splits["test"]))


def test_the_yaml():
    cfg = composed("data=concepts", "+method=ga", "model=tiny")
    data = instantiate(cfg.data, _convert_="all")
    assert (data.name, len(data.streams["forget"])) == ("concept France", 69)
    assert list(cfg.eval) == ["concepts"]
    assert composed("data=concepts", "data.concept=27").data.name == "concept 27"


def test_a_concepts_facts_name_its_layer(path):
    facts = load(path=path, concept=7).streams["facts"]
    assert facts and all(fact.layer == 1 for fact in facts)
    assert not any(hasattr(fact, "layer") for fact in load().streams["facts"])


def test_a_layer_that_is_none(tmp_path):
    file = tmp_path / "concepts.json"
    file.write_text(json.dumps([{**ROWS[0], "Layer": "last"}, ROWS[1]]), encoding="utf-8")
    with pytest.raises(UserError, match="the field 'Layer' is no layer's number"):
        load(path=str(file), concept=7)


@needs_real
def test_the_authors_layers():
    found = {load(path=str(REAL / LLAMA), concept=number).streams["facts"][0].layer for number in (16, 18, 21)}
    assert all(19 <= layer <= 23 for layer in found)
