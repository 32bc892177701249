import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from tests.support.run_folders import CLASSES, record, write_results, write_run
from utils.page.page import build_page, embed_json, run_names


class Elements(HTMLParser):
    """Tags, those that end an element as "/tag", with their attributes and the text that follows each."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        self.handle_starttag(f"/{tag}", {})

    def handle_data(self, text):
        if self.found:
            self.found[-1][-1] += text


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return build_page([write_run(tmp_path_factory.mktemp("runs") / "a <run> & $more")])


def data_of(page):
    (text,) = (text for _, attributes, text in Elements(page).found if attributes.get("id") == "data")
    return json.loads(text)


def test_names_with_markup_stay_text(page):
    data = data_of(page)
    assert tuple(data["tsne"][0]["content"]["classes"]) == CLASSES
    assert data["runs"][0]["name"] == "a <run> & $more"
    assert not {"b", "run"} & {tag for tag, *_ in Elements(page).found}
    assert "<title>a &lt;run&gt; &amp; $more</title>" in page


def test_json_in_the_page_has_no_mark_that_html_or_old_scripts_read_and_no_figure_that_is_no_number():
    nasty = {"</script>": "<!--<script>", "lines": "\u2028\u2029", "amp": "&lt;"}
    text = embed_json(nasty)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == nasty
    with pytest.raises(ValueError, match="JSON"):
        embed_json({"value": float("nan")})


def test_the_page_asks_for_nothing_from_elsewhere(page):
    for tag, attributes, _ in Elements(page).found:
        assert not {"src", "href", "style", "onclick"} & attributes.keys(), (tag, attributes)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_the_policy_allows_the_pages_own_script_and_style_alone(page):
    found = Elements(page).found
    (policy,) = (a["content"] for _, a, _ in found if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("script", "style"):
        (text,) = (text for name, attributes, text in found if name == tag and not attributes)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_sections_name_the_run_they_are_of(tmp_path):
    write_results(tmp_path / "plain", record())
    data = data_of(build_page([tmp_path / "plain", write_run(tmp_path / "full")]))
    assert [run["name"] for run in data["runs"]] == ["plain", "full"]
    assert [item["run"] for item in data["parts"]] == [1]
    assert data["results"]["columns"] == ["random", "plain", "full"]
    assert data["runs"][1]["reports"][0]["file"] == "results.json"


def test_runs_of_the_same_name_are_told_apart_by_their_paths_and_the_same_run_twice_is_refused(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert run_names(paths) == [str(path) for path in paths]
    assert run_names([tmp_path / "a" / "x", tmp_path / "b" / "y"]) == ["x", "y"]
    with pytest.raises(ValueError, match="the same run"):
        run_names([tmp_path, tmp_path / "." / "x" / ".."])
