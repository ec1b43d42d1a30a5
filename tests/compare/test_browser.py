"""The page of a comparison in headless Chromium: its width, its colours, its contents by keyboard, and no complaint."""

import pytest
from compared import record, write_run
from written import HOSTILE

from unlearnkit.compare import compare
from unlearnkit.compare.page import page

WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Three runs with long settings and answers that are hostile, endless or empty."""
    folder = tmp_path_factory.mktemp("compared")
    answers = [(HOSTILE, "No."), ("x" * 900, ""), ("Wait until dusk.", "Wait until dawn.")]
    settings = [{"train": {"note": note}} for note in ("a_long_word_" * 30, "short", None)]
    runs = []
    for number, (name, config) in enumerate(zip("abc", settings, strict=True)):
        rows = [record(n, n + number < 6, n + number, pair[min(number, 1)]) for n, pair in enumerate(answers * 3)]
        runs.append(write_run(folder / name, "ga" if number else "npo", rows, seed=number, **config))
    path = folder / "compared.html"
    path.write_text(page(compare(runs)))
    return path


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_sideways_scroll_in_either_scheme(browse, path, width, scheme):
    shown = browse(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
    for part in shown.locator("details").all():
        part.evaluate("part => part.open = true")
    shown.add_style_tag(content="article { content-visibility: visible !important }")
    assert shown.evaluate(WIDTH) <= width
    assert shown.title() == "npo and ga and ga, compared"
    assert shown.locator("article b, article img").count() == 0
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


def test_the_contents_by_keyboard(browse, path):
    shown = browse(path, viewport={"width": 1300, "height": 400})
    links = shown.locator("nav a")
    assert links.all_text_contents() == ["Configs", "A and B", "A and C", "Answers"]
    for number in range(links.count()):
        shown.evaluate("scrollTo(0, 0)")
        links.nth(number).focus()
        shown.keyboard.press("Enter")
        place = links.nth(number).get_attribute("href")
        assert shown.locator(place).is_visible() and shown.url.endswith(place)
    assert shown.locator(".scroll").count() == shown.locator(".scroll[tabindex='0'][aria-label]").count() >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_mend(browse, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    shown = browse(path, color_scheme=scheme, bypass_csp=True)  # for axe itself, which is put into the page
    shown.add_style_tag(content="article { content-visibility: visible !important }")
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = axe.Axe().run(shown, options={"runOnly": rules}).response["violations"]
    assert [(v["id"], [node["html"][:120] for node in v["nodes"]][:3]) for v in found] == []
