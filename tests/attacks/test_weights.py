"""Noise, pruning and the way back to the start: what is changed, and that the model itself is not."""

import copy
import math

import pytest
import torch
from attacked import bound, logits, trained
from composed import composed

from unlearnkit.attacks import Interpolate, Noise, Prune
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations
from unlearnkit.measures import AnswerPerplexity, Success
from unlearnkit.run import run


@pytest.mark.parametrize("attack", [Noise(0.1), Prune(0.5), Interpolate(0.5)])
def test_the_model_stays_as_it_was_and_its_start_also_while_it_is_attacked(attack, tiny_model):
    model = trained(tiny_model)
    before, start = logits(model), logits(model, "start")
    held = copy.deepcopy({name: weight for name, weight in model.model.named_parameters()})
    with bound(attack).on(model) as attacked:
        assert not torch.allclose(logits(attacked), before)
        assert torch.equal(logits(attacked, "start"), start) and torch.equal(logits(attacked, "loaded"), start)
        copy_of_its_own = model.weights.lora is None or not isinstance(attack, Interpolate)
        assert torch.equal(logits(model), before) == copy_of_its_own
    assert torch.equal(logits(model), before)
    after = dict(model.model.named_parameters())
    assert all(torch.equal(weight, after[name]) for name, weight in held.items())


@pytest.mark.parametrize(("share", "like"), [(0.0, "current"), (1.0, "start")])
def test_the_ends_of_the_way_are_the_model_and_its_start(share, like, tiny_model):
    model = trained(tiny_model)
    with bound(Interpolate(share)).on(model) as attacked:
        assert torch.allclose(logits(attacked), logits(model, like), atol=1e-5)


def test_half_of_every_matrix_is_zero_and_it_is_the_smaller_half(full_model):
    with bound(Prune(0.5)).on(full_model) as attacked:
        for name, weight in attacked.model.named_parameters():
            whole = dict(full_model.model.named_parameters())[name]
            if weight.dim() < 2:
                assert torch.equal(weight, whole)
                continue
            kept = weight != 0
            assert kept.sum() == weight.numel() - weight.numel() // 2
            assert torch.equal(weight[kept], whole[kept])
            assert whole[~kept].abs().max() <= whole[kept].abs().min()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_equally_small_weights_the_first_are_zero_whatever_piece_they_are_in(dtype, monkeypatch):
    monkeypatch.setattr("unlearnkit.attacks.weights.PIECE", 7)
    network = torch.nn.Linear(10, 4, bias=False, dtype=dtype)
    drawn = torch.randint(-3, 4, (4, 10), generator=torch.Generator().manual_seed(0)).to(dtype)
    for share in (0.1, 0.3, 0.5, 1.0):
        with torch.no_grad():
            network.weight.copy_(drawn)
            Prune(share).change(network, None)
        expected = drawn.flatten().clone()
        expected[torch.argsort(drawn.flatten().abs(), stable=True)[: int(share * 40)]] = 0
        assert torch.equal(network.weight.flatten(), expected)


def test_noise_has_the_size_asked_for_and_another_draw_is_another(full_model):
    def noise(attack):
        with bound(attack).on(full_model) as attacked:
            name = "model.layers.0.mlp.up_proj.weight"
            return dict(attacked.model.named_parameters())[name] - full_model.model.get_parameter(name)

    size = full_model.model.get_parameter("model.layers.0.mlp.up_proj.weight").std()
    first, again, other = noise(Noise(0.1)), noise(Noise(0.1)), noise(Noise(0.1, seed=1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert float(first.std() / size) == pytest.approx(0.1, rel=0.05)


def test_noise_is_measured_in_three_draws_on_all_prompts_and_summed_up_as_their_mean(full_model):
    rows = [Example(n, f"Say {n}?", f"the answer {n}") for n in "abcd"]
    data = Data("made", {}, {"x": {"test": rows}}, {"x": "forget"})
    part = Evaluation({"perplexity": AnswerPerplexity(), "success": Success()}, {"forget": ["perplexity", "success"]})
    evaluations = Evaluations({"own": part}, data, 0)
    attack = bound(Noise(0.5, draws=3))
    records = attack.measure(full_model, evaluations, "it", {"own": []})["own"]
    assert [(r.draw, r.id) for r in records] == [(draw, n) for draw in range(3) for n in "abcd"]
    assert len({r.answer_log_probs[0] for r in records if r.id == "a"}) == 3
    found = evaluations.compute({"own": records})["own"]["x"]
    surprise = [[-sum(r.answer_log_probs) / len(r.answer_log_probs) for r in records if r.id == n] for n in "abcd"]
    expected = math.exp(sum(sum(draws) / 3 for draws in surprise) / 4)
    assert found["perplexity"]["value"] == pytest.approx(expected) and found["perplexity"]["n"] == 4


@pytest.mark.parametrize("of", ["never_knew", "start"])
def test_what_is_kept_of_a_model_under_one_attack_is_not_taken_for_another(of, full_model):
    rows = [Example(n, f"Say {n}?", f"the answer {n}") for n in "abc"]
    data = Data("made", {}, {"x": {"test": rows}}, {"x": "forget"})
    evaluations = Evaluations({"own": Evaluation({"success": Success()}, {"forget": ["success"]})}, data, 0)
    before = {"own": []} if of == "start" else None
    found = [
        bound(attack).measure(full_model, evaluations, "it", before, of)["own"][0].answer_log_probs
        for attack in (Prune(0.1), Prune(0.9), Noise(0.1, draws=1), Noise(0.1, draws=1, seed=1), Prune(0.1))
    ]
    assert len({tuple(own) for own in found}) == 4 and found[0] == found[-1]


@pytest.mark.parametrize("scale", [1e-6, 3.0])
def test_noise_far_below_the_unlearning_leaves_it_and_far_above_covers_it(scale, full_model):
    start = logits(full_model)
    model = trained(full_model)
    moved = (logits(model) - start).norm()
    with bound(Noise(scale)).on(model) as attacked:
        beside = (logits(attacked) - logits(model)).norm()
    assert beside < 1e-3 * moved if scale < 1 else beside > moved


@pytest.mark.parametrize(
    ("setting", "said"), [("share: 1.5", "at most 1"), ("share: -1", "at least 0"), ("share: half", "half")]
)
def test_a_share_that_is_none_is_refused(setting, said, tmp_path):
    from unlearnkit.settings.check import check
    from unlearnkit.settings.run import Run

    cfg = composed(f"+attacks.prune={{_target_: unlearnkit.attacks.Prune, {setting}}}", "model=tiny", "logger=none")
    with pytest.raises(UserError, match=said):
        check(cfg, Run)


def test_attacks_on_the_weights_in_a_run(tmp_path):
    metrics = run(
        composed(
            "+method=ga", "+attack=[prune]", "model=tiny", "logger=none", "train.max_steps=3",
            "train.arguments.learning_rate=0.05", "eval_every=0", "+train.arguments.disable_tqdm=true",
            "eval.safety.limit=3", "eval.safety.max_new_tokens=4", "eval.safety.sets={unlearned: [perplexity]}",
        ),
        tmp_path,
    )  # fmt: skip
    names = [moment["name"] for moment in metrics["moments"]]
    attacks = ["prune_10", "prune_30", "prune_50"]
    assert names == ["start", *(f"{name}/start" for name in attacks), "finetune", *attacks]
    assert list(metrics["recovered"]) == metrics["attacks"] == attacks
