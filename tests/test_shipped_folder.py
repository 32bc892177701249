"""What lies in pretrained/ keeps its promises: small files, whole cards, features as when they were made."""

import pytest

from models.weights.shipped import SHIPPED, shipped_names
from tests.support.shipped_weights import check_shipped
from utils.markdown import replace_section
from utils.results.shipping import SECTION, read_cards, tables_of


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_weights_are_what_their_card_says(name):
    check_shipped(SHIPPED, name)


def test_the_table_is_that_of_the_cards():
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert replace_section(text, SECTION, tables_of(read_cards(SHIPPED))) == text
