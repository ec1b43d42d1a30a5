"""TOFU on the tiny model: every number against one plain forward an answer, and whole runs beside their control."""

import json
import math
import zlib
from statistics import fmean

import pytest
import torch
from composed import composed
from hydra.utils import instantiate
from scipy.stats import hmean, ks_2samp

from unlearnkit.controls import NEVER_KNEW
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluations, Point
from unlearnkit.measure.runs import measure_run
from unlearnkit.records.record import read_parquet, records_path
from unlearnkit.run import run

QUICK = (
    *("model=tiny", "data=tofu", "data.authors=3", "logger=none", "train.max_steps=2", "eval_every=0"),
    *("eval.tofu.limit=6", "eval.tofu.max_new_tokens=4", "+train.arguments.disable_tqdm=true"),
    "+target.stage.arguments.disable_tqdm=true",
)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Of its own: what other tests taught must not say what is taught here."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("UNLEARNKIT_CACHE", str(folder))
        yield folder


def plain(model, prompt, answer):
    """(log-probabilities, hits, deviations) of an answer's tokens, from one forward of its own."""
    before, after = model.template.encode(model.tokenizer, prompt, answer)
    with torch.no_grad(), model.current() as network:
        logits = network(input_ids=torch.tensor([[*before, *after]])).logits[0, len(before) - 1 : -1].double()
    every = logits.log_softmax(-1)
    own = every[torch.arange(len(after)), torch.tensor(after)]
    mean = (every.exp() * every).sum(-1)
    spread = ((every.exp() * every**2).sum(-1) - mean**2).sqrt()
    return own.tolist(), (logits.argmax(-1) == torch.tensor(after)).tolist(), ((own - mean) / spread).tolist()


def worked_out(model, data, control):
    """The numbers of `eval=tofu` from sums over rows, as the papers have them."""
    found = {}
    for name, splits in data.sets.items():
        found[name] = []
        for row in splits["test"]:
            own, hits, above = plain(model, row.prompt, row.response)
            loss = -fmean(own)
            lowest, rarest = (sorted(row)[: max(1, int(0.4 * len(row)))] for row in (own, above))
            told = {
                "probability": math.exp(-loss),
                "loss": loss,
                "zlib": loss / len(zlib.compress(row.response.encode())),
            }
            told |= {"min_k": -fmean(lowest), "min_k_plus_plus": -fmean(rarest), "exact_memorisation": fmean(hits)}
            told["extraction_strength"] = 1 - min(k for k in range(len(hits) + 1) if all(hits[k:])) / len(hits)
            if row.alternatives:
                wrong = [fmean(plain(model, row.prompt, text)[0]) for text in row.alternatives["wrong"]]
                right = [fmean(plain(model, row.prompt, t)[0]) for t in row.alternatives.get("paraphrases", ())]
                ratio = math.exp(fmean(wrong)) / math.exp(right[0] if right else -loss)
                paper = fmean(map(math.exp, wrong)) / math.exp(right[0] if right else -loss)
                told["probability_normalised"] = math.exp(-loss) / (math.exp(-loss) + sum(map(math.exp, wrong)))
                told |= {"truth_ratio": min(ratio, 1 / ratio), "truth_ratio_arithmetic": min(paper, 1 / paper)}
                told |= {"truth_ratio_true": max(0, 1 - ratio), "truth_ratio_share": 1 / (1 + ratio), "ratio": ratio}
                told |= {"paraphrase_probability": math.exp(right[0])} if right else {}
            found[name].append(told)
    numbers = {
        name: {measure: fmean(row[measure] for row in rows) for measure in rows[0]} for name, rows in found.items()
    }
    for score in ("loss", "zlib", "min_k", "min_k_plus_plus"):
        pairs = [(a[score], b[score]) for a in found["forget"] for b in found["holdout"]]
        numbers["forget"][f"{score}_auc"] = fmean((b > a) + (b == a) / 2 for a, b in pairs)
    ratios = [row["ratio"] for row in found["forget"]]
    if control is not None:
        numbers["forget"]["forget_quality"] = ks_2samp(ratios, control["ratios"]).pvalue
        leak = (1 - numbers["forget"]["min_k_auc"]) / (1 - control["auc"]) - 1
        numbers["forget"]["privleak"] = 100 * leak
    return numbers, {"ratios": ratios, "auc": numbers["forget"]["min_k_auc"]}


def test_every_number_equals_one_from_plain_forwards(tmp_path):
    words = (
        "data.forget=forget05",
        "eval.tofu.max_new_tokens=12",
        "eval.tofu.limit=null",
        "eval.tofu.generate_limit=null",
    )
    config = composed(*QUICK, *words)
    data = instantiate(config.data, _convert_="all")
    for splits in data.sets.values():
        del splits["test"][7:]
    evaluations = Evaluations(instantiate(config.eval, _convert_="all"), data, 0)
    control, model = instantiate(config.model, _convert_="all"), instantiate(config.model, _convert_="all")
    torch.manual_seed(0)
    with torch.no_grad():
        for network in (control.model, model.model):
            for weight in network.parameters():
                weight.add_(0.3 * torch.randn_like(weight) * weight.std())
    known = evaluations.measure(control, Point("test", control=True), original={"tofu": []})  # nothing is kept of it
    start = evaluations.measure(model, Point("test"), original={"tofu": []})
    numbers = evaluations.compute(start, {NEVER_KNEW: known})["tofu"]
    wanted, _ = worked_out(model, data, worked_out(control, data, None)[1])
    seen = 0
    for name, measures in numbers.items():
        for measure, number in measures.items():
            if measure in wanted.get(name, {}):
                assert number["value"] == pytest.approx(wanted[name][measure], abs=2e-5, rel=1e-4), (name, measure)
                seen += 1
    assert seen == 20
    parts = [
        numbers["retain"]["probability"],
        *(numbers[name]["probability_normalised"] for name in ("real_authors", "world_facts")),
        *(
            numbers[name][measure]
            for name in ("retain", "real_authors", "world_facts")
            for measure in ("rouge_l_recall", "truth_ratio_true")
        ),
    ]
    values = [part["value"] for part in parts]
    assert numbers["all"]["model_utility"]["value"] == pytest.approx(hmean(values) if all(values) else 0)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return folder, run(composed("+method=npo", *QUICK), folder)


