"""The original model's records are made once for the same content, and anew for any other."""

from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template
from unlearnkit.records.cache import cached, fingerprint
from unlearnkit.records.record import Record


def test_made_once_for_the_same_content(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    calls = []

    def compute():
        calls.append(1)
        return [Record("normal", "retain-001", "a?", "b", 2, True, reference_log_probs=[-0.5, -1.0])]

    first, second = cached({"a": 1}, compute), cached({"a": 1}, compute)
    assert first == second and len(calls) == 1
    cached({"a": 2}, compute)
    assert len(calls) == 2 and not list(tmp_path.rglob("*.partial"))


def test_the_fingerprint_follows_the_weights(tmp_path):
    model = load_source("tiny", str(tiny.write(tmp_path)), "float32", None, Template())
    before = fingerprint(model)
    assert before["weights"][0][0] == "model.safetensors" and before["dtype"] == "torch.float32"
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert fingerprint(model) != before
