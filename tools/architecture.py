#!/usr/bin/env python3
"""Who imports whom in plugins/, from the code itself; as a picture: tools/architecture.py > docs/architecture.svg

tests/unit/test_rooms.py holds the imports to the rooms' order, and the committed picture to the imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
COLLECTION = "ansible_collections.gx10.serving.plugins."
# The rooms of module_utils in their order: each imports only those before it.
ROOMS = ("common", "node", "plan", "phases", "bench")
SAYS = {
    "filter": "asked by roles",
    "lookup": "reads files",
    "action": "runs beside Ansible",
    "plugin_utils": "base of actions",
    "phases": "plan + world → actions",
    "bench": "rows → figures, verdicts",
    "plan": "profile + inventory → plan",
    "common": "problems, documents",
    "node": "looks at a node, on it",
    "modules": "called by roles, on a node",
}
FACES = [name for name in SAYS if name not in ROOMS]


def files() -> list[Path]:
    """Every Python file that runs, relative to plugins/."""
    return sorted(path.relative_to(PLUGINS) for path in PLUGINS.rglob("*.py") if path.parent.name != "doc_fragments")


def part(path: Path) -> str:
    """The room or face that a file belongs to."""
    return path.parts[1 if path.parts[0] == "module_utils" else 0]


def imported(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports: module_utils.ROOM.… for our own."""
    here = path.parent.parts
    for node in ast.walk(ast.parse((PLUGINS / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = here[: len(here) - node.level + 1] if node.level else ()
            for alias in node.names:
                yield ".".join([*up, *([node.module] if node.module else []), alias.name]).removeprefix(COLLECTION)


def edges() -> dict[tuple[str, str], int]:
    """How many files of a part import from which other room."""
    pairs = {(path, name.split(".")[1]) for path in files() for name in imported(path) if name.startswith("module_utils.")}
    found: dict[tuple[str, str], int] = {}
    for path, room in sorted(pairs):
        if room != part(path):
            found[part(path), room] = found.get((part(path), room), 0) + 1
    return found


# -- the picture --------------------------------------------------------------------------------------------------------

HEAD, LINE, SPACE = 46, 15, 24
# x, width, and the parts from top to bottom: (name, columns of file names).
COLUMNS = (
    (12, 150, (("filter", 1), ("action", 1), ("plugin_utils", 1), ("lookup", 1))),
    (240, 152, (("phases", 1), ("bench", 1))),
    (470, 172, (("plan", 1),)),
    (732, 228, (("common", 1), ("node", 2), ("modules", 2))),
)
COLOURS = {"phases": "#3b6ea5", "plan": "#3f8f4f", "node": "#b9822f", "common": "#7a5ca8", "bench": "#a8485c"}
STYLE = (
    "text{fill:#123;font-size:12px}.n{font-size:15px;font-weight:bold}.s{fill:#567;font-size:11px}"
    ".c{font-size:11px;text-anchor:end}.b{fill:#fff;stroke:#9ab;stroke-width:1.5}.l{fill:none;stroke-width:1.6;stroke-linejoin:round}"
)


@dataclass(frozen=True)
class Box:
    """Where a part is drawn, and what it lists."""

    column: int
    x: int
    y: int
    width: int
    height: int
    names: tuple[str, ...]
    rows: int

    @property
    def middle(self) -> int:
        return self.y + self.height // 2

    @property
    def bottom(self) -> int:
        return self.y + self.height


def boxes(top: int) -> dict[str, Box]:
    """Columns of boxes, as tall as the tallest: the space between them is shared out."""
    names: dict[str, list[str]] = {name: [] for name in SAYS}
    for path in files():
        names[part(path)].append("/".join(word.lstrip("_") for word in path.with_suffix("").parts[2 if part(path) in ROOMS else 1 :]))
    rows = {name: -(-len(names[name]) // columns) for _x, _width, parts in COLUMNS for name, columns in parts}
    tall = {name: HEAD + LINE * count + 8 for name, count in rows.items()}
    full = max(sum(tall[name] for name, _columns in parts) + SPACE * (len(parts) - 1) for _x, _width, parts in COLUMNS)
    found = {}
    for number, (x, width, parts) in enumerate(COLUMNS):
        free = full - sum(tall[name] for name, _columns in parts)
        y = top
        for name, _columns in parts:
            found[name] = Box(number, x, y, width, tall[name], tuple(names[name]), rows[name])
            y += tall[name] + (free // (len(parts) - 1) if len(parts) > 1 else 0)
    return found


def route(source: str, target: str, at: dict[str, Box]) -> tuple[str, int, int]:
    """An arrow's path, and where its number stands."""
    one, other = at[source], at[target]
    if one.column == other.column:
        x = one.x + one.width // 2
        return f"M{x} {one.y}V{other.bottom + 3}", x - 5, one.y - 5
    rank = list(COLOURS).index(target)
    right, left = one.x + one.width, other.x - 3
    out = right + 64 - 12 * rank
    if other.column == one.column + 1:
        y = other.middle + 8 if other.height < one.height else one.middle - 18
        return f"M{right} {y}H{out}V{min(y, other.bottom - 14)}H{left}", right + 18, y - 4
    # Round the columns between: below them, or above for what is on top. All that goes to a room shares the last part of the way.
    over = target == "common"
    between = [box for box in at.values() if one.column < box.column < other.column]
    lane = min(box.y for box in between) - 18 if over else max(box.bottom for box in between) + 6 + 6 * rank
    y = one.middle - 18 + 16 * rank if one.height < 200 else (one.y + 20 if over else one.bottom - 20)
    end = "" if other.y < lane < other.bottom else f"H{other.x - 26}V{other.middle + (-8 if over else 24)}"
    return f"M{right} {y}H{out}V{lane}{end}H{left}", right + 18, y - 4


def draw() -> str:
    """The picture as SVG; the same imports give the same bytes."""
    at = boxes(top=52)
    width, height = 980, max(box.bottom for box in at.values()) + 44
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        "<title>Rooms of module_utils, the plugins before them, and who imports whom</title>",
        f"<defs><style>{STYLE}</style>",
        *(
            f'<marker id="{room}" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
            for room, colour in COLOURS.items()
        ),
        "</defs>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
    ]
    top, end = at["node"], at["modules"]
    lines += [
        f'<rect x="{top.x - 12}" y="{top.y - 12}" width="{top.width + 24}" height="{end.bottom - top.y + 24}" rx="10" fill="#fdf8ee" '
        'stroke="#b9822f" stroke-dasharray="5 4"/>',
        f'<text class="s" x="{top.x}" y="{height - 14}">on the nodes: Python 3.9, standard library</text>',
        f'<text class="s" x="{at["filter"].x}" y="{height - 14}">So many files import from the room that an arrow points to.</text>',
    ]
    for (source, target), count in edges().items():
        path, x, y = route(source, target, at)
        lines += [
            f'<path class="l" stroke="{COLOURS[target]}" marker-end="url(#{target})" d="{path}"/>',
            f'<text class="c" x="{x}" y="{y}">{count}</text>',
        ]
    for name, box in at.items():
        stroke = f' style="stroke:{COLOURS[name]}"' if name in COLOURS else ""
        lines += [
            f'<rect class="b"{stroke} x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>',
            f'<text class="n" x="{box.x + 12}" y="{box.y + 21}">{name}</text>',
            f'<text class="s" x="{box.x + 12}" y="{box.y + 37}">{SAYS[name]}</text>',
        ]
        for number, file in enumerate(box.names):
            x = box.x + 12 + number // box.rows * (box.width // 2)
            lines.append(f'<text x="{x}" y="{box.y + HEAD + 10 + LINE * (number % box.rows)}">{file}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    print(draw(), end="")
