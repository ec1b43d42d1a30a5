"""What a user reads of an error."""

import pytest

from unlearnkit.errors import UserError


def two_lines(call):
    with pytest.raises(UserError) as raised:
        call()
    assert len(str(raised.value).splitlines()) == 2
    return raised.value
