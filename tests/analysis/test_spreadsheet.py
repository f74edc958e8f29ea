"""Spreadsheets show the text of a table; they do not compute it."""

import pandas as pd
import pytest

from analysis.spreadsheet import to_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "＝1"])
def test_a_formula_becomes_text(text):
    table = to_csv(pd.DataFrame({text: ["a"], "value": [text]}))
    assert table == f"'{text},value\na,'{text}\n"


@pytest.mark.parametrize("number", [-0.5, -3, "-1e-3", "+2"])
def test_a_number_stays_a_number(number):
    assert to_csv(pd.DataFrame({"x": [number]})) == f"x\n{number}\n"
