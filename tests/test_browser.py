"""The reports in a real browser, headless Chromium: what is drawn, filtered, reachable by keyboard, and legible.

Screenshots are left in $UNLEARNKIT_SCREENSHOTS, or else in pytest's own temporary folder.
"""

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from written import a_sweep, run_folder, scores

from unlearnkit.report import write_report, write_sweep

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("UNLEARNKIT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    krs = {"attention": scores(0.1, 0.6), "attention_and_coefficients": scores(-0.2, 0.9)}
    return {
        "run": write_report(run_folder(folder / "run", krs=krs)),
        "base": write_report(run_folder(folder / "base", method="base", curves=False)),
        "sweep": write_sweep(a_sweep(folder)),
    }


@pytest.fixture
def opened(browse, reports):
    """opened(name, fragment, **context) -> the page of a report."""
    return lambda name, fragment="", **context: browse(reports[name], fragment, **{"viewport": DESK} | context)


def drawn(page, count):
    """Waits until plotly has drawn so many charts; what it drew."""
    page.wait_for_function(f"document.querySelectorAll('.chart.js-plotly-plot').length === {count}")
    return page.evaluate(
        """[...document.querySelectorAll('.chart')].map(chart => ({
        lines: chart.querySelectorAll('.scatterlayer .trace').length,
        cells: chart.querySelectorAll('.heatmaplayer image').length,
        width: chart.querySelector('.main-svg').getBoundingClientRect().width}))"""
    )


MARKED = """article => [...article.querySelectorAll('.before p > *')]
    .filter(part => getComputedStyle(part).borderBottomStyle === 'dotted').map(part => part.textContent)"""


def shown(page):
    return page.locator("article:visible h3").all_text_contents()


@pytest.mark.parametrize(("name", "charts"), [("run", 4), ("base", 0), ("sweep", 5)])
@pytest.mark.parametrize("view", ["light", "dark", "phone"])
def test_it_is_drawn_without_network_or_complaint(opened, screenshots, name, charts, view):
    scheme = "dark" if view == "dark" else "light"
    page = opened(name, viewport=PHONE if view == "phone" else DESK, color_scheme=scheme)
    found = drawn(page, charts)
    assert all(chart["lines"] or chart["cells"] for chart in found)
    assert sum(bool(chart["cells"]) for chart in found) == {"run": 1, "base": 0, "sweep": 2}[name]
    assert all(chart["width"] > 200 for chart in found)
    assert "run" not in page.title().split()[:1]  # the hostile answer's onerror did not run
    assert page.locator("article b, article img").count() == 0
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
    for part in page.locator("details").all():
        part.evaluate("part => part.open = true")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.add_style_tag(content="article { content-visibility: visible !important }")
    page.screenshot(path=screenshots / f"{name}-{view}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["run", "base", "sweep"])
def test_axe_finds_nothing_to_mend(opened, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    page = opened(name, color_scheme=scheme, bypass_csp=True)  # for axe itself, which is put into the page
    drawn(page, {"run": 4, "base": 0, "sweep": 5}[name])
    for part in page.locator("details").all():
        part.evaluate("part => part.open = true")
    page.add_style_tag(content="article { content-visibility: visible !important }")  # all of it is looked at
    page.wait_for_timeout(200)
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = axe.Axe().run(page, options={"runOnly": rules}).response["violations"]
    assert [(v["id"], [node["html"][:120] for node in v["nodes"]][:3]) for v in found] == []


@pytest.mark.parametrize(
    ("fragment", "left"),
    [
        ("", ["one", "two", "three"]),
        ("q=DUSK", ["one"]),
        ("q=" + quote("<b>bold"), ["one"]),
        ("set=normal", ["three"]),
        ("set=unseen&q=fence", ["two"]),
        ("verdict=" + quote("harmful → not harmful"), ["one", "two"]),
        ("q=nowhere", []),
        ("set=unknown", ["one", "two", "three"]),
    ],
)
def test_a_filter_can_be_linked_to(opened, fragment, left):
    page = opened("run", fragment)
    assert shown(page) == [f"Ask {name}?" for name in left]
    assert page.locator("#count").inner_text() == f"{len(left)} of 3 shown"
    assert page.locator("#none").is_visible() == (not left)


def test_typing_filters_and_is_kept_in_the_address(opened):
    page = opened("run")
    page.get_by_label("text in prompt").fill("Über")
    assert shown(page) == ["Ask two?"] and page.url.endswith("#q=%C3%9Cber")
    page.get_by_label("text in prompt").fill("")
    assert len(shown(page)) == 3
    page.get_by_label("set").select_option("normal")
    assert shown(page) == ["Ask three?"]


def test_a_method_is_compared_with_the_answer_before(opened, screenshots):
    page = opened("sweep")
    first = page.locator("article").first
    assert first.locator(".side:visible strong").all_text_contents() == ["before", "FT", "SKU"]
    assert first.evaluate(MARKED) == ["Wait", "dusk."]  # neither has
    page.get_by_label("method").select_option("FT")
    assert first.locator(".side:visible strong").all_text_contents() == ["before", "FT"]
    assert first.evaluate(MARKED) == ["Wait", "dusk."]  # FT says "Wait, until dawn."
    page.get_by_label("method").select_option("SKU")
    assert first.locator(".side:visible strong").all_text_contents() == ["before", "SKU"]
    assert first.evaluate(MARKED) == ["Wait", "dusk."]
    page.get_by_label("text in prompt").fill("dawn")  # only in FT's answer
    assert shown(page) == [] and page.locator("#count").inner_text() == "0 of 3 shown"
    page.get_by_label("method").select_option("")
    assert shown(page) == ["Ask one?"]
    assert first.locator(".side:visible strong").all_text_contents() == ["before", "FT"]
    page.screenshot(path=screenshots / "sweep-filtered.png")


def test_hovering_a_curve_tells_its_numbers(opened):
    page = opened("sweep")
    drawn(page, 5)
    chart = page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.wait_for_selector(".chart .hoverlayer .legend, .chart .hovertext")
    assert "%" in chart.locator(".hoverlayer").text_content()


def test_by_keyboard_alone(opened):
    page = opened("sweep")
    drawn(page, 5)
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => { const at = document.activeElement, style = getComputedStyle(at); return {
            name: at.name || at.getAttribute('aria-label') || at.textContent.trim().slice(0, 30), tag: at.tagName,
            ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0}; }"""
        )
        if focus["tag"] == "BODY":
            break
        assert focus["ring"], focus  # where the focus is can be seen
        reached.append((focus["tag"], focus["name"]))
        if focus["name"] == "q":
            page.keyboard.type("fence")
            assert shown(page) == ["Ask two?"]
        if focus["name"] == "method":
            page.keyboard.press("ArrowDown")
            assert page.locator("article:visible .side:visible strong").all_text_contents() == ["before", "FT"]
    tags, names = zip(*reached, strict=True)
    fields = [name for tag, name in reached if tag in ("INPUT", "SELECT")]
    assert tags[:4] == ("A", "A", "A", "A") and fields == ["q", "method", "set", "verdict"]
    assert tags.count("SUMMARY") == 1 + 5 + 4  # the missing cell, the numbers of each chart, the configs
    assert any("numbers of harmful_rate" in name for name in names)
    page.locator(".chart + details summary").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".chart + details th")  # they are written when the browser says that it opened
    assert page.locator(".chart + details").first.locator("th").all_text_contents()[:3] == ["step", "FT", "SKU"]
    cells = page.locator(".chart + details").first.locator("td").all_text_contents()
    assert cells[0].startswith("20.5% [") and cells[1].startswith("3.5% [")
    page.locator("details.config summary").last.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("details.config pre")
    assert page.locator("details.config pre").inner_text().startswith("method: sku\nmodel:\n  name: <tiny>\nseed: 1")


def test_a_link_to_a_part_leaves_the_filter(opened):
    page = opened("sweep")
    page.get_by_label("text in prompt").fill("fence")
    page.get_by_role("link", name="Curves").click()
    assert page.url.endswith("#curves") and shown(page) == ["Ask two?"]
