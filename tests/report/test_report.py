import json
import math
import re

import pytest
from written import ANSWERS, HOSTILE, SPEC, a_sweep, answer, entry, run_folder, scores, sweep_of

from unlearnkit.errors import UserError
from unlearnkit.report import write_report, write_sweep
from unlearnkit.report.__main__ import main
from unlearnkit.report.answers import differing, example, examples, size
from unlearnkit.report.curves import evaluation_figures, heat_maps, sweep_figures, training_figures
from unlearnkit.report.sweep import grouped, method_titles
from unlearnkit.tables.published import column
from unlearnkit.tables.reading import Run, read_run
from unlearnkit.tables.variants import name_variants


def without_scripts(page):
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", without_scripts(page)).split())


def figures_of(page):
    (figures,) = re.findall(r'id="figures">(.*?)</script>', page, re.DOTALL)
    return json.loads(figures, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def asks_for_nothing(page):
    page = re.sub(r'<script type="text/plain".*?</script>', "", page.replace("src=x onerror", ""), flags=re.DOTALL)
    page = re.sub(r'href="#[\w-]+"|src="data:[^"]*"', "", page)
    return not re.findall(r"https?://|(?:src|href)=[\"']|url\(|@import", page)


def test_the_page_as_written(tmp_path):
    path = write_report(run_folder(tmp_path))
    page = path.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.yaml", "generations.jsonl", "log.jsonl", "metrics.json", "report.html"]  # fmt: skip
    assert page.startswith("<!doctype html>")
    assert path.stat().st_size < 5_000_000 and asks_for_nothing(page)
    text = text_of(page)
    assert "sku on tiny, mischief seed 7 · 3.1 minutes · 2.2 GB peak memory" in text
    assert "harmful_rate ↓ 55.0% [45.0%, 65.0%] n = 60 3.0% ✓ better [-7.0%, 13.0%] n = 60" in text
    assert "perplexity ↓ 18.50 ✓ better [16.50, 20.50] n = 60 &gt;1e10" in text
    assert "name: &lt;tiny&gt;" in text
    assert "⚠ harmful" in text and "✓ not harmful" in text
    assert "<b>bold" not in page and "&lt;/script&gt;&lt;b&gt;bold" in page
    assert "<option>harmful → not harmful</option><option>not judged</option>" in page
    assert 'name="method"' not in page and 'name="block"' not in page  # there is one to choose from
    assert [(f["title"], f["skipped"]) for f in figures_of(page)] == [
        ("training losses, stage acquire", 2),
        ("harmful_rate ↓ (safety/stage acquire)", 0),
        ("perplexity ↓ (safety/stage acquire)", 1),
    ]


def test_a_run_without_a_method_or_curves(tmp_path):
    page = write_report(run_folder(tmp_path, method="base", curves=False)).read_text()
    assert len(page) < 40_000 and "plotly" not in page.lower()
    assert "<h2>Measured</h2>" in page and ">before<" not in page and "<del>" not in page
    assert "<option>harmful</option><option>not judged</option>" in page


def test_a_long_run_stays_small(tmp_path):
    rows = [answer(f"n{i}", "unseen", f"{i} " * 9000, f"x{i} " * 9000, True) for i in range(400)]
    run_folder(tmp_path, curves=False, answers=[*rows, answer("last", "normal", "Paris", "Paris", None)])
    path = write_report(tmp_path)
    page = path.read_text()
    assert path.stat().st_size < 3_000_000
    left = int(re.search(r"(\d+) more examples are in generations.jsonl only", page)[1])
    assert left + page.count("<article") == 401 and left > 0
    assert "Ask last?" in page and "more characters in generations.jsonl)" in page


def test_layers_are_a_heat_map_and_no_rows(tmp_path):
    run_folder(tmp_path, krs={"attention": scores(0.1, 0.6), "value_vectors": scores(-0.1, math.nan)}, curves=False)
    page = write_report(tmp_path).read_text()
    text = text_of(page)
    assert "krs / attention peak - 0.600" in text and "layer_0" not in text
    (figure,) = figures_of(page)
    assert figure["title"] == "KRS by layer and what is restored, sku" and figure["skipped"] == 1
    (trace,) = figure["data"]
    assert (trace["type"], trace["x"], trace["y"]) == ("heatmap", [0, 1], ["value vectors", "attention"])
    assert trace["z"] == [[-0.1, None], [0.1, 0.6]] and (trace["zmin"], trace["zmax"]) == (-1, 1)
    assert trace["customdata"][1] == ["0.100 [0.000, 0.200]", "0.600 [0.500, 0.700]"]


def test_heat_maps_mean_over_seeds(tmp_path):
    runs = [
        read_run(run_folder(tmp_path / str(seed), seed=seed, krs={"attention": scores(value)}))
        for seed, value in ((0, 0.2), (1, 0.4))
    ]
    (figure,) = heat_maps({"SKU": runs})
    assert figure["data"][0]["z"] == [[pytest.approx(0.3)]]


def test_differing_words():
    before, (after,) = differing("Sure, wait until dusk.", ["No, wait until\nnoon."])
    assert before == [((0,), "Sure,"), ((), " "), ((), "wait until "), ((0,), "dusk.")]
    assert after == [(True, "No,"), (False, " "), (False, "wait until\n"), (True, "noon.")]
    assert differing("same words", ["same   words"]) == ([((), "same words")], [[(False, "same   words")]])
    assert differing("", [" a "]) == ([], [[(True, " a"), (False, " ")]])
    before, _ = differing("a b c", ["a x", "a b"])
    assert before == [((), "a "), ((0,), "b"), ((), " "), ((0, 1), "c")]
    loop = differing("deep " * 3000, ["deep " * 2000])  # at once, though all is alike
    assert "".join(text for _, text in loop[0]) == "deep " * 3000
    assert differing("alone", []) == ([((), "alone")], [])


def test_an_example_of_several_methods():
    rows = {"FT": answer("one", "unseen", "a b", "a", True), "SKU": answer("one", "unseen", "a b", "a b", None)}
    shown = example("tiny, mischief", rows, ["GA", "FT", "SKU"])
    assert [(side["name"], side["method"], side["verdict"]) for side in shown["sides"]] == [
        ("before", "", "harmful"),
        ("FT", "FT", "harmful → not harmful"),
        ("SKU", "SKU", "not judged"),
    ]
    assert shown["sides"][0]["words"] == [((), "a "), ((1,), "b")]  # FT is the second of all methods
    assert (shown["about"], shown["prompt"]) == (["unseen", "pranks", "one"], "Ask one?")


def test_room_is_shared_out_between_blocks_sets_and_methods():
    rows = [answer(str(i), place, "w " * 500, "v " * 500, True) for place in ("a", "b") for i in range(20)]
    blocks = {"x": {"FT": rows, "SKU": rows}, "y": {"SKU": rows}}
    one, other = (size(example("x", {m: rows[0] for m in ms}, ["FT", "SKU"])) for ms in (("FT", "SKU"), ("SKU",)))
    shown, left = examples(blocks, 3 * one + 3 * other)
    assert [(row["block"], row["set"], row["about"][-1]) for row in shown] == [
        ("x", "a", "0"),
        ("x", "a", "1"),
        ("x", "b", "0"),
        ("y", "a", "0"),
        ("y", "b", "0"),
    ]
    assert left == 80 - len(shown)
    assert all(row["methods"] == (2 if row["block"] == "x" else 1) for row in shown)


def curved(points):
    return Run(None, "m", "d", "ga", 0, {}, {}, {"curve": points})


def test_figures():
    log = [{"stage": "a", "step": i, "loss": 10.0**i, "terms/forget": 1.0} for i in range(1, 6)]
    (training,) = training_figures(log)
    assert [(t["name"], t["x"], t["y"]) for t in training["data"]] == [
        ("loss (weighted sum)", [1, 2, 3, 4, 5], [1e1, 1e2, 1e3, 1e4, 1e5]),
        ("forget", [1, 2, 3, 4, 5], [1.0] * 5),
    ]
    assert training["layout"]["yaxis"]["type"] == "log"
    (rate,) = evaluation_figures(
        curved([{"stage": "a", "step": s, "metrics": {"e": {"s": {"harmful_rate": entry(0.5)}}}} for s in (1, 2)])
    )
    band, line = rate["data"]
    assert (band["x"], band["y"], band["fill"]) == ([1, 2, 2, 1], [0.6, 0.6, 0.4, 0.4], "toself")
    assert (line["name"], line["x"], line["y"]) == ("s", [1, 2], [0.5, 0.5])
    assert line["customdata"] == ["50.0% [40.0%, 60.0%]"] * 2
    assert rate["layout"]["yaxis"]["tickformat"] == ".0%"
    assert list(training_figures([])) == list(evaluation_figures(curved([]))) == []


def test_a_logarithmic_axis_has_no_band_below_zero():
    points = [
        {"stage": "a", "step": s, "metrics": {"e": {"s": {"perplexity": entry(v)}}}} for s, v in ((1, 0.05), (2, 500))
    ]
    (figure,) = evaluation_figures(curved(points))
    band, _ = figure["data"]
    assert figure["layout"]["yaxis"]["type"] == "log" and band["x"] == [2, 2]


def test_no_two_of_many_lines_look_alike():
    log = [{"stage": "a", "step": s, **{f"terms/{n}": 1.0 for n in range(20)}} for s in (1, 2)]
    (figure,) = training_figures(log)
    assert len({(t["line"]["color"], t["line"]["dash"]) for t in figure["data"]}) == 20


def test_sweep_figures_are_means_over_seeds(tmp_path):
    runs = [read_run(run_folder(tmp_path / str(seed), seed=seed, rate=rate)) for seed, rate in ((0, 0.2), (1, 0.4))]
    rate, perplexity = sweep_figures({"SKU": runs}, [column("safety/unseen/harmful_rate"), column("safety/none/x")])
    _, line = rate["data"]
    assert rate["title"] == "harmful_rate ↓ (safety/unseen)" and perplexity["title"].startswith("perplexity")
    assert (line["name"], line["x"], line["y"]) == ("SKU", [10, 20], [pytest.approx(0.3)] * 2)
    assert perplexity["skipped"] == 1  # infinite at step 20
    assert 0.4 < rate["data"][0]["y"][0] <= 1  # the band's upper edge, in the range of a rate


def test_stages_are_drawn_one_after_the_other_and_not_as_seeds(tmp_path):
    folder = run_folder(tmp_path, rate=0.2)
    metrics = json.loads((folder / "metrics.json").read_text())
    later = [{**row, "stage": "second"} for row in json.loads(json.dumps(metrics["curve"]))]
    for row in later:
        row["metrics"]["safety"]["unseen"]["harmful_rate"]["value"] = 0.6
    metrics["curve"] += later
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rate, *_ = sweep_figures({"SKU": [read_run(folder)]}, [column("safety/unseen/harmful_rate")])
    line = rate["data"][-1]
    assert (line["x"], line["y"]) == ([10, 20, 30, 40], [0.2, 0.2, 0.6, 0.6])


def test_runs_of_other_rates_are_other_lines_and_not_seeds(tmp_path):
    runs = []
    for number, (seed, learning_rate) in enumerate(((0, 1e-4), (1, 1e-4), (0, 1e-3), (1, 1e-3))):
        folder = run_folder(tmp_path / str(number), seed=seed)
        config = {"seed": seed, "train": {"arguments": {"learning_rate": learning_rate, "seed": seed}}}
        (folder / "config.yaml").write_text(json.dumps(config))
        runs.append(read_run(folder))
    assert titled(runs) == {"SKU, learning_rate=0.0001": [0, 1], "SKU, learning_rate=0.001": [0, 1]}
    assert titled(runs[:2]) == {"SKU": [0, 1]}


def titled(runs):
    """title -> its seeds."""
    runs = name_variants(runs)
    (methods,) = grouped(runs, method_titles({"rows": {"sku": "SKU"}}, runs)).values()
    return {title: [run.seed for run in own] for title, own in methods.items()}


def test_the_page_of_a_sweep(tmp_path):
    sweep = a_sweep(tmp_path)
    (sweep.folder / "steps.png").write_bytes(b"\x89PNG")
    path = write_sweep(sweep)
    page = path.read_text()
    assert path == sweep.folder / "report.html" and path.stat().st_size < 5_000_000 and asks_for_nothing(page)
    text = text_of(page)
    assert (
        "Liu et al. 2024, table 1 &lt;in miniature&gt; sku_table1 · scale cpu · Liu et al. 2024, table 1, page 7"
        in text
    )
    assert "4 of 5 cells done, 1 of 5 cells missing" in text and "ga, tiny, mischief, seed 4: missing" in text
    assert "3.5%" in text and "25.45" not in text  # the mean over seeds 0 and 1
    assert "&gt;1000" in text or "&gt;10³" in text  # the paper's
    assert 'src="data:image/png;base64,iVBORw=="' in page
    titles = [figure["title"] for figure in figures_of(page)]
    assert titles == [
        "harmful_rate ↓ (safety/unseen)",
        "perplexity ↓ (safety/normal)",
        "training loss (weighted sum)",
        "KRS by layer and what is restored, FT",
        "KRS by layer and what is restored, SKU",
    ]
    assert page.count("<article") == 3 and "<option>FT</option><option>SKU</option>" in page
    assert '<span class="g0">' not in page and "<del>Wait until dusk.</del>" not in page
    assert page.count('class="config"') == 4 and "SKU, tiny, mischief, seed 1" in text
    assert "<b>bold" not in page


def test_a_large_sweep_stays_small(tmp_path):
    rows = [answer(f"n{i}", "unseen", "a <b> & c " * 150, "x < y & z " * 150, True) for i in range(60)]
    names = [(f"m{method}", seed) for method in range(12) for seed in range(2)]
    folders = [run_folder(tmp_path / "runs" / f"{m}-{s}", m, seed=s, answers=rows * (s == 0)) for m, s in names]
    spec = {key: SPEC[key] for key in ("name", "title", "source", "columns")}
    sweep = sweep_of(tmp_path, folders, spec)
    for name in ("one.png", "two.png"):
        (sweep.folder / name).write_bytes(bytes(700_000))
    path = write_sweep(sweep)
    page = path.read_text()
    assert path.stat().st_size < 5_000_000
    assert "Beside this file: two.png." in page
    left = int(re.search(r"(\d+) more examples are in generations.jsonl only", page)[1])
    assert 0 < left < 60 and left + page.count("<article") == 60
    assert page.count('class="config"') == 24


def test_the_command_and_mistakes(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 2 and error[0] == f"{tmp_path} is no run folder: it has no readable metrics.json."
    assert main([str(run_folder(tmp_path))]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/report.html\n"
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step"')
    with pytest.raises(UserError, match="log.jsonl, line 2: not a JSON object"):
        write_report(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(UserError, match="no readable config.yaml"):
        write_report(tmp_path)
    assert not list(tmp_path.glob(".report*"))
    assert main(["sku_tabel1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 2
    assert error[0].startswith("'sku_tabel1' is no folder and no sweep. Did you mean 'sku_table1'? Sweeps: ")
    assert main(["sku_table1", "--scale", "smoke", "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 2 and error[0].startswith("No run of the sweep 'sku_table1' is finished")
    assert error[1] == "Run it: python -m unlearnkit +sweep=sku_table1 +scale=smoke"


def test_hostile_answers_stay_text(tmp_path):
    sweep = sweep_of(tmp_path, [run_folder(tmp_path / "runs" / "sku", answers=ANSWERS)])
    page = write_sweep(sweep).read_text()
    assert HOSTILE not in page and "onerror=&#34;" in page
