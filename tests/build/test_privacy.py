"""Authors: two requests, twenty rows, the scope by the type."""

import pytest
from hydra.utils import instantiate

from unlearnkit.build.privacy import Privacy
from unlearnkit.build.run import ask_all
from unlearnkit.errors import UserError


def test_an_author(serve, chat, config, replies):
    server = serve(replies["privacy"])
    privacy = instantiate(config(server, "+domain=privacy").domain, _convert_="all")
    made, askings = ask_all(privacy, ["Ida Moser"], chat(server), 0, 3, 0.5, 2)
    rows = made["Ida Moser"].rows
    assert [row.scope for row in rows] == ["retention"] * 10 + ["unlearn"] * 10
    assert [row.type for row in rows[8:12]] == ["name", "genre", "parents", "email"]
    assert (rows[0].question, rows[0].answer) == ("Question 1 about Ida Moser?", "Answer 1 on Ida Moser.")
    assert made["Ida Moser"].facts["profile"]["genre"] == "alpine noir"
    first, second = server.prompts
    assert "Name: Ida Moser" in first and "Genre: alpine noir" in second
    assert "Questions 1 to 10 ask about\nname, genre, born, awards; the rest ask about parents, email" in second
    assert askings["Ida Moser"].request_count == 2


def test_the_type_decides_and_not_the_place(serve, chat, config, replies):
    def last_is_genre(prompt, number):
        head, kind, tail = replies["privacy"](prompt).rpartition("type: parents")
        return head + "type: genre" + tail if kind else head + tail

    server = serve(last_is_genre)
    privacy = instantiate(config(server, "+domain=privacy").domain, _convert_="all")
    made, _ = ask_all(privacy, ["Ida"], chat(server), 0, 1, 0.5, 2)
    assert sum(row.scope == "retention" for row in made["Ida"].rows) == 11


@pytest.mark.parametrize(
    "attributes",
    [{"retention": ["name"]}, {"retention": ["name"], "unlearn": ["name"]}, {"keep": ["a"], "unlearn": ["b"]}],
)
def test_attributes_that_do_not_say_which_scope(attributes):
    with pytest.raises(UserError, match="domain.attributes"):
        Privacy("", attributes, 20, {"profile": "", "questions": ""})
