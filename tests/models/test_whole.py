"""What is true of whole networks alone."""

import pytest
import torch
from lineages import ARCHITECTURES, loaded, logits

from unlearnkit.models.lineage import narrow_copy


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_narrow_copy_computes_the_same(kind, folders):
    """autocast rounds the linear layers' weights itself: bit for bit the same, in half the memory."""
    network = loaded(folders[kind], None).model
    copied = narrow_copy(network, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logits(network), logits(copied))
    assert {weight.dtype for weight in copied.parameters()} == {torch.float32, torch.bfloat16}
    assert copied.get_input_embeddings().weight.dtype == torch.float32
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
