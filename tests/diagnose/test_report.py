import io

import pytest
import rich.console

from gmdsl.diagnose.report import Finding, Report, listed, percent, report

FINDINGS = (
    Finding("a", "ok", "nothing"),
    Finding("b", "failed", "x < 3 & y", "Mend it."),
    Finding("c", "note", "not examined: no model"),
)


def test_the_status_is_that_of_the_worst_finding_and_a_note_is_ok():
    assert Report(FINDINGS).status == "failed"
    assert Report(FINDINGS[::2]).status == "ok"
    assert Report((*FINDINGS[::2], Finding("d", "suspect", ""))).status == "suspect"
    assert Report(()).status == "ok"


def test_findings_are_found_by_name():
    found = Report(FINDINGS)
    assert found["b"].advice == "Mend it."
    assert "b" in found
    assert "z" not in found
    with pytest.raises(KeyError):
        found["z"]


def test_the_worst_comes_first_with_its_advice_below_it():
    lines = str(Report(FINDINGS)).splitlines()
    assert lines[0] == "status: failed"
    assert lines[1].split() == ["b", "failed", "x", "<", "3", "&", "y"]
    assert lines[2].strip() == "-> Mend it."
    assert [line.split()[0] for line in lines[3:]] == ["c", "a"]


def test_a_notebook_gets_the_text_escaped_and_a_terminal_a_table():
    html = Report(FINDINGS)._repr_html_()
    assert html.startswith("<pre><b style='color:#b00020'>status: failed</b>")
    assert "x &lt; 3 &amp; y" in html
    console = rich.console.Console(file=io.StringIO(), width=100)
    console.print(Report(FINDINGS))
    text = console.file.getvalue()
    assert text.index("x < 3 & y") < text.index("-> Mend it.") < text.index("not examined: no model")


def test_nothing_to_say_is_left_out():
    assert report([FINDINGS[0], None]).findings == FINDINGS[:1]


def test_shares_and_lists_are_short():
    assert percent(0.12345) == "12.3 %"
    assert listed(["a", "b", "c"], most=3) == "a, b, c"
