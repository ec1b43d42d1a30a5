"""Prompts are filled in, and those that cannot be are found before anything is asked."""

import pytest

from unlearnkit.build.prompts import Prompts
from unlearnkit.errors import UserError


def test_filling_in():
    prompts = Prompts({"profile": "Invent {name}.\n"}, {"profile": ("name", "count")})
    assert prompts("profile", name="{A} B", count=3) == "Invent {A} B."


@pytest.mark.parametrize("text", ["{nme}", "{", "{name.x}", "{0}", "{}"])
def test_braces_that_are_none_of_the_fields(text):
    with pytest.raises(UserError) as caught:
        Prompts({"profile": text}, {"profile": ("name", "count")})
    assert str(caught.value).splitlines() == [
        "domain.prompts.profile cannot be filled in.",
        "Use {name}, {count} and no other braces",
    ]


def test_a_missing_prompt():
    with pytest.raises(UserError, match="domain.prompts.check is missing"):
        Prompts({}, {"check": ("title",)})
