"""scripts.report, and its page in a headless Chromium where there is one (apt-get install chromium)."""

import itertools

import pytest

from scripts import report
from tests.support.browser import CHROMIUM, Browser
from tests.support.program_calls import run
from tests.support.run_folders import CLASSES, write_run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of two runs, one of them with every section."""
    folder = tmp_path_factory.mktemp("runs")
    second = write_run(folder / "second")
    for name in ("tsne.npz", "predictions.npz", "part_clouds.npz", "pixel_points.npz", "retrieval.png"):
        (second / name).unlink()
    run(report, write_run(folder / "first"), second, "--out", folder / "new" / "page.html")
    return folder / "new" / "page.html"


def test_the_page_goes_into_the_folder_of_the_first_run_unless_told_otherwise(page, tmp_path, capsys):
    run(report, write_run(tmp_path / "tiny"))
    assert (tmp_path / "tiny" / "report.html").is_file()
    assert f"wrote {tmp_path / 'tiny' / 'report.html'}" in capsys.readouterr().out
    assert page.is_file()
    assert not (page.parent.parent / "first" / "report.html").exists()


def test_a_folder_or_another_kind_of_file_as_out_is_refused(tmp_path):
    folder = write_run(tmp_path / "tiny")
    for out, message in ((tmp_path, "is a folder"), (folder / "config.json", "written as HTML; name it config.html")):
        with pytest.raises(ValueError, match=f"--out .* {message}"):
            run(report, folder, "--out", out)


def test_nothing_is_written_when_a_run_is_at_fault(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(report, write_run(tmp_path / "tiny"), tmp_path / "nowhere", "--out", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; apt-get install chromium")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium, page):
    """The page, opened anew; a fault on its console fails the test."""
    chromium.faults.clear()
    chromium.open(page)
    yield chromium
    assert chromium.faults == []


COLOURS_IN = """(selector) => [...document.querySelectorAll(selector)].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
})"""
PIXELS_OF_COLOUR = """([selector, name]) => {
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const wanted = colour(name).match(/\\d+/g).map(Number);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) found += wanted.every((value, band) => data[i + band] === value);
  return found;
}"""
TIP = "(({ hidden, firstChild }) => hidden ? '' : firstChild.textContent)(document.getElementById('tip'))"
PIXELS_OF = "(selector) => document.querySelector(selector).toDataURL()"


def ask(browser, function, selector):
    return browser.run(f"({function})({selector!r})")


@pytest.mark.parametrize("view", [{}, {"dark": True}, {"width": 360, "phone": True}], ids=["light", "dark", "phone"])
def test_the_page_shows_every_section_and_draws_every_canvas(chromium, page, view):
    chromium.faults.clear()
    chromium.open(page, **view)
    ids = chromium.run("[...document.querySelectorAll('section')].map((section) => section.id)")
    assert ids == ["runs", "results", "curves", "tsne", "confusion", "parts", "pixels", "rooms", "sheet"]
    colours = ask(chromium, COLOURS_IN, "main canvas:not(details canvas)")
    assert len(colours) > 10
    assert min(colours) > 1, "a blank canvas"
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than its window"
    assert chromium.run("document.querySelector('#sheet img').naturalWidth") == 1
    assert chromium.faults == []


def count(browser, selector, name):
    return browser.run(f"({PIXELS_OF_COLOUR})({[selector, name]!r})")


def test_the_cells_of_the_matrix_and_the_lines_of_both_runs_are_drawn_in_their_colours(browser):
    assert count(browser, "#confusion figure canvas", "c0") > 100
    assert count(browser, "#curves figure canvas", "c1") > 20  # the second run's lines lie on the first one's
    browser.click("#curves .chooser button:nth-child(2)")
    assert count(browser, "#curves figure canvas", "c0") > 20
    assert count(browser, "#curves figure canvas", "c1") == 0


def test_a_click_turns_to_the_next_shape_and_the_chooser_to_another_category(browser):
    def said():
        return browser.run("document.querySelector('#parts .block > .readout').textContent")

    assert said().startswith("cap, shape 1 of 2")
    before = ask(browser, PIXELS_OF, "#parts canvas.turnable")
    browser.click("#parts .chooser button:last-child")
    assert said().startswith("cap, shape 2 of 2")
    assert ask(browser, PIXELS_OF, "#parts canvas.turnable") != before
    browser.middle("#parts select")
    browser.run("document.querySelector('#parts select').focus()")
    browser.press("ArrowDown")
    assert said().startswith("mug, shape 1 of 3")


def test_dragging_or_an_arrow_key_turns_both_clouds(browser):
    both = [f"#parts .pair figure:nth-child({n}) canvas" for n in (1, 2)]
    before = [ask(browser, PIXELS_OF, canvas) for canvas in both]
    x, y = browser.middle(both[0])
    browser.mouse("mouseMoved", x, y)
    browser.mouse("mousePressed", x, y, buttons=1)
    browser.mouse("mouseMoved", x + 40, y + 10, buttons=1)
    browser.mouse("mouseReleased", x + 40, y + 10)
    browser.settle()
    dragged = [ask(browser, PIXELS_OF, canvas) for canvas in both]
    browser.run(f"document.querySelector({both[1]!r}).focus()")
    browser.press("ArrowLeft")
    keyed = [ask(browser, PIXELS_OF, canvas) for canvas in both]
    assert all(len({a, b, c}) == 3 for a, b, c in zip(before, dragged, keyed))


def test_pixels_and_points_of_another_shape_are_shown_and_its_cloud_turns(browser):
    def shown():
        said = browser.run("document.querySelector('#pixels .block > .readout').textContent")
        sizes = "[...document.querySelectorAll('#pixels img')].map((image) => image.naturalWidth)"
        return said, browser.run(sizes), ask(browser, PIXELS_OF, "#pixels canvas.turnable")

    before = shown()
    assert before[0].startswith("chair/a: 25.0 % of pixels")
    browser.click("#pixels .chooser button:last-child")
    after = shown()
    assert after[0] == "mug/b: 50.0 % of pixels find their own point or one near it, by chance 2.0 %"
    assert before[1] == after[1] == 3 * [9, 4, 4]
    assert after[2] != before[2]
    browser.run("document.querySelector('#pixels canvas.turnable').focus()")
    browser.press("ArrowLeft")
    assert shown()[2] != after[2]


def test_the_pointer_on_a_dot_names_its_class_as_text(browser):
    x, y = browser.middle("#tsne canvas:not(.swatch)")
    tips = set()
    for step, rise in itertools.product(range(-150, 151, 30), repeat=2):
        browser.mouse("mouseMoved", x + step, y + rise)
        tips.add(browser.run(TIP))
    assert len(tips - {""}) > 1
    assert tips <= {"", *CLASSES}


def test_a_chosen_class_comes_to_the_front_and_goes_back(browser):
    def pressed():
        return browser.run("document.querySelectorAll('#tsne button[aria-pressed=true]').length")

    before = ask(browser, PIXELS_OF, "#tsne canvas:not(.swatch)")
    browser.click("#tsne .legend button")
    assert pressed() == 1
    assert ask(browser, PIXELS_OF, "#tsne canvas:not(.swatch)") != before
    browser.click("#tsne .legend button")
    assert pressed() == 0


def test_cells_of_the_confusion_matrix_tell_true_predicted_and_count(browser):
    browser.click("#confusion .aside button")
    said = browser.run("document.querySelector('#confusion .readout').textContent")
    assert said == f"true {CLASSES[0]}, predicted {CLASSES[1]}, 1 of 2 (50.0 %)"
    browser.run("document.querySelector('#confusion figure canvas').focus()")
    browser.press("ArrowDown")
    said = browser.run("document.querySelector('#confusion .readout').textContent")
    assert said == f"true {CLASSES[1]}, predicted {CLASSES[1]}, 1 of 1 (100.0 %)"


def test_a_run_can_be_left_out_of_the_curves_and_the_crosshair_reads_an_epoch(browser):
    def said():
        return browser.run("document.querySelector('#curves .readout').textContent")

    assert said() == "at the end: 1 / 1"
    browser.click("#curves .chooser button")
    assert said() == "at the end: 1"
    browser.run("document.querySelector('#curves canvas[tabindex]').focus()")
    browser.press("ArrowRight")
    assert said() == "epoch 0: second  3"


def test_the_results_stand_side_by_side(browser):
    text = browser.run("document.querySelector('#results table').innerText")
    assert [word for word in text.split() if word in ("random", "first", "second")] == ["random", "first", "second"]
    assert "12.5" in text
    assert "+37.5" in text


def test_the_colour_scheme_can_be_chosen(browser):
    paper = "getComputedStyle(document.body).backgroundColor"
    auto = browser.run(paper)
    browser.click(".scheme")
    assert browser.run(paper) == auto
    browser.click(".scheme")
    assert browser.run(paper) != auto
