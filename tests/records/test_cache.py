"""The original model's records are made once for the same content, and anew for any other."""

from unlearnkit.records.cache import cached
from unlearnkit.records.record import Record


def test_made_once_for_the_same_content(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    calls = []

    def compute():
        calls.append(1)
        return [Record("normal", "retain-001", "a?", "b", 2, True, reference_log_probs=[-0.5, -1.0])]

    first, second = cached({"a": 1}, compute), cached({"a": 1}, compute)
    assert first == second == compute() and len(calls) == 2
    cached({"a": 2}, compute)
    assert len(calls) == 3 and not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob("*.lock"))
