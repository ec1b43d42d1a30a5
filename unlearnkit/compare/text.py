"""A comparison in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearnkit.compare.comparison import Comparison, Pair
from unlearnkit.compare.words import EXPLAINED, chance, change, number
from unlearnkit.measures.display import arrow

MOST_SETTINGS = 20  # of the config's differences
MOST_CHARACTERS = 400  # of one answer
WIDTH = 120  # where the output is no terminal


def show(comparison: Comparison) -> None:
    """Print it."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for side in comparison.sides:
        when = "" if side.run.after else ", measured before any stage"
        console.print(f"[bold]{side.name}[/]  {escape(f'{side.description}{when}: {side.run.folder}')}", soft_wrap=True)
    _settings(console, comparison)
    for pair in comparison.pairs:
        console.print()
        console.print(_table(pair))
        if pair.alone:
            console.print(escape(f"Not compared: {', '.join(pair.alone)}."))
    console.print(f"[dim]{EXPLAINED}[/]")
    _answers(console, comparison)


def _settings(console: Console, comparison: Comparison) -> None:
    own = [setting for setting in comparison.settings if not setting.follows]
    console.print()
    if not own:
        console.print("Their configs say the same.")
        return
    table = Table(title="What their configs say differently", title_justify="left")
    table.add_column("key", overflow="fold")
    for name in comparison.names:
        table.add_column(name, overflow="fold")
    for setting in own[:MOST_SETTINGS]:
        table.add_row(escape(setting.key), *map(escape, setting.written))
    console.print(table)
    if left := len(comparison.settings) - len(own[:MOST_SETTINGS]):
        console.print(f"{left} more, or what follows from these: --json and --html have all.")


def _table(pair: Pair) -> Table:
    table = Table(title=f"{pair.first.name} and {pair.other.name}", title_justify="left")
    table.add_column("measure", overflow="fold")
    for name in (pair.first.name, pair.other.name, "difference"):
        table.add_column(name, justify="right")
    for name in ("n", "p", "Holm"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    group = None
    for line in pair.lines:
        if (own := line.column[:-1]) != group:
            table.add_row(f"[bold]{escape('/'.join(own))}[/]")
            group = own
        display, difference = line.column.display, line.difference
        shown = [number(display, line.first), number(display, line.other), change(display, difference)]
        verdict = line.verdict(pair.first.name, pair.other.name)
        table.add_row(
            escape(f"{line.column[-1]} {arrow(display)}".strip()),
            *(escape("\n".join(part for part in parts if part)) for parts in shown),
            str(difference.n) if difference else "-",
            chance(difference.p if difference else None),
            chance(line.adjusted),
            f"[bold]{verdict}[/]",
        )
    return table


def _answers(console: Console, comparison: Comparison) -> None:
    if not comparison.answers:
        return
    console.print("\n[bold]The answers that changed most[/]")
    for row in comparison.answers:
        console.print(f"\n{escape(f'{row.place}, {row.id}: {row.prompt}')}", soft_wrap=True)
        for name, record in zip(comparison.names, row.answers, strict=True):
            verdict = {True: " (harmful)", False: " (not harmful)", None: ""}[record.harmful]
            text = record.response[:MOST_CHARACTERS] or "(empty)"
            console.print(f"  [bold]{name}[/]{verdict}  {escape(text)}", soft_wrap=True)
