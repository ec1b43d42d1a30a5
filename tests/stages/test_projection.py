"""The projected gradient in closed form, and trainings with it: split, on two ranks, resumed, refused."""

import copy
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from composed import composed
from dying import Died
from forked import on_ranks, python

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import KL, NLL, NPO, Constrained, KeepStates
from unlearnkit.models.packing import Tokenise
from unlearnkit.run import run
from unlearnkit.stages import Context, Finetune
from unlearnkit.stages.passes import Passes
from unlearnkit.stages.projection import Project, Projection
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import weighted_sum

TESTS = Path(__file__).parent.parent
QUIET = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2}
RUN = (
    "+method=gru", "model=tiny", "logger=none", "train.max_steps=6", "train.save_every=2", "eval_every=0",
    "eval.safety.limit=2", "eval.safety.max_new_tokens=4", "train.arguments.learning_rate=1e-3",
    "+train.arguments.disable_tqdm=true",
)  # fmt: skip


class Two(torch.nn.Module):
    """Two parameters of one number each."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))

    def of(self, gradients, terms):
        """A sum of the terms with these gradients by (a, b); None: a micro-batch without a row of theirs."""
        (found,) = (gradients[name] for name in terms)
        return torch.zeros(()) if found is None else (found[0] * self.a + found[1] * self.b).squeeze()


def projecting(network, new):
    return Projection(Project(["retain"], new), {"forget": NLL("forget", -1.0), "retain": NLL("retain")}, network)


def step(projection, network, *micro):
    for forget, retain in micro:
        projection.backward(partial(network.of, {"forget": forget, "retain": retain}))
    projection.finish(lambda gradient: gradient)
    return [network.a.grad.item(), network.b.grad.item()]


def test_only_what_goes_against_retention_is_taken_away():
    network = Two()
    projection = projecting(network, 1.0)
    assert step(projection, network, ((3.0, 1.0), (1.0, 1.0))) == [3.0, 1.0]  # they agree
    assert step(projection, network, ((3.0, 1.0), (0.0, 0.0))) == [3.0, 1.0]  # nothing to keep
    # <(1, -3), (1, 1)> = -2, over 2: (1, -3) + (1, 1)
    assert step(projection, network, ((1.0, -3.0), (1.0, 1.0))) == [2.0, -2.0]
    assert projection.cosine == pytest.approx(-2 / (10 * 2) ** 0.5)


def test_the_retain_gradient_is_a_running_average():
    network = Two()
    projection = projecting(network, 0.8)
    step(projection, network, ((1.0, 0.0), (1.0, 0.0)))
    assert {name: value.item() for name, value in projection.average.items()} == {"a": 1.0, "b": 0.0}
    # (0.8, 0.6) has length 1; <(-1, 0), it> = -0.8: (-1, 0) + 0.8 (0.8, 0.6)
    found = step(projection, network, ((-1.0, 0.0), (0.75, 0.75)))
    assert {name: value.item() for name, value in projection.average.items()} == pytest.approx({"a": 0.8, "b": 0.6})
    assert found == pytest.approx([-0.36, 0.48])


def test_micro_batches_add_up():
    network = Two()
    projection = projecting(network, 1.0)
    assert step(projection, network, ((1.0, -1.0), (1.0, 0.0)), ((0.0, -2.0), (0.0, 1.0))) == [2.0, -2.0]


def test_a_micro_batch_with_one_side_alone():
    network = Two()
    projection = projecting(network, 1.0)
    assert step(projection, network, ((1.0, -3.0), None), (None, (1.0, 1.0))) == [2.0, -2.0]


def test_what_is_kept_is_restored(tmp_path):
    network = Two()
    projection = projecting(network, 0.8)
    step(projection, network, ((1.0, 2.0), (3.0, 4.0)))
    projection.save(tmp_path)
    other = projecting(network, 0.8)
    other.load(tmp_path)
    assert other.average == projection.average


def train(model, examples, folder, accumulation=1, terms=None, project=None):
    folder.mkdir()
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    terms = terms or {"forget": NLL("forget", -1.0), "retain": NLL("retain")}
    stage = Finetune(
        terms,
        4,
        batch_size=4,
        accumulation=accumulation,
        arguments=dict(QUIET),
        project=project or {"keep": ["retain"]},
    )
    stage(model, Context(streams, 0, folder, "finetune"))
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_split_step_is_the_same(kind, request, tmp_path, examples, tiny_folder):
    from unlearnkit.models import Template, load_source

    lora = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} if kind == "lora" else None
    rows = []
    for split in (1, 2):
        model = load_source("tiny", str(tiny_folder), "float32", lora, Template())
        rows.append(train(model, examples, tmp_path / str(split), split))
    for one, other in zip(*rows, strict=True):
        for key in ("loss", "grad_norm", "terms/forget", "terms/retain", "projection/cosine"):
            assert one[key] == pytest.approx(other[key], rel=1e-5, abs=1e-5), key
    assert rows[0][0]["loss"] == -rows[0][0]["terms/forget"] and rows[0][0]["projection/cosine"] != 0


SIDES = {
    "forget": NPO("forget"),
    "more": KL("retain", 0.5),  # both sides read the stream
    "states": KeepStates("retain", 0, at="all"),
    "retain": NLL("retain", mean="step"),
}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_row_of_each_side_gives_what_one_of_both_does(tiny_model, examples, checkpointing):
    tiny_model.weights.make_trainable()
    if checkpointing:
        tiny_model.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    encode = lambda prompt, response: tiny_model.template.encode(tiny_model.tokenizer, prompt, response)  # noqa: E731
    steps = Steps({name: Shuffled(name, rows) for name, rows in examples.items()}, Tokenise(encode, 256), 0, 4, 1)
    steps.scored["start"] = {example: -5.0 for example in steps.examples()["forget"]}
    passes = Passes(tiny_model, SIDES)
    with torch.no_grad():  # away from the start, where KL and states have no gradient
        for weight in tiny_model.model.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    total = partial(
        weighted_sum,
        partial(passes.read, tiny_model.model),
        step=steps[0],
        earlier=partial(passes.earlier, tiny_model.model),
    )
    projection = Projection(Project(["states", "retain"], new=1.0), SIDES, tiny_model.model)
    projection.backward(lambda terms: total(terms=terms))
    found = [dict(sums) for sums in projection._sums]
    for kept, sums in zip((True, False), found, strict=True):
        terms = {name: copy.copy(term) for name, term in SIDES.items()}
        for name, term in terms.items():
            term.weight *= (name in ("states", "retain")) == kept
        total(terms=terms).backward()
        for name, weight in projection.trained.items():
            assert weight.grad.abs().sum() > 0
            torch.testing.assert_close(sums[name], weight.grad, atol=1e-6, rtol=1e-5)
            weight.grad = None


def test_it_keeps_more_than_ascent_alone(full_model, tiny_folder, tmp_path, examples):
    from unlearnkit.models import Template, load_source

    projected = train(full_model, examples, tmp_path / "projected")
    other = load_source("tiny", str(tiny_folder), "float32", None, Template())
    # Held against a term without weight to speak of, the step is along the forget gradient as it is.
    terms = {"forget": NLL("forget", -1.0), "retain": NLL("retain", 1e-12), "empty": NLL("retain", 1e-30)}
    plain = train(other, examples, tmp_path / "plain", terms=terms, project={"keep": ["empty"]})
    assert projected[-1]["terms/retain"] < plain[-1]["terms/retain"]
    assert projected[-1]["terms/forget"] > projected[0]["terms/forget"]


def numbers(metrics):
    after = json.loads(json.dumps(metrics["after"]))
    after.pop("cost")
    return after


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_resumed_run_is_an_unbroken_one(tmp_path):
    unbroken = run(composed(*RUN), tmp_path / "unbroken")
    dying = ("logger._target_=dying.Dies", "+logger.stage=finetune", "+logger.step=5")
    with pytest.raises(Died):
        run(composed(*RUN, *dying), tmp_path / "resumed")
    resumed = run(composed(*RUN), tmp_path / "resumed")
    assert losses(tmp_path / "resumed") == losses(tmp_path / "unbroken") and numbers(resumed) == numbers(unbroken)


@pytest.mark.parametrize(
    ("project", "terms", "said"),
    [
        ({"keep": ["retian"]}, None, "names 'retian', which is no term. Did you mean 'retain'?"),
        ({"keep": ["forget", "retain"]}, None, "leaves nothing to project"),
        ({"keep": []}, None, "leaves nothing to project"),
    ],
)
def test_what_is_refused(project, terms, said):
    stage = Finetune({"forget": NLL("forget", -1.0), "retain": NLL("retain")}, 1, batch_size=1, project=project)
    with pytest.raises(UserError) as error:
        stage.check("stages.finetune")
    assert said in error.value.what and error.value.fix


@pytest.mark.parametrize("engine", ["zero1", "zero2", "zero3"])
def test_zero_is_refused_in_two_lines(engine, tmp_path):
    with pytest.raises(UserError, match=f"ZeRO-{engine[-1]}") as error:
        run(composed(*RUN, f"deepspeed={engine}"), tmp_path)
    assert error.value.fix == "Set deepspeed=none"


@pytest.mark.parametrize("first", ["gru", "pdu", "plain"])
def test_a_checkpoint_of_another_method(first, full_model, lora_model, tmp_path, examples):
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    descent = {"forget": NLL("forget", -1.0), "retain": NLL("retain")}
    ways = {
        "gru": {"terms": descent, "project": {"keep": ["retain"]}},
        "pdu": {"terms": {**descent, "retain": Constrained("retain", epsilon=1.0)}},
        "plain": {"terms": descent},
    }
    context = Context(streams, 0, tmp_path, "finetune")

    def stage(way, steps):
        return Finetune(max_steps=steps, batch_size=2, save_every=2, arguments=dict(QUIET), **ways[way])

    stage(first, 3)(lora_model, context)
    second = {"gru": "pdu", "pdu": "plain", "plain": "gru"}[first]
    said = {"gru": "retain gradient", "pdu": r"retain \(multiplier\)", "plain": "nothing"}
    with pytest.raises(UserError, match=f"what it carries is {said[first]}, and this training carries {said[second]}"):
        stage(second, 4)(lora_model, context)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from trained_on_ranks import ARGUMENTS, LORA, load_source, ranks, streams, Template
from unlearnkit.losses import NLL
from unlearnkit.stages import Context, Finetune
ranks.start()
for lora in (True, False):
    model = load_source("tiny", sys.argv[2], "float32", dict(LORA) if lora else None, Template())
    folder = Path(sys.argv[3]) / ("lora" if lora else "full")
    if ranks.is_first():
        folder.mkdir(parents=True)
    ranks.barrier()
    terms = {"forget": NLL("forget", -1.0), "retain": NLL("retain")}
    stage = Finetune(terms, 4, batch_size=4, arguments=dict(ARGUMENTS), project={"keep": ["retain"]})
    stage(model, Context(streams(), 0, folder, "acquire"))
ranks.end()
"""


def test_two_ranks_are_one(tiny_folder, tmp_path):
    words = ("-c", PROGRAM, str(TESTS), str(tiny_folder))
    for done in (python(*words, str(tmp_path / "one")), on_ranks(2, *words, str(tmp_path / "two"))):
        assert done.returncode == 0, done.stderr[-3000:]
    for kind in ("lora", "full"):
        logs = [(tmp_path / name / kind / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
        assert len(logs[0]) == len(logs[1]) == 4
        for one, other in zip(*(map(json.loads, log) for log in logs), strict=True):
            for key in ("loss", "grad_norm", "terms/forget", "terms/retain", "projection/cosine"):
                assert one[key] == pytest.approx(other[key], rel=1e-5, abs=1e-5), key
