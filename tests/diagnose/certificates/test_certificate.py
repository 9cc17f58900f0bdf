import rich

import gmdsl as gm
from gmdsl.diagnose.certificates.certificate import Row

ROWS = (
    Row("moves", "passed", "13 % of the steps"),
    Row("keeps the law", "failed", "mean of x[0] < 1 & off", "a shift of 0.05 sd"),
    Row("sharded", "not examined", "one device"),
)


def test_one_failed_row_fails_the_certificate_and_what_was_not_examined_does_not():
    assert not gm.Certificate("Walk", ROWS, 1e-3).passed
    assert gm.Certificate("Walk", (ROWS[0], ROWS[2]), 1e-3).passed


def test_the_table_names_the_failed_checks_first_and_says_what_each_would_have_seen():
    text = str(gm.Certificate("Walk", ROWS, 1e-3))
    assert text.splitlines() == [
        "Walk: failed (keeps the law); false-alarm rate at most 0.001",
        "  moves          passed        13 % of the steps",
        "  keeps the law  failed        mean of x[0] < 1 & off",
        "                               sees a shift of 0.05 sd",
        "  sharded        not examined  one device",
    ]
    assert repr(gm.Certificate("Walk", ROWS, 1e-3)) == text


def test_a_row_is_found_by_the_name_of_its_check():
    certificate = gm.Certificate("Walk", ROWS, 1e-3)
    assert certificate["moves"] is ROWS[0]
    assert "moves" in certificate
    assert "bias" not in certificate


def test_notebooks_and_terminals_show_the_verdict_in_colour(capsys):
    certificate = gm.Certificate("Walk", ROWS, 1e-3)
    html = certificate._repr_html_()
    assert "#b00020" in html
    assert "x[0] &lt; 1 &amp; off" in html
    rich.print(certificate)
    shown = capsys.readouterr().out
    assert "mean of x[0] < 1 & off" in shown
    assert "sees a shift of 0.05 sd" in shown
