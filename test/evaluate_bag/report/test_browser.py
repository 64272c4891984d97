"""The page in a real browser that has no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from errseg_ros.evaluate_bag.report import PAGE, write_report
from errseg_ros.evaluate_bag.results import Evaluation

Make = Callable[..., Evaluation]
WIDTHS = (1280, 400)
SECTIONS = [
    "Headline figures",
    "Problems and missing classes",
    "IoU per class",
    "What is taken for what",
    "Class shares over time",
    "Frame by frame",
    "Latency",
    "Worst frames",
    "Best frames",
    "Bags",
    "Vocabularies",
    "How it was computed",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Headless, offline, with a log of its console and of its requests."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium (or google-chrome) and chromedriver")
    options = Options()
    options.binary_location = program
    # A root user has no sandbox, a container a small /dev/shm.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    chrome.set_page_load_timeout(120)
    chrome.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield chrome
    chrome.quit()


def open_page(browser: Chrome, evaluation: Evaluation, folder: Path, width: int = 1280) -> None:
    """Write the report and open its page in a window of `width` pixels."""
    write_report(evaluation, folder)
    browser.get_log("browser")
    browser.get_log("performance")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((folder / PAGE).as_uri())


def requests(browser: Chrome) -> list[str]:
    """Addresses that were asked for since the page was opened."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith("data:")]


def texts(browser: Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def ask(browser: Chrome, expression: str) -> Any:
    return browser.execute_script(f"return {expression}")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_hostile_evaluation_is_a_clean_page(
    browser: Chrome, troubled: Evaluation, tmp_path: Path, width: int
) -> None:
    open_page(browser, troubled, tmp_path, width)
    assert requests(browser) == [(tmp_path / PAGE).as_uri()]
    assert browser.get_log("browser") == []
    headings = browser.find_elements(By.TAG_NAME, "h2")
    assert [heading.text for heading in headings] == SECTIONS
    assert all(heading.is_displayed() for heading in headings)
    assert ask(browser, "innerWidth") == width
    assert ask(browser, "document.documentElement.scrollWidth") <= width
    assert ask(browser, "document.scripts.length") == 0


def test_pictures_and_charts_are_seen(browser: Chrome, troubled: Evaluation, tmp_path: Path) -> None:
    open_page(browser, troubled, tmp_path)
    sizes = ask(browser, "[...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.width, i.alt.length])")
    assert len(sizes) == 8
    tops = ask(browser, "[...document.querySelectorAll('#worst img')].map(i => i.getBoundingClientRect().top)")
    assert len(tops) == 4 and len(set(tops)) == 1  # side by side
    assert all(min(size) > 0 for size in sizes)
    charts = ask(browser, "[...document.querySelectorAll('svg')].map(s => [s.clientWidth, s.clientHeight])")
    assert len(charts) == 4
    assert all(width > 600 and height > 100 for width, height in charts)


def test_classes_are_in_the_order_of_their_iou(browser: Chrome, make_evaluation: Make, tmp_path: Path) -> None:
    evaluation = make_evaluation()
    assert evaluation.truth is not None
    counts = evaluation.truth.confusion.counts
    counts[:, 2] = counts[2, :] = 0  # nobody has a road
    open_page(browser, evaluation, tmp_path)
    iou = dict(zip(evaluation.truth.classes, evaluation.truth.confusion.iou().tolist(), strict=True))
    del iou["road"]
    shown = texts(browser, "table.classes tbody th")
    assert shown == [*sorted(iou, key=lambda name: -iou[name]), "road"]
    figures = texts(browser, "table.classes td.iou")
    assert figures == [*(f"{iou[name] * 100:.1f} %" for name in shown[:-1]), "–"]
    bars = ask(
        browser, "[...document.querySelectorAll('td.bar span')].map(b => b.offsetWidth / b.parentNode.offsetWidth)"
    )
    assert bars == pytest.approx([iou[name] for name in shown[:-1]], abs=0.02)


def test_names_are_read_as_they_were_given(
    browser: Chrome, troubled: Evaluation, hostile: tuple[str, ...], tmp_path: Path
) -> None:
    open_page(browser, troubled, tmp_path)
    assert set(texts(browser, "table.classes tbody th")) == set(hostile)
    assert "zweite fahrt" in browser.find_element(By.CSS_SELECTOR, "header .on").text
    assert "80.0 % of the published" in browser.find_element(By.CSS_SELECTOR, ".cards").text
    assert browser.find_element(By.CSS_SELECTOR, ".banner").is_displayed()
    labels = ask(browser, "[...document.querySelectorAll('#confusion svg text')].map(t => t.textContent)")
    assert {"车道 سيارة 🚗", "$x_1$ and \\frac"} <= set(labels)


def test_links_lead_to_sections(browser: Chrome, troubled: Evaluation, tmp_path: Path) -> None:
    open_page(browser, troubled, tmp_path)
    targets = ask(browser, "[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href').slice(1))")
    assert targets == ask(browser, "[...document.querySelectorAll('main > section')].map(s => s.id)")


@pytest.mark.parametrize("width", WIDTHS)
def test_without_labels_their_sections_are_not_there(
    browser: Chrome, make_evaluation: Make, tmp_path: Path, width: int
) -> None:
    open_page(browser, make_evaluation(labelled=False, frames=3), tmp_path, width)
    left = [title for title in SECTIONS if title not in ("IoU per class", "What is taken for what", "Vocabularies")]
    assert texts(browser, "h2") == [*left[:-1], "Vocabulary", left[-1]]
    assert "NaN" not in browser.find_element(By.TAG_NAME, "body").text
    assert ask(browser, "document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_847_classes_do_not_make_an_endless_page(
    browser: Chrome, make_evaluation: Make, tmp_path: Path, width: int
) -> None:
    open_page(browser, make_evaluation(classes=[f"class {k}" for k in range(847)]), tmp_path, width)
    assert len(browser.find_elements(By.CSS_SELECTOR, "table.classes tbody tr")) == 847
    assert ask(browser, "document.documentElement.scrollHeight") < 12000
    assert ask(browser, "document.documentElement.scrollWidth") <= width
