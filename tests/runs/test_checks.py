"""What is refused before anything is computed."""

import pytest

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import MismatchedResponses, Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import KL, NLL
from unlearnkit.runs.checks import bind_streams, check_stages, check_texts
from unlearnkit.stages import Finetune, Negate


def stages(**terms):
    return {"acquire": Finetune(terms, max_steps=1, batch_size=1), "negate": Negate()}


@pytest.fixture
def data(examples):
    return Data("here", examples)


def test_streams_of_the_data_and_of_the_method(data):
    streams = bind_streams(data, {"mismatched": MismatchedResponses("forget", 2)})
    assert list(streams) == ["forget", "retain", "mismatched"]
    assert isinstance(streams["forget"], Shuffled)
    assert streams["forget"].examples == data.streams["forget"]
    assert len(streams["mismatched"].draw(0, 0, 1)[0]) == 2


def test_good_stages_pass(data):
    streams = bind_streams(data, {"mismatched": MismatchedResponses("forget", 2)})
    check_stages(stages(a=NLL("forget"), b=NLL("mismatched"), c=KL("retain", -1)), streams)


def test_an_unknown_stream_and_its_nearest(data):
    with pytest.raises(UserError) as raised:
        check_stages(stages(keep=KL("retian")), bind_streams(data, {}))
    assert raised.value.what == (
        "Unknown stream 'retian' in stages.acquire.terms.keep.stream. Did you mean 'retain'? Valid: forget, retain"
    )
    assert raised.value.fix == "Set stages.acquire.terms.keep.stream= to one of these"


def test_a_term_of_weight_0_is_not_asked_for_its_stream(data):
    check_stages(stages(a=NLL("forget"), keep=NLL("retian", weight=0)), bind_streams(data, {}))


def test_an_empty_stream(examples):
    streams = bind_streams(Data("here", {**examples, "safe": []}), {})
    check_stages(stages(a=NLL("forget")), streams)
    with pytest.raises(UserError, match="The stream 'safe' is empty"):
        check_stages(stages(a=NLL("safe")), streams)


def test_an_empty_source_of_a_derived_stream(examples):
    data = Data("here", {**examples, "safe": []})
    streams = bind_streams(data, {"mismatched": MismatchedResponses("safe", 2, responses="forget")})
    with pytest.raises(UserError, match="The stream 'safe' is empty"):
        check_stages(stages(a=NLL("mismatched")), streams)


WHOLE = {"id": "a", "prompt": "b", "response": "c", "category": "d", "subject": "e"}


@pytest.mark.parametrize("field", WHOLE)
@pytest.mark.parametrize("half", ["\ud83d", "x\udc00", "\ude00\ud83d"])
@pytest.mark.parametrize("where", ["stream", "set"])
def test_half_a_character_in_any_text_of_a_row(field, half, where):
    good, bad = Example(**WHOLE), Example(**{**WHOLE, field: half})
    data = (
        Data("here", {"forget": [good, bad]}) if where == "stream" else Data("here", {}, {"s": {"test": [good, bad]}})
    )
    with pytest.raises(UserError, match="of the data 'here' holds a lone surrogate"):
        check_texts(data)


def test_whole_characters_of_any_plane(examples):
    check_texts(Data("here", {**examples, "own": [Example("1", "\U0001f600 \U0010ffff", "\ufffd\u0000")]}))
