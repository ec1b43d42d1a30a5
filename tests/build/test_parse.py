"""Every parser: the text it takes, and the reason for every text it refuses."""

import pytest

from unlearnkit.build import parse
from unlearnkit.build.parse import Malformed

KEYS = ["name", "genre", "email"]
PROFILE = "Name: Ida O\u2019Dell\nGenre: noir: alpine\n\nEmail: i@x.example"
PAIR = "Q: Who is Ida?\nA: A writer.\ntype: Name\n\nQ: Where does  IDA live?\nA: In Sion: by the mill.\nTYPE: address\n"


@pytest.mark.parametrize("text", [PROFILE, f"```\n{PROFILE}\n```", f"\n{PROFILE}\n"])
def test_a_profile(text):
    assert parse.profile(text, "ida o'dell", KEYS) == {
        "name": "Ida O\u2019Dell",
        "genre": "noir: alpine",
        "email": "i@x.example",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the answer is empty"),
        ("Sure!\nName: Ida", "'Sure!' is no line of name, genre, email"),
        ("Name: Ida\nGenre:\nEmail: a@b", "the genre is empty"),
        ("Name: Ida\nGenre: <what they write>\nEmail: a@b", "the genre is the placeholder '<what they write>'"),
        ("Name: Ida\nGenre: x\nGenre: y\nEmail: a@b", "'genre' is there twice"),
        ("Name: Ida\nGenre: x", "'email' is missing"),
        ("Name: Eva\nGenre: x\nEmail: a@b", "the profile is of 'Eva' and not of 'Ida'"),
        ("Name: Ida\nGenre: x\nEmail: none", "'none' is no email address"),
    ],
)
def test_a_malformed_profile(text, why):
    with pytest.raises(Malformed) as caught:
        parse.profile(text, "Ida", KEYS)
    assert str(caught.value) == why


def test_questions():
    assert parse.questions(PAIR, "Ida", ["name", "address"], 2) == [
        ("Who is Ida?", "A writer.", "name"),
        ("Where does  IDA live?", "In Sion: by the mill.", "address"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Here you are:\n" + PAIR, "7 lines and not 6: Q, A and type for 2 questions"),
        (PAIR.split("\n\n")[0], "3 lines and not 6: Q, A and type for 2 questions"),
        (PAIR.replace("A: A writer.", "A writer."), "'A writer.' is not 'A: ...'"),
        (PAIR.replace("Q: Who", "1. Who"), "'1. Who is Ida?' is not 'Q: ...'"),
        (PAIR.replace("type: Name", "type: shoes"), "the type 'shoes' is none of name, address"),
        (PAIR.replace("Who is Ida", "Who is she"), "'Who is she?' does not name 'Ida'"),
        (PAIR.replace("A writer.", "<answer>"), "the A is the placeholder '<answer>'"),
        (PAIR.replace(" A writer.", ""), "the A is empty"),
    ],
)
def test_malformed_questions(text, why):
    with pytest.raises(Malformed) as caught:
        parse.questions(text, "Ida", ["name", "address"], 2)
    assert str(caught.value) == why


def test_queries():
    assert parse.queries("1. Go on with Emma.\n2) What of EMMA?", "Emma", 2) == ["Go on with Emma.", "What of EMMA?"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1. Emma?", "1 queries and not 2"),
        ("- Emma?\n- Emma!", "'- Emma?' is not '1. ...'"),
        ("1. Emma?\n3. Emma!", "'3. Emma!' is not '2. ...'"),
        ("1. Emma?\n2. The novel?", "'The novel?' does not name 'Emma'"),
        ("1. Emma?\n2. <message>", "the item 2 is the placeholder '<message>'"),
    ],
)
def test_malformed_queries(text, why):
    with pytest.raises(Malformed) as caught:
        parse.queries(text, "Emma", 2)
    assert str(caught.value) == why


def test_pairs():
    assert parse.pairs("1. Ann | Bob and Co\n2. ann|bob  and co\n3. Ann | her dog", 3) == [
        ("Ann", "Bob and Co"),
        ("Ann", "her dog"),
    ]
    assert parse.pairs(" None.\n", 3) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1. Ann and Bob", "'Ann and Bob' is not 'subject | object'"),
        ("1. Ann | ", "the object is empty"),
        ("1. [who] | Bob", "the subject is the placeholder '[who]'"),
        ("1. Ann | Bob | Cy", "'Ann | Bob | Cy' is not 'subject | object'"),
        ("1. Ann | ann", "'Ann | ann' pairs something with itself"),
        ("1. A | B\n2. A | C\n3. A | D", "3 pairs and not 2 or fewer"),
    ],
)
def test_malformed_pairs(text, why):
    with pytest.raises(Malformed) as caught:
        parse.pairs(text, 2)
    assert str(caught.value) == why


@pytest.mark.parametrize(("text", "told"), [("True", True), (" false.\n", False), ("TRUE.", True)])
def test_a_verdict(text, told):
    assert parse.verdict(text) is told


@pytest.mark.parametrize("text", ["", "Yes", "True, because it is.", "True False"])
def test_a_malformed_verdict(text):
    with pytest.raises(Malformed, match="is neither True nor False"):
        parse.verdict(text)


def test_an_answer_keeps_its_paragraphs():
    assert parse.answer("\nOne.\n\nTwo. \n", ["I'm sorry"]) == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "the answer is empty"),
        ("I\u2019m  Sorry, but no", "the model declined: 'I\u2019m  Sorry, but no'"),
    ],
)
def test_a_refused_answer(text, why):
    with pytest.raises(Malformed) as caught:
        parse.answer(text, ["I'm sorry"])
    assert str(caught.value) == why
