"""What the processes of `forked.py` begin with: libraries, and the judge as most runs use it."""

import gc
import importlib

from unlearnkit.judges.embedded import EmbeddedJudge

for name in ("run", "plan.run", "general", "report", "compare", "tables", "probes"):
    importlib.import_module(f"unlearnkit.{name}")
for name in ("transformers.models.llama.modeling_llama", "transformers.trainer", "plotly.graph_objects"):
    importlib.import_module(name)
EmbeddedJudge().judge([("p", "r")])
gc.collect()
gc.freeze()
