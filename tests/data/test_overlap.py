"""Rows that two files share, exactly or nearly."""

from unlearnkit.data.columns import Read
from unlearnkit.data.overlap import near, normalised, overlaps


def rows(side, *prompts):
    return [Read(f"{side}:{n}", prompt, "r", None, None, None) for n, prompt in enumerate(prompts, start=1)]


def test_normalised():
    assert normalised("What  is\nTHIS ?!") == normalised("what is this") == "what is this"
    assert normalised("?!") == "?!"
    assert (
        normalised("Où est Cafe\u0301, soft\u00adly?") == normalised("OÙ\u00a0est  Café softly") == "où est café softly"
    )
    assert normalised("Ｗｅｒ ist_1") == "wer ist_1"
    assert normalised("की और कि।") == "की और कि" and normalised("！？") == "!?"


def test_what_is_nearly_the_same():
    texts = ["where was the novelist ana silva born and raised", "how high is the tower of the old town hall"]
    others = ["the mountains of the north", "where was the novelist ana silva born and raised then"]
    assert near(texts, others) == [(0, 1)]
    assert near(texts, ["where does the train to the coast stop"]) == []
    assert near(["?!"], ["..."]) == near(["कि मु"], ["की मू"]) == [] == near([], others)


def test_a_line_for_each_kind():
    long = "Where was the novelist Ana Silva born, and in which year did her first book come out?"
    read = {
        "forget": rows("f", "What is it?", long, "How far is the moon?"),
        "retain": rows("r", "what is IT", f"Tell me: {long}", "Who paints?"),
    }
    assert list(overlaps(read)) == [
        "Overlap: 1 of 3 rows of forget are in retain too, by their prompt or text (f:1)",
        "Near-duplicates: 1 of 3 rows of forget are nearly in retain (f:2 and r:2)",
    ]
    assert list(overlaps({"forget": read["forget"][2:], "retain": read["retain"]})) == []
