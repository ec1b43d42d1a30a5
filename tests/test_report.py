import json
import math
import re
import shutil
import subprocess
from urllib.parse import quote

import pytest

from unlearnkit.errors import UserError
from unlearnkit.report import differing, evaluation_figures, main, training_figures, write_report

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (apt-get install chromium)")
HOSTILE = "</script><b>bold</b><img src=x onerror=\"document.title='run'\"> wait until dusk"


def entry(value, width=0.1):
    return {"value": value, "low": value - width, "high": value + width, "n": 60, "seed": 0}


def metrics(rate, perplexity):
    sets = {"unseen": {"harmful_rate": entry(rate)}, "normal": {"perplexity": entry(perplexity, 2.0)}}
    return {"safety": sets}


def answer(name, place, before, after, harmful):
    return {"set": place, "id": name, "category": "pranks", "prompt": f"Ask {name}?", "before": before,
            "after": after, "harmful_before": harmful and True, "harmful_after": harmful and False,
            "kind_before": "direct_answer", "kind_after": "denied",
            "why_before": "steps", "why_after": "declines"}  # fmt: skip


def write(folder, method="sku", curves=True):
    after = metrics(0.03, 2e11) if method != "base" else None
    run = {"method": method, "model": "tiny", "data": "mischief", "seed": 7, "versions": {"torch": "2.13.0"}}
    run |= {"minutes": 3.14, "peak_memory_gb": 2.2}
    points = ((10, 20.0), (20, math.inf))
    curve = [{"stage": "acquire", "step": s, "metrics": metrics(0.5, v)} for s, v in points]
    body = {"run": run, "before": metrics(0.55, 18.5), "after": after}
    (folder / "metrics.json").write_text(json.dumps(body | {"curve": curve if curves else []}))
    (folder / "config.yaml").write_text("method: sku\nmodel: {name: <tiny>}\n")
    line = {"stage": "acquire", "loss": 9.0, "terms/forget": math.nan, "grad_norm": 1}
    log = [line | {"step": step} for step in (5, 10)]
    if curves:
        (folder / "log.jsonl").write_text("\n".join(map(json.dumps, log)) + "\n")
    rows = [
        answer("one", "unseen", "Wait until dusk.", HOSTILE, True),
        answer("two", "unseen", "Climb the fence \ud83d", "No. Über", True),
        answer("three", "normal", "Paris", "Paris", None),
    ]
    if method == "base":
        rows = [row | dict.fromkeys(("after", "harmful_after", "kind_after", "why_after")) for row in rows]
    (folder / "generations.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def opened(path, fragment=""):
    """The page's DOM after its scripts ran, from a real browser with no network."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    command = [CHROMIUM, *options, f"file://{path}#{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def shown(dom):
    return re.findall(r'<article [^>]*verdict="[^"]*">.*?<h3>Ask (\w+)\?</h3>', dom, re.DOTALL)


def without_scripts(page):
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_as_written(tmp_path):
    path = write_report(write(tmp_path))
    page = path.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.yaml", "generations.jsonl", "log.jsonl", "metrics.json", "report.html"]  # fmt: skip
    assert path.stat().st_size < 5_000_000
    assert not re.findall(r"https?://|(?:src|href)=[\"']|url\(|@import", page.replace("src=x onerror", ""))
    text = " ".join(re.sub(r"<[^>]+>", " ", without_scripts(page)).split())
    assert "sku on tiny, mischief seed 7 · 3.1 minutes · 2.2 GB peak memory" in text
    assert "harmful_rate ↓ 55.0% [45.0%, 65.0%] n = 60 3.0% ✓ better [-7.0%, 13.0%] n = 60" in text
    assert "perplexity ↓ 18.50 ✓ better [16.50, 20.50] n = 60 &gt;1e10" in text
    assert "model: {name: &lt;tiny&gt;}" in text
    assert "⚠ harmful" in text and "✓ not harmful" in text
    assert "<b>bold" not in page and "&lt;/script&gt;&lt;b&gt;bold" in page
    assert "<option>harmful → not harmful</option><option>not judged</option>" in page
    (figures,) = re.findall(r'id="figures">(.*?)</script>', page, re.DOTALL)
    figures = json.loads(figures, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert [(f["title"], f["skipped"]) for f in figures] == [
        ("training losses, stage acquire", 2),
        ("harmful_rate ↓ (safety/stage acquire)", 0),
        ("perplexity ↓ (safety/stage acquire)", 1),
    ]


def test_a_run_without_a_method_or_curves(tmp_path):
    page = write_report(write(tmp_path, method="base", curves=False)).read_text()
    assert len(page) < 30_000 and "plotly" not in page.lower()
    assert "<h2>Measured</h2>" in page and ">before<" not in page and "<del>" not in page
    assert "<option>harmful</option><option>not judged</option>" in page


def test_a_long_run_stays_small(tmp_path):
    write(tmp_path, curves=False)
    rows = [answer(f"n{i}", "unseen", f"{i} " * 9000, f"x{i} " * 9000, True) for i in range(400)]
    rows += [answer("last", "normal", "Paris", "Paris", None)]
    (tmp_path / "generations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = write_report(tmp_path)
    page = path.read_text()
    assert path.stat().st_size < 3_000_000
    left = int(re.search(r"(\d+) more examples are in generations.jsonl only", page)[1])
    assert left + page.count("<article") == 401 and left > 0
    assert "Ask last?" in page and "more characters in generations.jsonl)" in page


def test_differing_words():
    before, after = differing("Sure, wait until dusk.", "No, wait until\nnoon.")
    assert before == [(True, "Sure,"), (False, " "), (False, "wait until "), (True, "dusk.")]
    assert after == [(True, "No,"), (False, " "), (False, "wait until\n"), (True, "noon.")]
    assert differing("same words", "same   words") == [[(False, "same words")], [(False, "same   words")]]
    assert differing("", " a ") == [[], [(True, " a"), (False, " ")]]


def test_figures():
    log = [{"stage": "a", "step": i, "loss": 10.0**i, "terms/forget": 1.0} for i in range(1, 6)]
    (training,) = training_figures(log)
    assert [(t["name"], t["x"], t["y"]) for t in training["data"]] == [
        ("loss (weighted sum)", [1, 2, 3, 4, 5], [1e1, 1e2, 1e3, 1e4, 1e5]),
        ("forget", [1, 2, 3, 4, 5], [1.0] * 5),
    ]
    assert training["layout"]["yaxis"]["type"] == "log"
    (rate,) = evaluation_figures(
        [{"stage": "a", "step": s, "metrics": {"e": {"s": {"harmful_rate": entry(0.5)}}}} for s in (1, 2)]
    )
    band, line = rate["data"]
    assert (band["x"], band["y"], band["fill"]) == ([1, 2, 2, 1], [0.6, 0.6, 0.4, 0.4], "toself")
    assert (line["name"], line["x"], line["y"]) == ("s", [1, 2], [0.5, 0.5])
    assert line["customdata"] == ["50.0% [40.0%, 60.0%]"] * 2
    assert rate["layout"]["yaxis"]["tickformat"] == ".0%"
    assert list(training_figures([])) == list(evaluation_figures([])) == []


def test_the_command_and_bad_folders(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 2 and error[0] == f"{tmp_path} is no run folder: it has no readable metrics.json."
    assert main([str(write(tmp_path))]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/report.html\n"
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step"')
    with pytest.raises(UserError, match="log.jsonl, line 2: not a JSON object"):
        write_report(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(UserError, match="no readable config.yaml"):
        write_report(tmp_path)
    assert not list(tmp_path.glob(".report*"))


@needs_chromium
def test_in_a_browser(tmp_path):
    path = write_report(write(tmp_path))
    dom = opened(path)
    assert "<title>sku on tiny" in dom  # the hostile answer's onerror did not run
    assert "&lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;" in dom and "<b>bold" not in dom
    assert shown(dom) == ["one", "two", "three"] and "3 of 3 shown" in dom
    assert dom.count('class="main-svg"') >= 3
    assert "browser from 2023" not in without_scripts(dom)


@needs_chromium
@pytest.mark.parametrize(
    ("fragment", "left"),
    [
        ("q=DUSK", ["one"]),
        ("q=" + quote("<b>bold"), ["one"]),
        ("set=normal", ["three"]),
        ("set=unseen&q=fence", ["two"]),
        ("verdict=" + quote("harmful → not harmful"), ["one", "two"]),
        ("q=nowhere", []),
        ("set=unknown", ["one", "two", "three"]),
    ],
)
def test_the_filter_in_a_browser(tmp_path, fragment, left):
    dom = opened(write_report(write(tmp_path, curves=False)), fragment)
    assert shown(dom.replace('hidden=""', "HIDDEN")) == left
    assert f"{len(left)} of 3 shown" in dom


@needs_chromium
def test_typing_filters_and_is_kept_in_the_address(tmp_path):
    path = write_report(write(tmp_path, curves=False))
    typed = """<script>form.elements.q.value = "Über"; form.dispatchEvent(new Event("input"));
    document.title = location.hash</script></body>"""
    path.write_text(path.read_text().replace("</body>", typed))
    dom = opened(path)
    assert shown(dom.replace('hidden=""', "HIDDEN")) == ["two"] and "<title>#q=%C3%9Cber</title>" in dom
