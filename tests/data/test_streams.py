"""What a step draws."""

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import MismatchedResponses, Preferences, Shuffled
from unlearnkit.errors import UserError

EXAMPLES = [Example(f"f{n}", f"prompt {n}", f"response {n}", "petty") for n in range(7)]


def drawn(stream, seed, step, count):
    return [example.id for group in stream.draw(seed, step, count) for example in group]


def mismatched(per_prompt=3, examples=EXAMPLES, **kwargs):
    streams = {
        "forget": Shuffled("forget", examples),
        "retain": Shuffled("retain", [Example("r", "p", "other")]),
    }
    return MismatchedResponses("forget", per_prompt, **kwargs).bind(streams), streams["forget"]


def test_a_draw_depends_on_seed_and_step_alone():
    once, again = Shuffled("forget", EXAMPLES), Shuffled("forget", list(EXAMPLES))
    later = drawn(once, 3, 4, 2)
    drawn(once, 3, 0, 2)
    assert drawn(once, 3, 4, 2) == later == drawn(again, 3, 4, 2)


def test_seeds_steps_and_names_differ():
    epoch = drawn(Shuffled("forget", EXAMPLES), 0, 0, 7)
    assert epoch != drawn(Shuffled("forget", EXAMPLES), 1, 0, 7)
    assert epoch != drawn(Shuffled("forget", EXAMPLES), 0, 1, 7)
    assert epoch != drawn(Shuffled("retain", EXAMPLES), 0, 0, 7)
    assert epoch != [example.id for example in EXAMPLES]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_every_example_once_an_epoch(count):
    stream = Shuffled("forget", EXAMPLES)
    ids = [name for step in range(21) for name in drawn(stream, 0, step, count)]
    for epoch in range(len(ids) // 7):
        assert sorted(ids[epoch * 7 : epoch * 7 + 7]) == [f"f{n}" for n in range(7)]


@pytest.mark.parametrize("per_prompt", [1, 3, 6])
def test_mismatched_responses_are_distinct_and_never_ones_own(per_prompt):
    stream, source = mismatched(per_prompt)
    own = {example.prompt: example.response for example in EXAMPLES}
    for step in range(30):
        for (example,), group in zip(source.draw(0, step, 2), stream.draw(0, step, 2), strict=True):
            responses = [other.response for other in group]
            assert {other.prompt for other in group} == {example.prompt}  # as the source draws at this step
            assert len(set(responses)) == len(responses) == per_prompt
            assert own[example.prompt] not in responses
            assert set(responses) <= set(own.values())
            assert {other.category for other in group} == {"petty"}


def test_every_other_response_gets_its_turn():
    stream, _ = mismatched(1)
    seen = {(group[0].prompt, group[0].response) for step in range(120) for group in stream.draw(0, step, 7)}
    assert len(seen) == 7 * 6


def test_equal_responses_count_as_one():
    twins = [*EXAMPLES, Example("twin", "prompt 7", "response 0")]
    stream, _ = mismatched(6, twins)
    for step in range(20):
        for group in stream.draw(0, step, 2):
            assert len({example.response for example in group}) == 6
            if group[0].prompt == "prompt 7":
                assert "response 0" not in {example.response for example in group}


def test_a_mismatched_draw_depends_on_seed_and_step_alone():
    first, second = mismatched()[0], mismatched()[0]
    first.draw(0, 0, 2)
    assert first.draw(5, 3, 2) == second.draw(5, 3, 2)
    assert first.draw(5, 3, 2) != first.draw(6, 3, 2)
    responses = [[example.response for example in group] for group in first.draw(0, 0, 14)]
    assert responses[:7] != responses[7:]
    assert len({group[0].response for group in mismatched(1)[0].draw(0, 0, 7)}) > 2  # each prompt has its own draw


def test_responses_from_another_stream():
    streams = {"forget": Shuffled("forget", EXAMPLES[:2]), "retain": Shuffled("retain", EXAMPLES[2:])}
    stream = MismatchedResponses("forget", 4, responses="retain").bind(streams)
    for group in stream.draw(0, 0, 2):
        assert {example.response for example in group} <= {f"response {n}" for n in range(2, 7)}
        assert group[0].prompt in ("prompt 0", "prompt 1")


def test_too_many_responses_a_prompt():
    with pytest.raises(UserError, match="per_prompt=7 needs more than 7 distinct responses") as raised:
        mismatched(7)
    assert "at most 6" in raised.value.fix


def test_an_unknown_stream_and_its_nearest():
    with pytest.raises(UserError, match="Unknown stream 'retian'. Did you mean 'retain'?"):
        mismatched(1, responses="retian")
    with pytest.raises(UserError, match="Unknown stream 'forgt'. Did you mean 'forget'?"):
        MismatchedResponses("forgt", 1).bind({"forget": Shuffled("forget", EXAMPLES)})


def test_preferences_pair_another_text_with_the_sources_own():
    streams = {
        "forget": Shuffled("forget", EXAMPLES),
        "retain": Shuffled("retain", [Example(f"r{n}", "p", f"other {n}") for n in range(3)]),
    }
    stream = Preferences("forget", "retain").bind(streams)
    assert stream.size == 7
    for step in range(10):
        pairs = stream.draw(0, step, 2)
        assert [own for _, own in pairs] == [own for (own,) in streams["forget"].draw(0, step, 2)]
        for chosen, own in pairs:
            assert chosen.prompt == own.prompt and chosen.response.startswith("other")
    assert stream.draw(0, 3, 2) == stream.draw(0, 3, 2)


def test_preferences_of_an_unknown_stream():
    with pytest.raises(UserError, match="Unknown stream 'retian'"):
        Preferences("forget", "retian").bind({"forget": Shuffled("forget", EXAMPLES)})