def values(numbers):
    return {
        (name, measure): number["value"]
        for name, measures in numbers["tofu"].items()
        for measure, number in measures.items()
    }


def test_a_run_and_its_control(first, cache):
    folder, metrics = first
    assert [moment["name"] for moment in metrics["moments"]] == [NEVER_KNEW, "start", "finetune"]
    control = values(metrics["moments"][0]["numbers"])
    assert control["forget", "forget_quality"] == 1 and control["forget", "privleak"] == 0
    for when in ("before", "after"):
        assert {"forget_quality", "privleak"} < set(metrics[when]["tofu"]["forget"])
        assert metrics[when]["tofu"]["forget"]["probability"]["n"] == 6
    rows = read_parquet(records_path(folder, NEVER_KNEW, "tofu"))
    assert {row.set for row in rows} == {"forget", "retain", "real_authors", "world_facts", "holdout"}
    taught = sorted(json.loads(path.read_text())["rows"] for path in cache.glob("targets/*/target.json"))
    assert taught == [30, 50]  # without the twenty that are forgotten, and with them


def test_another_method_finds_the_control(first, tmp_path, cache):
    metrics = run(composed("+method=ga_gd", *QUICK), tmp_path)
    assert len(list(cache.glob("targets/*/target.json"))) == 2
    assert metrics["moments"][0]["numbers"] == first[1]["moments"][0]["numbers"]
    assert metrics["before"] == first[1]["before"]


def test_stored_records_stand_for_the_control(first, tmp_path):
    path = records_path(first[0], NEVER_KNEW, "tofu")
    metrics = run(composed("+method=npo", *QUICK, f"controls.never_knew.records={path}"), tmp_path)
    assert values(metrics["after"]) == pytest.approx(values(first[1]["after"]))


def test_without_a_control(first, tmp_path):
    metrics = run(composed("+method=npo", *QUICK, "controls.never_knew=null"), tmp_path)
    assert [moment["name"] for moment in metrics["moments"]] == ["start", "finetune"]
    left = set(first[1]["after"]["tofu"]["forget"]) - set(metrics["after"]["tofu"]["forget"])
    assert left == {"forget_quality", "privleak"}


def test_measured_later_it_has_its_own_numbers(first):
    name = measure_run(first[0])
    metrics = json.loads((first[0] / "metrics.json").read_text())
    held = {moment["name"]: values(moment["numbers"]) for moment in metrics["moments"]}
    assert held[name] == pytest.approx(held["finetune"], abs=1e-6)
    assert held[f"{name}/start"] == pytest.approx(held["start"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data.retain=retain99",), "The retain split 'retain99' does not belong to the forget split 'forget10'"),
        (("target=none",), "the target is the model as it is"),
        (("controls.never_knew.records=nowhere.json",), "No records at nowhere.json"),
        (("controls.never_knew.hub=a/b", "controls.never_knew.path=c"), "The control is given twice"),
    ],
)
def test_what_a_user_can_mend(words, said, tmp_path):
    with pytest.raises(Exception) as error:  # noqa: PT011  Hydra's stands around it
        taught = [word for word in QUICK if "target=none" not in words or "target.stage" not in word]
        run(composed("+method=npo", *taught, *words), tmp_path)
    found = error.value if isinstance(error.value, UserError) else error.value.__cause__
    assert isinstance(found, UserError) and said in found.what and found.fix


def test_with_all_that_is_dearer(first, tmp_path, capsys):
    """The classifier cannot be had here, which is said; the control's own privacy is 1."""
    nowhere = f"eval.tofu.fluency.model={tmp_path / 'nowhere'}"
    metrics = run(composed("+method=npo", *QUICK, "eval=tofu_whole", nowhere), tmp_path / "run")
    assert capsys.readouterr().out.count("Fluency is left out") == 1
    control, after = metrics["moments"][0]["numbers"]["tofu"], metrics["after"]["tofu"]
    assert control["all"]["privacy"]["value"] == pytest.approx(1.0)
    assert {"gradient_norm_auc", "reference_auc"} < set(after["forget"]) and "fluency" not in after["forget"]
    known = [
        after["forget"][name]["value"]
        for name in ("extraction_strength", "exact_memorisation", "paraphrase_probability", "truth_ratio_share")
    ]
    assert after["all"]["memorisation"]["value"] == pytest.approx(hmean([1 - value for value in known]))
    rows = read_parquet(records_path(tmp_path / "run", "after", "tofu"))
    norms = {s: [row.gradient_norm for row in rows if row.set == s] for s in ("forget", "holdout")}
    pairs = [(a, b) for a in norms["forget"] for b in norms["holdout"]]
    assert after["forget"]["gradient_norm_auc"]["value"] == pytest.approx(
        fmean((b > a) + (a == b) / 2 for a, b in pairs)
    )
    if "utility" in after["all"]:  # of a start without any there is none
        parts = [after["all"][name]["value"] for name in ("memorisation", "privacy", "utility")]
        assert after["all"]["overall"]["value"] == pytest.approx(hmean(parts) if all(parts) else 0.0)
