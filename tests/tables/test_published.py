"""A paper's column, where its number stands and which way the paper calls better; old folders by today's names."""

import json

import pytest
import yaml

from unlearnkit.configuration import FOLDER
from unlearnkit.tables.published import column
from unlearnkit.tables.reading import points_of, read_run

# Every column of the sweeps: the number's place, the role of its set, the direction.
COLUMNS = {
    # Liu et al. 2024: fewer harmful answers, lower perplexity, higher BLEURT (section 5.3 and table 1's ranking).
    "safety/unlearned/harmful_rate": ("safety/unlearned/harmful_rate", "forget", "lower"),
    "safety/unlearned/perplexity": ("safety/unlearned/perplexity", "forget", "lower"),
    "safety/unseen/harmful_rate": ("safety/unseen/harmful_rate", "holdout", "lower"),
    "safety/unseen/perplexity": ("safety/unseen/perplexity", "holdout", "lower"),
    "safety/normal/perplexity": ("safety/normal/perplexity", "retain", "lower"),
    "safety/normal/bleurt": ("safety/normal/bleurt", "retain", "higher"),
    # Tian et al. 2024: the arrows of table 2's header.
    "scopes/unlearn/unlearn_success": ("scopes/unlearn/success", "forget", "higher"),
    "scopes/unlearn/unlearn_perplexity": ("scopes/unlearn/answer_perplexity", "forget", "higher"),
    "scopes/retention/retention_success": ("scopes/retention/success", "retain", "higher"),
    "scopes/retention/retention_perplexity": ("scopes/retention/answer_perplexity", "retain", "lower"),
    "scopes/unlearn/rouge_l_as_published": ("scopes/unlearn/rouge_l_as_published", "forget", "lower"),
    "scopes/retention/rouge_l_as_published": ("scopes/retention/rouge_l_as_published", "retain", "higher"),
    "scopes/both/average_success": ("scopes/both/average_success", None, "higher"),
    "scopes/unlearn_prefixed/unlearn_success": ("system/scopes/unlearn/success", "forget", "higher"),
    "scopes/retention_prefixed/retention_success": ("system/scopes/retention/success", "retain", "higher"),
    "scopes/both_prefixed/average_success": ("system/scopes/both/average_success", None, "higher"),
    "guard/unlearn/unlearn_success": ("guard/unlearn/success", "forget", "higher"),
    "guard/retention/retention_success": ("guard/retention/success", "retain", "higher"),
    "guard/unlearn_prefixed/unlearn_success": ("system/guard/unlearn/success", "forget", "higher"),
    "guard/retention_prefixed/retention_success": ("system/guard/retention/success", "retain", "higher"),
    **{
        f"general/{task}/acc": (f"general/{task}/acc", None, "higher")
        for task in ("mmlu", "arc_challenge", "truthfulqa_mc1", "social_iqa", "race", "average")
    },
    "cost/finetune/seconds_a_step": ("cost/finetune/seconds_a_step", None, "lower"),
    "cost/finetune/peak_memory_gb": ("cost/finetune/peak_memory_gb", None, "lower"),
    # Hong et al. 2024: unlearning lowers BLEU on the concept and leaves the other (section 4); KRS has no side.
    "concepts/target/bleu_as_published": ("concepts/target/bleu_as_published", "forget", "lower"),
    "concepts/unrelated/bleu_as_published": ("concepts/unrelated/bleu_as_published", "retain", "higher"),
    # Maini et al. 2024: forgotten is what looks as to a model that never knew.
    "tofu/forget/forget_quality": ("tofu/forget/forget_quality", "forget", "higher"),
    "tofu/forget/truth_ratio": ("tofu/forget/truth_ratio", "forget", "higher"),
    "tofu/forget/extraction_strength": ("tofu/forget/extraction_strength", "forget", "lower"),
    "tofu/forget/min_k_auc": ("tofu/forget/min_k_auc", "forget", None),
    "tofu/all/model_utility": ("tofu/all/model_utility", None, "higher"),
    # Shi et al. 2025, MUSE: less is known of what is forgotten; of a leak zero is best.
    "muse/knowmem_forget/knowmem": ("muse/knowmem_forget/knowmem", "forget", "lower"),
    "muse/knowmem_retain/knowmem": ("muse/knowmem_retain/knowmem", "retain", "higher"),
    "verbmem/verbmem_forget/verbmem": ("verbmem/verbmem_forget/verbmem", "forget", "lower"),
    "muse/privleak_forget/privleak": ("muse/privleak_forget/privleak", "forget", None),
    # Ours, every method under every attack.
    "robustness/forget/probability": ("robustness/forget/probability", "forget", "lower"),
    "robustness/forget/rouge_l_recall": ("robustness/forget/rouge_l_recall", "forget", "lower"),
    "robustness/retain/probability": ("robustness/retain/probability", "retain", "higher"),
    "robustness/retain/rouge_l_recall": ("robustness/retain/rouge_l_recall", "retain", "higher"),
    # Jin et al. 2024, RWKU: of the loss on what is forgotten neither way is better by itself.
    **{
        f"rwku/forget_level{n}/rouge_l_recall": (f"rwku/forget_level{n}/rouge_l_recall", "forget", "lower")
        for n in (1, 2, 3)
    },
    **{
        f"rwku/neighbor_level{n}/rouge_l_recall": (f"rwku/neighbor_level{n}/rouge_l_recall", "retain", "higher")
        for n in (1, 2)
    },
    "rwku/forget_membership/loss": ("rwku/forget_membership/loss", "forget", None),
    "rwku/retain_membership/loss": ("rwku/retain_membership/loss", "retain", None),
    "rwku/forget_membership/min_k_auc": ("rwku/forget_membership/min_k_auc", "forget", None),
    # Li et al. 2024, WMDP: fewer right answers on what is hazardous.
    "general/wmdp_bio/acc": ("general/wmdp_bio/acc", "forget", "lower"),
    "general/wmdp_cyber/acc": ("general/wmdp_cyber/acc", "forget", "lower"),
    **{
        f"krs/{setting}/peak": (f"krs/{setting}/peak", None, None)
        for setting in ("coefficients", "value_vectors", "attention", "attention_and_coefficients")
    },
}

