"""Questions in other words: which are asked, and what comes back by it."""

import pytest
from attacked import before_and_under, taught

from unlearnkit.attacks import Paraphrase, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

ROWS = [Example("a", "Who wrote it?", "Ann"), Example("b", "Where is Rome?", "Italy")]
REWORDED = {"Who wrote it?": "Whose work is it?", "Where is Rome?": "Rome lies where?", "Why?": "For what reason?"}
DATA = Data("made", {}, {"x": {"test": ROWS}}, {"x": "forget"}, REWORDED)


def bound(attack, data=DATA):
    attack.bind("it", Scene(data, questions=ROWS))
    return attack


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_hidden_by_words_comes_back_in_other_words_and_what_is_gone_does_not(kept, tiny_folder, tmp_path):
    """A model that refuses one question by its words alone, beside one that knows nothing."""
    said = {prompt: "no" for row in ROWS for prompt in (row.prompt, REWORDED[row.prompt])}
    said |= {"Whose work is it?": "Ann"} if kept else {}
    assert before_and_under(Paraphrase(), taught(tiny_folder, said, tmp_path), DATA) == (0, 0.5 if kept else 0)


def test_the_data_s_own_paraphrases_are_asked_and_what_has_none_as_it_is():
    attack = bound(Paraphrase())
    assert [attack.question(row.prompt) for row in ROWS] == ["Whose work is it?", "Rome lies where?"]
    assert attack.question("Why?") == "For what reason?" and attack.question("How?") == "How?"


def test_data_without_paraphrases_are_refused_without_a_file():
    with pytest.raises(UserError, match="'made' has none"):
        bound(Paraphrase(), Data("made", {}))
