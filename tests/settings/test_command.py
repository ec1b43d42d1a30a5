"""The command line: two lines and nothing else, before a model is loaded; a user's own code and YAML work."""

import shlex
import socket
import threading

import pytest
from forked import command
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from unlearnkit.settings.hydra_errors import of_hydra

TINY = ("model=tiny", "logger=none", "eval_every=0", "train.max_steps=2", "eval.safety.limit=2")
TINY += ("eval.safety.max_new_tokens=4",)
OWN = """
from unlearnkit.losses import NLL


class Loss(NLL):
    def __init__(self, stream, temperature=1.0, weight=1.0):
        super().__init__(stream, weight)
        self.temperature = temperature
"""
METHOD = """# @package _global_
defaults: [/stage@stages.finetune: finetune, _self_]
stages: {finetune: {terms: {own: {_target_: mypackage.Loss, stream: forget, weight: -1.0, temperature: 2.0}}}}
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+method=sku", "+train.lr=1e-5"], "Nothing reads 'train.lr'. Did you mean 'train.arguments.learning_rate'?"),
        (["+method=sku", "lr=1e-5"], "Did you mean 'train.arguments.learning_rate'?"),
        (["+method=null"], "'+method=null' chooses no method"),
        (["judge=null"], "'judge=null' chooses no judge"),
        (["+method=sku", "seed=0,1"], "'seed=0,1' is several values"),
        (["+method=sku", "model.template.text=### {prompt}"], "has characters that need quotes"),
        (["+method=npo.yaml"], "method=npo.yaml is no option's name, but a file's"),
        (["+method=npo", "~stages.finetune"], "The method 'npo' has no stage left"),
        (["+method=sku", "curve_split=dev"], "curve_split=dev is no split of the data 'mischief'"),
        (["+method=sku", "+train.arguments.optim=galore_adamw"], "stages.acquire.arguments: "),
        (["+method=sku", "model.lora.target_modules=[q_prj]"], "Did you mean 'q_proj'?"),
        (["+method=npo", "eval.robustness.limit=4"], "'eval.robustness': the eval 'robustness' is not chosen here"),
        (["+method=npo", "attacks.depth.limit=4"], "'attacks.depth': the attack 'depth' is not chosen here"),
        (["+method=ga", "stages.finetune.terms.forget.weight=0"], "nothing to minimise: every weight is 0 (forget)"),
        (["+method=sku", "+attack=noise", "+attack=prune"], "attack is chosen several times: noise, prune"),
        (["-m", "+method=sku", "seed=0,1", "train.batch_size=0"], "train.batch_size=0"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_two_lines_and_no_others(words, said, tmp_path):
    done = command("unlearnkit", *words, *TINY, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if line and "Writing model" not in line]  # the tiny one, once
    assert done.returncode == 2 and len(lines) == 2, done.stderr
    assert lines[0].startswith("Error: ") and said in lines[0] and lines[1].startswith("  Fix: "), done.stderr


@pytest.mark.parametrize(
    ("word", "what", "fix"),
    [
        ("data.forget=a(b).csv", "characters that need quotes", """Quote it twice: 'data.forget="a(b).csv"'"""),
        ("x.y=[q_é,v,a b]", "characters that need quotes", """Quote it twice: 'x.y=["q_é",v,a b]'"""),
        ('x={"a": "q"}', "characters that need quotes", """Quote it twice: 'x={a: "q"}'"""),
        ("x.y[0]=q", "'x.y[0]' is no key", "A list is set as a whole: 'x.y=[A,B]'"),
        ("x..y=1", "'x..y' is no key", "Write KEY=VALUE, names with dots between"),
        ("x={a: 1", "is no list or mapping", """Close its brackets, and quote what is no word: 'x=["a b",c]'"""),
        ("x", "'x' is no setting", "Write KEY=VALUE, +KEY=VALUE or ~KEY"),
    ],
)
def test_how_a_word_that_hydra_cannot_read_is_written(word, what, fix):
    with pytest.raises(OverrideParseException) as raised:
        OverridesParser.create().parse_overrides([word])
    told = of_hydra(raised.value)
    assert what in told.what and told.fix.startswith(fix)
    if "Quote it twice" in fix:
        OverridesParser.create().parse_overrides(shlex.split(told.fix.partition(": ")[2]))


def own(tmp_path, *words):
    (tmp_path / "mypackage.py").write_text(OWN)
    (tmp_path / "yaml" / "method").mkdir(parents=True)
    (tmp_path / "yaml" / "method" / "mine.yaml").write_text(METHOD)
    return command("unlearnkit", "+method=mine", *words, *TINY, "hydra.run.dir=out", cwd=tmp_path)


@pytest.mark.parametrize("where", [("--config-dir", "yaml"), ("hydra.searchpath=[file://yaml]",)], ids=["dir", "path"])
def test_a_users_own_loss_and_yaml(tmp_path, where):
    done = own(tmp_path, *where)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_a_misspelt_key_of_a_users_own_loss(tmp_path):
    done = own(tmp_path, "--config-dir", "yaml", "+stages.finetune.terms.own.temprature=2")
    assert done.returncode == 2 and "Did you mean 'stages.finetune.terms.own.temperature'?" in done.stderr


def test_ascii_alone(tmp_path):
    done = command("unlearnkit", "+method=ga", *TINY, "train.max_steps=1", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr


def test_online_without_a_key(tmp_path):
    words = [word for word in TINY if word != "logger=none"]
    environment = {"WANDB_MODE": "online", "NETRC": str(tmp_path / "none"), "WANDB_API_KEY": ""}
    done = command("unlearnkit", "+method=ga", *words, cwd=tmp_path, HOME=str(tmp_path), **environment)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 2, done.stderr
    assert "WANDB_MODE=online needs an API key" in done.stderr


@pytest.mark.parametrize("server", ["closed", "silent", "wrong"])
def test_online_without_a_network_the_run_is_kept_offline(server, tmp_path):
    """No server at the address; one that takes the connection and hangs up; one that is none of W&B's."""
    with Server(server) as port:
        words = [word for word in TINY if word != "logger=none"]
        environment = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}
        environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "no_proxy": "*"}
        done = command("unlearnkit", "+method=ga", *words, "hydra.run.dir=out", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if "WANDB_MODE" in line]
    assert len(said) == 1 and said[0].startswith("WANDB_MODE=online, but "), said
    assert "the run is kept offline, and 'wandb sync FOLDER' sends it later" in said[0]
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*")) and (tmp_path / "out" / "report.html").is_file()


class Server:
    """A port of this machine where W&B is not."""

    def __init__(self, kind):
        self.kind, self.socket = kind, socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        port = self.socket.getsockname()[1]
        if self.kind == "closed":
            self.socket.close()
        else:
            threading.Thread(target=self.serve, daemon=True).start()
        return port

    def serve(self):
        while True:
            try:
                with self.socket.accept()[0] as connection:
                    if self.kind == "wrong":
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                return

    def __exit__(self, *_):
        self.socket.close()
