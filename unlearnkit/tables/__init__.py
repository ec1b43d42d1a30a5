"""metrics.json files -> tables: of any folder of runs, and of a sweep beside the paper's numbers.

`runs` are read, `aggregate` means over seeds, `marks` says what is best; `paper` has the printed numbers, `claims` and
`outcomes` what the text says of them, `compare` puts both side by side; `sheet` and `render_*` write.
"""

from unlearnkit.tables.aggregate import METHODS, ORIGINAL, Cell, Table, aggregate, mean_over_seeds, select_columns
from unlearnkit.tables.compare import Comparison, compare
from unlearnkit.tables.files import fragment, write
from unlearnkit.tables.footnotes import footnotes
from unlearnkit.tables.marks import mark, ranking
from unlearnkit.tables.outcomes import Outcome, paper_claims
from unlearnkit.tables.render_latex import latex, tex
from unlearnkit.tables.render_markdown import markdown

__all__ = [
    "METHODS",
    "ORIGINAL",
    "Cell",
    "Comparison",
    "Outcome",
    "Table",
    "aggregate",
    "compare",
    "footnotes",
    "fragment",
    "latex",
    "mark",
    "markdown",
    "mean_over_seeds",
    "paper_claims",
    "ranking",
    "select_columns",
    "tex",
    "write",
]
