"""`python -m unlearnkit.show +method=npo model.path=FOLDER`: what a model is trained on and how it is asked, rendered.

It shows one example of every stream that the method trains on, as text and token by token, and where an answer ends.
No weights are loaded.
"""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import warnings
from collections.abc import Iterator

import hydra
from omegaconf import DictConfig

from unlearnkit import configuration
from unlearnkit.settings.check import check_command
from unlearnkit.settings.run import Run

configuration.register_resolvers()
warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries about themselves; tests show them

WITH_WEIGHTS = "unlearnkit.models.load"
WIDTH = 100  # characters a line of tokens


@hydra.main(config_path=str(configuration.FOLDER), config_name="show", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """Examples of one run."""
    with configuration.two_lines("show"):
        check_command(cfg, Run)
        show(cfg)


def show(cfg: DictConfig) -> None:
    """The same, with its errors."""
    from hydra.utils import instantiate
    from rich.console import Console
    from rich.markup import escape

    from unlearnkit.data.alternatives import Alternatives, request
    from unlearnkit.runs.checks import bind_streams, check_stages

    stages = instantiate(cfg.stages, _convert_="all")
    streams = bind_streams(instantiate(cfg.data, _convert_="all"), instantiate(cfg.streams, _convert_="all"))
    check_stages(stages, streams)
    weightless = {WITH_WEIGHTS: "unlearnkit.models.asking.load"}.get(cfg.model["_target_"], cfg.model["_target_"])
    model = instantiate({**cfg.model, "_target_": weightless}, _convert_="all")
    names = dict.fromkeys(name for stage in stages.values() for name in stage.stream_names().values())
    out = Console(highlight=False, soft_wrap=True)
    for name in names:
        out.print(f"[bold]Trained, stream '{escape(name)}'[/]")
        stream = streams[name]
        if isinstance(stream, Alternatives):
            stream.stand_in()
            prompt_text = request(stream.draw(int(cfg.seed), 0, 1)[0][1])
            out.print(
                f"  What to prefer is sampled as the run begins; the answer itself stands here: {prompt_text!r}",
                markup=False,
            )
        groups = (group for step in range(stream.size) for group in stream.draw(int(cfg.seed), step, 1))
        example = next(groups)[0]  # of a list of two sides the first row may be the other side's
        prompt, response = model.template.encode(model.tokenizer, example.prompt, example.response)
        for what, ids in (("prompt", prompt), ("response, what is learnt", response)):
            out.print(f"  {what}: {model.tokenizer.decode(ids)!r}", markup=False)
            out.print(f"  {len(ids)} tokens:")
            for line in token_lines(model.tokenizer.convert_ids_to_tokens(ids)):
                out.print(f"    {line}", markup=False)
        same = model.template.encode_prompt(model.tokenizer, example.prompt) == prompt
        if example.prompt:
            out.print(f"  Asked alone, it has {'the same' if same else 'OTHER'} tokens.\n")
    ends = ", ".join(f"{model.tokenizer.convert_ids_to_tokens(end)} ({end})" for end in model.ends)
    out.print(f"An answer ends at {ends}.", markup=False)


def token_lines(tokens: list[str]) -> Iterator[str]:
    """Tokens as they are, parted by bars, in lines of about `WIDTH` characters."""
    line = ""
    for token in tokens:
        if line and len(line) + len(token) > WIDTH:
            yield line
            line = ""
        line += f"{token}|"
    if line:
        yield line


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    configuration.exit_with_two_lines(job, "show")


if __name__ == "__main__":
    main()
