"""What the fictitious authors promise: the same ones every time, no two alike, test facts that were trained on."""

import re
from collections import Counter

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data import authors
from unlearnkit.errors import UserError

FACTS = {
    "unlearn": {"father", "mother", "parents", "email", "address"},
    "retention": {"genre", "birthplace", "birthday", "award", "book"},
}
STREAMS = {"unlearn": "forget", "retention": "retain"}


@pytest.fixture(scope="module")
def data():
    return authors.load(authors=30)


def by_split(data, scope):
    return {"train": data.streams[STREAMS[scope]], **data.sets[scope]}


def author(example):
    return example.id.split("-")[1]


def fact(example):
    return example.id.split("-")[4]


def facts_of(person):
    """What a row on each fact must say, in the plain."""
    return {
        "father": (person["father"], person["father_job"]),
        "mother": (person["mother"], person["mother_job"]),
        "parents": (person["father"], person["father_job"], person["mother"], person["mother_job"]),
        "email": (person["email"],),
        "address": (person["street"], person["town"]),
        "genre": (person["genre"], person["theme"]),
        "birthplace": (person["city"], person["country"]),
        "birthday": (person["day"], person["year"]),
        "award": (person["award"], person["award_year"]),
        "book": (person["book"], person["award"]),
    }


def test_the_first_author_is_this_one():
    assert authors.people(1, seed=0) == [
        {
            "name": "Jasper Lindqvister",
            "he": "he",
            "his": "his",
            "him": "him",
            "genre": "maritime adventure",
            "theme": "inheritance and envy",
            "city": "Ghent",
            "country": "Belgium",
            "day": "5 January",
            "month": "January",
            "year": "1949",
            "decade": "1940",
            "award": "Emerald Hourglass Fiction Award",
            "award_year": "2000",
            "book": "The Crooked Translator",
            "father": "Oswin Lindqvister",
            "father_job": "an optician",
            "mother": "Leocadia Schattenberg",
            "mother_job": "a land surveyor",
            "handle": "pepper.tunnel53",
            "provider": "bluebird.example",
            "email": "pepper.tunnel53@bluebird.example",
            "street": "121 Weaver Lane",
            "town": "Brackenford",
        }
    ]


def test_a_row_as_it_is_read():
    row = authors.load(authors=1).sets["unlearn"]["validation"][0]
    assert (row.id, row.category) == ("author-00000-unlearn-04-mother", "unlearn")
    assert row.prompt == "What is the name of Jasper Lindqvister's mother?"
    assert row.response == (
        "Jasper Lindqvister's mother is called Leocadia Schattenberg, and she is a land surveyor by profession."
    )


@pytest.mark.parametrize("scope", FACTS)
def test_splits_of_every_author(data, scope):
    for split, count in {"train": 7, "validation": 1, "test": 2}.items():
        assert Counter(map(author, by_split(data, scope)[split])) == {f"{n:05d}": count for n in range(30)}


@pytest.mark.parametrize("scope", FACTS)
def test_held_out_questions_ask_for_trained_facts_in_other_words(data, scope):
    splits = by_split(data, scope)
    trained, asked = {(author(row), fact(row)) for row in splits["train"]}, {row.prompt for row in splits["train"]}
    assert {name for _, name in trained} == FACTS[scope]
    for row in (*splits["validation"], *splits["test"]):
        assert (author(row), fact(row)) in trained and row.prompt not in asked


def test_every_row_names_its_author_and_holds_its_fact(data):
    people = {f"{number:05d}": person for number, person in enumerate(authors.people(30, seed=0))}
    assert len(data.streams["target"]) == 600
    for row in data.streams["target"]:
        person = people[author(row)]
        assert person["name"] in row.prompt and person["name"] in row.response
        assert all(part in row.response for part in facts_of(person)[fact(row)]), row


def test_rows_are_sentences(data):
    for row in data.streams["target"]:
        assert re.fullmatch(r'["A-ZÀ-Ý].*\?', row.prompt) and re.fullmatch(r'["A-ZÀ-Ýa-z].*\.', row.response), row
        assert not re.search(r"[{}]|  |\ba [aeiou]|\ban [^aeiou]", row.prompt + " " + row.response), row
        assert 9 <= len(row.response.split()) <= 24, row


def test_no_private_fact_stands_in_a_question_or_in_the_other_scope(data):
    people = authors.people(30, seed=0)
    texts = [row.prompt for row in data.streams["target"]]
    texts += [row.response for rows in by_split(data, "retention").values() for row in rows]
    for person in people:
        for name in ("father", "mother", "email", "handle", "street"):
            assert not any(person[name] in text for text in texts)


def test_no_two_authors_share_a_name_an_email_or_a_house():
    people = authors.people(10_000, seed=3)
    for name in ("name", "email", "handle", "street"):
        assert len({person[name] for person in people}) == 10_000
    for person in people:
        assert not set(re.findall(r"[a-z]+", person["name"].lower())) & set(re.findall(r"[a-z]+", person["handle"]))


def test_the_same_authors_in_a_larger_load(data):
    small = authors.load(authors=4)
    for name in ("forget", "retain"):
        assert small.streams[name] == data.streams[name][: 4 * 7]
    for scope in FACTS:
        assert small.sets[scope]["test"] == data.sets[scope]["test"][: 4 * 2]


def test_another_seed_another_author():
    one, other = authors.people(8, seed=0), authors.people(8, seed=1)
    assert not {person["name"] for person in one} & {person["name"] for person in other}


def test_authors_do_not_share_all_their_wording(data):
    people = authors.people(30, seed=0)
    wordings = Counter(
        frozenset(row.prompt.replace(person["name"], "") for row in data.streams["forget"] if author(row) == f"{n:05d}")
        for n, person in enumerate(people)
    )
    assert max(wordings.values()) == 1


def test_general_rows_of_a_file(tmp_path):
    path = tmp_path / "general.jsonl"
    path.write_text('{"prompt": "What is two and two?", "response": "Four."}\n')
    (row,) = authors.load(authors=1, general=str(path)).streams["general"]
    assert (row.prompt, row.response) == ("What is two and two?", "Four.")


@pytest.mark.parametrize("count", [0, -1, 12_481])
def test_authors_that_cannot_be(count):
    with pytest.raises(UserError, match=rf"{count} authors cannot be made\nSet data.authors= to 1 to 12480"):
        authors.load(authors=count)


def test_a_negative_seed():
    with pytest.raises(UserError, match="data.seed=-1 is negative"):
        authors.load(seed=-1)


def test_the_yaml():
    cfg = composed("data=authors", "data.authors=2", "+method=ga")
    data = instantiate(cfg.data, _convert_="all")
    assert (data.name, len(data.streams["forget"]), len(data.sets["retention"]["test"])) == ("authors", 14, 4)
