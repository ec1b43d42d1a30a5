"""Books: queries, pairs, the self-check, rewriting of confirmed pairs only, answers."""

import pytest
from hydra.utils import instantiate

from unlearnkit.build.run import ask_all
from unlearnkit.errors import UserError


def build(server, chat, config, *overrides, names=("Emma",), attempts=1, max_failed=0.5):
    domain = instantiate(config(server, "+domain=copyright", *overrides).domain, _convert_="all")
    domain.check(list(names))
    return ask_all(domain, list(names), chat(server), 0, attempts, max_failed, 4)


def test_a_book(serve, chat, config, replies):
    server = serve(replies["copyright"])
    made, askings = build(server, chat, config)
    rows = made["Emma"].rows
    assert [row.type for row in rows] == (
        ["extension"] * 5 + ["meta_info"] * 5 + ["review"] * 5 + ["recommendation"] * 5 + ["revision"] * 2
    )
    assert {row.type for row in rows if row.scope == "unlearn"} == {"extension", "revision"}
    assert rows[20].question == "Let Ann and Bob meet again in Emma."
    assert rows[20].answer == "It is so. Let Ann and Bob meet again in Emma."
    assert made["Emma"].facts == {
        "pairs": [
            {"subject": "Ann", "object": "Bob", "confirmed": True},
            {"subject": "Ann", "object": "her dog", "confirmed": False},
        ]
    }
    assert askings["Emma"].request_count == len(server.prompts) == 5 + 2 + 1 + 22
    rewrites = [prompt for prompt in server.prompts if "tell this part anew" in prompt]
    assert len(rewrites) == 1 and "her dog" not in rewrites[0]


def test_a_pair_that_is_not_checked_is_not_rewritten(serve, chat, config, replies):
    def unsure(prompt, number):
        return "Perhaps." if prompt.startswith("Claim:") else replies["copyright"](prompt)

    server = serve(unsure)
    made, askings = build(server, chat, config, attempts=2)
    assert [fact["confirmed"] for fact in made["Emma"].facts["pairs"]] == [None, None]
    assert "revision" not in {row.type for row in made["Emma"].rows}
    assert [(entry["step"], entry["attempt"]) for entry in askings["Emma"].skipped] == [("check", 2), ("check", 2)]
    assert len(askings["Emma"].refused) == 4


def test_equal_queries_are_answered_once(serve, chat, config, replies):
    def repeating(prompt, number):
        return replies["copyright"](prompt).replace(" 2 of", " 1  OF")

    server = serve(repeating)
    made, _ = build(server, chat, config, "domain.pairs=0")
    assert [row.question for row in made["Emma"].duplicates][:1] == ["to carry 1  OF Emma?"]
    assert len(made["Emma"].rows) == 16 and len(server.prompts) == 4 + 16


def test_an_answer_that_declines_is_left_out(serve, chat, config, replies):
    def shy(prompt, number):
        return "I\u2019m sorry, but I can't." if "to carry 3 of" in prompt else replies["copyright"](prompt)

    made, askings = build(serve(shy), chat, config)
    assert len(made["Emma"].rows) == 21
    assert [entry["step"] for entry in askings["Emma"].skipped] == ["answer (extension)"]


def test_the_public_domain_is_retained_whole(serve, chat, config, replies):
    names = ("Emma", "The New Book")
    made, _ = build(serve(replies["copyright"]), chat, config, "domain.public_domain=[emma]", names=names)
    assert {row.scope for row in made["Emma"].rows} == {"retention"}
    assert {row.scope for row in made["The New Book"].rows} == {"retention", "unlearn"}


def test_an_unknown_title_in_the_public_domain(serve, chat, config):
    with pytest.raises(UserError) as caught:
        build(serve("x"), chat, config, "domain.public_domain=[Ema]")
    assert caught.value.what == "domain.public_domain has 'Ema', which is not in names. Did you mean 'Emma'?"


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("domain.categories.review.scope=keep", "domain.categories.review is {'scope': 'keep'"),
        ("domain.categories.review.count=0", "domain.categories.review.count=0 is not a whole number"),
        ("domain.prompts.check='{titel}'", "domain.prompts.check cannot be filled in."),
        ("domain.categories.review.about='{x}'", "domain.categories.about.review cannot be filled in."),
        ("domain.pairs=many", "domain.pairs=many is not a whole number"),
    ],
)
def test_bad_settings(serve, chat, config, override, what):
    with pytest.raises(Exception) as caught:
        build(serve("x"), chat, config, override)
    assert isinstance(caught.value.__cause__, UserError) and caught.value.__cause__.what.startswith(what)