EARLIER = {  # of run folders, no longer of sweeps
    "scopes/unlearn/unlearn_rouge_l": ("scopes/unlearn/rouge_l", "forget", "lower"),
    "scopes/retention/retention_rouge_l": ("scopes/retention/rouge_l", "retain", "higher"),
    "concepts/target/target_bleu": ("concepts/target/bleu", "forget", "lower"),
    "concepts/unrelated/unrelated_bleu": ("concepts/unrelated/bleu", "retain", "higher"),
}


def test_every_column_of_every_sweep_is_here():
    specs = [yaml.safe_load(path.read_text()) for path in (FOLDER / "sweep").glob("*.yaml")]
    assert {key for spec in specs for key in (spec.get("sweep", {}).get("columns") or {})} == COLUMNS.keys()


@pytest.mark.parametrize("key", [*COLUMNS, *EARLIER])
def test_where_it_stands_and_which_way_is_better(key):
    found = column(key)
    assert ("/".join(found), found.display.role, found.display.better) == {**COLUMNS, **EARLIER}[key]
    assert column("/".join(found)) == found  # today's name is its own


def number(value):
    return {"value": value, "low": value, "high": value, "n": 9, "seed": 0}


def test_a_folder_of_an_earlier_version_is_read_by_today_s_names(tmp_path):
    before = {
        "scopes": {"unlearn": {"unlearn_success": number(0.1)}, "both_prefixed": {"average_success": number(0.4)}}
    }
    after = {
        "scopes": {"unlearn": {"unlearn_success": number(0.9)}, "both_prefixed": {"average_success": number(0.6)}},
        "facts": {"edited": {"forgotten_rate": number(0.7)}, "others": {"known_rate": number(0.8)}},
    }
    curve = [{"stage": "finetune", "step": 5, "metrics": {"concepts": {"target": {"target_bleu": number(50.0)}}}}]
    run = {"method": "ga", "model": "m", "data": "d", "seed": 0}
    body = {"run": run, "before": before, "after": after, "curve": curve}
    (tmp_path / "metrics.json").write_text(json.dumps(body))
    read = read_run(tmp_path)
    assert {"/".join(c): e.value for c, e in read.after.items()} == {
        "scopes/unlearn/success": 0.9,
        "system/scopes/both/average_success": 0.6,
        "facts/edited/success_whole": 0.7,
        "facts/others/success_whole": 0.8,
    }
    assert [c.display.better for c in read.after] == ["higher"] * 4
    (bleu,) = points_of(read)
    assert bleu == ("concepts", "target", "bleu") and bleu.display.better == "lower"
