#!/usr/bin/env python3
"""Draws the chart of the README from the table in results.md, for light and dark pages.

    python3 benches/peers/plot.py           writes speed-light.svg and speed-dark.svg beside this file
    python3 benches/peers/plot.py --check   fails if the files differ from what it would write

Needs nothing but Python 3. To draw another run, replace the table by the output of the program.
"""

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

# The rows of the chart: their label, and their first cells in the table.
ROWS = [
    ("1 KiB", "1 KiB", "AWS-LC"),
    ("64 KiB", "64 KiB", "AWS-LC"),
    ("1 MiB", "1 MiB", "AWS-LC"),
    ("16 MiB", "16 MiB", "AWS-LC"),
    ("16 MiB, pure Rust", "16 MiB", "pure Rust"),
]
SERIES = ["strongroom", "aws-esdk 1.2.4", "age 0.12.1"]
BYTES = {"KiB": 1 << 10, "MiB": 1 << 20}

THEMES = {
    "light": {"text": "#1f2328", "quiet": "#59636e", "grid": "#d1d9e0", "bars": ["#0969da", "#bf8700", "#8c959f"]},
    "dark": {"text": "#f0f6fc", "quiet": "#9198a1", "grid": "#3d444d", "bars": ["#4493f8", "#d29922", "#656c76"]},
}
WIDTH, LEFT, RIGHT, TOP = 820, 150, 90, 64
BAR, GAP, GROUP = 13, 3, 62


def read_table():
    """Returns the rows as dictionaries by the names of the columns."""
    lines = [line for line in (FOLDER / "results.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row)) for row in cells[2:]]


def gigabytes_per_second(cell, size):
    """Converts a figure: a rate stays, and a time becomes the rate of a message of this size."""
    number, unit = re.match(r"([\d.]+) (GB/s|µs)", cell).groups()
    return float(number) if unit == "GB/s" else size / float(number) / 1000


def measured(table):
    """Returns for each row of the chart its label and the encryption rates of all series."""
    found = []
    for label, size, backend in ROWS:
        [row] = [row for row in table if row["message"] == f"encrypt {size}" and row["backend"] == backend]
        number, unit = size.split()
        found.append((label, [gigabytes_per_second(row[name], int(number) * BYTES[unit]) for name in SERIES]))
    return found


def draw(rows, theme):
    """Returns the chart as SVG. The bars are linear, from 0 to 10 GB/s."""
    scale = (WIDTH - LEFT - RIGHT) / 10
    height = TOP + GROUP * len(rows) + 30
    text = f'font-family="system-ui, sans-serif" fill="{theme["text"]}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Encryption of one message in memory, in gigabytes per second</title>",
        f'<text x="0" y="18" font-size="15" font-weight="600" {text}>Encryption of one message in memory, GB/s (longer is better)</text>',
    ]
    x = LEFT
    for name, color in zip(SERIES, theme["bars"]):
        parts.append(f'<rect x="{x}" y="33" width="12" height="12" rx="2" fill="{color}"/>')
        parts.append(f'<text x="{x + 18}" y="43" font-size="13" {text}>{name}</text>')
        x += 150
    bottom = TOP + GROUP * len(rows)
    for tick in range(0, 11, 2):
        x = LEFT + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{theme["grid"]}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" font-size="12" text-anchor="middle" {text}>{tick}</text>')
    for index, (label, rates) in enumerate(rows):
        y = TOP + GROUP * index
        parts.append(f'<text x="{LEFT - 12}" y="{y + 29}" font-size="13" text-anchor="end" {text}>{label}</text>')
        for place, (rate, color) in enumerate(zip(rates, theme["bars"])):
            top = y + 2 + place * (BAR + GAP)
            width = max(rate * scale, 1)
            shown = f"{rate:.2f}" if rate >= 0.1 else f"{rate:.3f}"
            parts.append(f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" fill="{color}"/>')
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{top + 11}" font-size="12" font-family="system-ui, sans-serif" fill="{theme["quiet"]}">{shown}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    rows = measured(read_table())
    stale = []
    for name, theme in THEMES.items():
        path, drawn = FOLDER / f"speed-{name}.svg", draw(rows, theme)
        if "--check" not in sys.argv:
            path.write_text(drawn)
        elif not path.exists() or path.read_text() != drawn:
            stale.append(path.name)
    if stale:
        sys.exit(f"not drawn from results.md: {', '.join(stale)} (run benches/peers/plot.py)")


if __name__ == "__main__":
    main()
