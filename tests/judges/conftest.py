"""A real OpenAI-compatible server on 127.0.0.1 that answers from a script."""

import pytest
from served import script, servers


@pytest.fixture
def serve():
    """serve(*replies, delay=seconds) -> a running server."""
    with servers() as start:
        yield lambda *replies, delay=0.0: start(script(*replies), delay)
