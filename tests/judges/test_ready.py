"""What a judge lacks is told of the judges that a config asks, and of no other."""

import pytest
from composed import composed

from unlearnkit.errors import UserError
from unlearnkit.judges.ready import check_judges

SERVED = ("judge=openai", "judge.base_url=http://127.0.0.1:9/v1")


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def test_a_missing_key_is_told_where_the_judge_is_asked():
    with pytest.raises(UserError, match="The environment has no OPENAI_API_KEY"):
        check_judges(composed("judge=openai"))
    check_judges(composed("judge=openai", "data=authors"))  # whose evaluation has no judge
    check_judges(composed(*SERVED))
    check_judges(composed())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ('[{"prompt": "a"', "is no JSON: "),
        ('[{"prompt": "a"}]', "is no list of {prompt, response, kind, explanation}"),
        ("3", "is no list of {prompt, response, kind, explanation}"),
        ('"abc"', "is no list of {prompt, response, kind, explanation}"),
    ],
)
def test_examples_that_are_none(text, why, tmp_path):
    file = tmp_path / "examples.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        check_judges(composed(*SERVED, f"judge.few_shot={file}"))
    assert caught.value.what.startswith(f"judge.few_shot={file} {why}")
