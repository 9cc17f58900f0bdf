"""A table as Markdown, a picture and JSON.

`NAME.txt` is the table, `NAME.png` its ratios with their intervals on a logarithmic axis and the goals as lines,
`NAME.json` all numbers and what they belong to. Pages include the first two.
"""

import dataclasses
import json
import pathlib

import peers

FOLDER = peers.HERE.parent / "docs" / "performance"
COLOURS = {True: "tab:green", False: "tab:red", None: "tab:blue"}
VOID = "lightgrey"


@dataclasses.dataclass
class Table:
    """A table of ratios to the first contender of each case, which is gmdsl.

    Attributes:
        name: of the files.
        title: of the picture.
        unit: what a unit of work is, with the unit of time, such as "ns per step".
        scale: units of time in a second.
        clock: "cpu" or "wall": by which the goals are judged.
        rows: as `harness.Bench.compare` gives them.
        skipped: (contender, environment) of those whose environment is not there.
        numbers: what the contenders report besides, and is shown: name -> (head, format).
        notes: sentences under the table.
    """

    name: str
    title: str
    unit: str
    scale: float
    clock: str
    rows: list
    skipped: list
    numbers: dict = dataclasses.field(default_factory=dict)
    notes: tuple = ()


def write(table, folder=FOLDER):
    """Writes the three files of a table; the Markdown."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(table)
    (folder / f"{table.name}.txt").write_text(text)
    (folder / f"{table.name}.json").write_text(numbers(table))
    picture(table, folder / f"{table.name}.png")
    return text


def numbers(table):
    """All numbers as JSON, a row of the table on a line; of the pairs, the base's come first."""
    rows = []
    for row in table.rows:
        pairs = row.get("pairs", ())
        keys = [key for key in pairs[0][0] if key in pairs[0][1]] if pairs else []
        told = {key: [[figures(answer[key]) for answer in pair] for pair in pairs] for key in keys}
        rows.append(json.dumps({**{key: figures(value) for key, value in row.items()}, "pairs": told}))
    about = {"table": table.title, "unit": table.unit, "judged by": table.clock, "skipped": table.skipped}
    head = json.dumps({**about, "machine": peers.machine()}, indent=1)
    return head[:-2] + ',\n "rows": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n"


def figures(value):
    """Numbers with five figures, everything else as it is."""
    if isinstance(value, dict):
        return {key: figures(inner) for key, inner in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def met(row, clock):
    """Whether the interval of a row reaches its goal; None without one, or where the row does not count."""
    if row.get("void") or row.get("goal") is None or f"{clock} ratio" not in row:
        return None
    return row[f"{clock} ratio"]["high"] >= row["goal"]


def judged(row, clock):
    """What the table says of a row's goal: a least ratio, or most seconds; or why it is not judged."""
    verdict = {True: "met", False: "**missed**"}
    if row.get("void"):
        return row["void"]
    if row.get("most") is not None:
        return f"≤ {row['most']:g} s {verdict[row['reached']]}"
    reached = met(row, clock)
    return "" if reached is None else f"≥ {number(row['goal'])} {verdict[reached]}"


def markdown(table):
    """The table, its notes, who is missing, and the machine."""
    clocks = ("cpu", "wall")
    names = {"cpu": "CPU", "wall": "wall"}
    heads = ["case", "contender", f"{names[table.clock]} {table.unit}", *(head for head, _ in table.numbers.values())]
    firsts = any("first" in row for row in table.rows)
    heads += [f"{names[c]} ratio" for c in clocks] + [f"goal ({names[table.clock]})"]
    heads += ["first call s", "ratio"] if firsts else []
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    before = None
    for row in table.rows:
        cells = ["" if row["case"] == before else row["case"], row["name"]]
        before = row["case"]
        if "failed" in row:
            lines.append(f"| {' | '.join([*cells, 'failed: ' + row['failed'][:80]])} |{' |' * (len(heads) - 3)}")
            continue
        cells.append(number(row[table.clock] * table.scale))
        for key, (_, form) in table.numbers.items():
            cells.append(form.format(row["medians"][key]) if key in row["medians"] else "")
        cells += [spread(row.get(f"{clock} ratio")) for clock in clocks]
        cells.append(judged(row, table.clock))
        if firsts:
            cells.append(f"{row['first']['wall']:.2f}")
            cells.append(number(row["first ratio"]) if "first ratio" in row else "")
        lines.append(f"| {' | '.join(cells)} |")
    under = [*table.notes, *missing(table)]
    return "\n".join([*lines, "", *under, "", f"Measured on: {peers.described()}.", ""])


def missing(table):
    """Sentences on who was skipped."""
    return [f"Not installed here, and skipped: {name} (`.venv-{where}`)." for name, where in table.skipped]


def spread(ratio):
    """A ratio with its interval."""
    if ratio is None:
        return ""
    return f"{number(ratio['median'])} ({number(ratio['low'])} to {number(ratio['high'])})"


def number(value):
    """Three figures, without an exponent.

    >>> number(0.90909), number(17.234), number(1234.5)
    ('0.909', '17.2', '1234')
    """
    if value == 0:
        return "0"
    digits = next((d for d, least in enumerate((100, 10, 1, 0.1, 0.01)) if abs(value) >= least), 5)
    return f"{value:.{digits}f}" if digits < 3 else f"{value:.3g}"


def picture(table, path):
    """The ratios by the clock of the goals; green where a goal is met, red where it is missed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in table.rows if f"{table.clock} ratio" in row]
    figure, axes = plt.subplots(figsize=(7.5, 1.2 + 0.22 * (len(rows) + len({r["case"] for r in rows}))))
    place, ticks, labels, before = 0.0, [], [], None
    for row in rows:
        if row["case"] != before:
            place, before = place + 1.0, row["case"]
            left = axes.get_yaxis_transform()
            axes.text(0.005, place, row["case"], transform=left, va="center", weight="bold", size=7)
        place += 1.0
        ratio = row[f"{table.clock} ratio"]
        away = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
        colour = VOID if row.get("void") else COLOURS[met(row, table.clock)]
        axes.errorbar(ratio["median"], place, xerr=away, fmt="o", ms=3.5, capsize=2, lw=1, color=colour)
        if row["goal"] is not None:
            axes.plot([row["goal"]] * 2, [place - 0.45, place + 0.45], color="black", lw=1.5)
        ticks.append(place)
        labels.append(row["name"])
    axes.axvline(1.0, color="grey", lw=0.8, ls=":")
    axes.set(
        xscale="log", ylim=(place + 1, 0.2), xlabel=f"times the first contender's {table.clock} time; bar: the goal"
    )
    axes.set_yticks(ticks, labels, size=7)
    axes.set_title(table.title, size=9)
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
