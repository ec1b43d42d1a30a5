"""An HTTP server on 127.0.0.1 whose every reply is scripted down to its bytes."""

import pytest
from served import script, servers


@pytest.fixture
def serve():
    """serve(*replies, delay=seconds) -> a running server."""
    with servers() as start:
        yield lambda *replies, delay=0.0: start(script(*replies), delay)
