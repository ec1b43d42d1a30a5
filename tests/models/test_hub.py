"""Models of a hub, against a local server that speaks its protocol."""

import http.server
import threading

import huggingface_hub.constants
import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from unlearnkit.errors import UserError
from unlearnkit.models import load, tiny

REFUSED = {"a/gated": (401, "GatedRepo"), "a/asked": (403, "GatedRepo"), "a/private": (401, "RepoNotFound")}


class Hub(http.server.BaseHTTPRequestHandler):
    folders = {}

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        path = self.path.strip("/").removeprefix("api/models/")
        name = "/".join(path.split("/")[:2])
        file = self.folders[name] / path.rpartition("/")[2] if name in self.folders else None
        if file is not None and file.is_file():
            content, status, more = file.read_bytes(), 200, {"ETag": f'"{file.name}"', "X-Repo-Commit": "0" * 40}
        else:
            missing = (404, "EntryNotFound" if name in self.folders else "RepoNotFound")
            status, code = REFUSED.get(name, missing)
            content, more = b"", {"X-Error-Code": code, "X-Error-Message": code}
        self.send_response(status)
        for key, value in {**more, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    """One for all tests: the client keeps it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(address, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    Hub.folders.clear()
    return Hub.folders


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("a/gated", "'a/gated' is gated", "Accept them at https://huggingface.co/a/gated, then log in with 'hf auth"),
        ("a/asked", "'a/asked' is gated", "Accept them at https://huggingface.co/a/asked"),
        ("a/private", "The hub has no model 'a/private', or it is private", "hf auth login"),
        ("a/gone", "The hub has no model 'a/gone'", "Check the spelling"),
    ],
)
def test_what_the_hub_does_not_give(name, what, fix, hub):
    with pytest.raises(UserError) as caught:
        load("mine", hub=name, dtype="float32")
    assert caught.value.what.startswith(what)
    assert fix in caught.value.fix
    assert len(str(caught.value).splitlines()) == 2


def test_a_model_and_an_adapter(hub, tiny_folder, tmp_path):
    hub["a/Base"] = tiny_folder
    model = load("mine", hub="a/Base", dtype="float32")
    assert model.source == "a/Base"
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_folder), LoraConfig(task_type="CAUSAL_LM", r=2))
    adapted.peft_config["default"].base_model_name_or_path = "a/Base"
    adapted.save_pretrained(tmp_path / "adapter")
    tiny.tokenizer().save_pretrained(tmp_path / "adapter")
    hub["a/Adapter"] = tmp_path / "adapter"
    model = load("mine", hub="a/Adapter", dtype="float32")
    assert model.source == "a/Adapter"
    assert model.model.config.hidden_size == 32


def test_an_adapter_over_a_gated_base(hub, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "a/gated"}'
    )
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="'a/gated' is gated"):
        load("mine", path=str(tmp_path / "adapter"), dtype="float32")
