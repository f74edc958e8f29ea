"""The commands that show: spaces, recipes, classes of images, pictures of networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tune_ode.cli.app import app, new_console
from tune_ode.cli.options import Configuration, DataDir
from tune_ode.errors import UsageError


@app.command()
def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE.yaml|package.module:NAME]", help="A space to print as a tree."
        ),
    ] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print it as YAML, to start one's own.")
    ] = False,
) -> None:
    """List what can be searched, or print one space."""
    from search_spaces import resolve_space, to_yaml
    from tune_ode.cli.space_tree import print_space, print_spaces

    if name is None and as_yaml:
        raise typer.BadParameter("--yaml needs the name of a space")
    if name is None:
        print_spaces(new_console())
    elif as_yaml:
        print(to_yaml(resolve_space(name)), end="")
    else:
        print_space(resolve_space(name), name, new_console())


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe to print.")] = None,
) -> None:
    """List configurations known to be good, or print one as YAML."""
    from search_spaces.recipes import about, recipe_text
    from search_spaces.recipes import recipes as all_recipes

    if name is not None:
        print(recipe_text(name), end="")
        return
    width = max(map(len, all_recipes()))
    for known in all_recipes():
        print(f"{known:<{width}}  {about(known)}")


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="RUN:TRIAL", help="TRIAL may be `best`.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an image.")] = False,
) -> None:
    """Print class and probability of images, by a saved model."""
    from tune_ode.cli.resolve import run_and_trial
    from tune_ode.prediction import predict as predict_images

    run, trial = run_and_trial(model)
    for prediction in predict_images(run, trial, images):
        print(json.dumps(prediction.to_dict()) if as_json else prediction)


@app.command()
def draw(
    model: Configuration = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than it names.")] = None,
    data_dir: DataDir = None,
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("pictures"),
) -> None:
    """Draw a network's architecture; of a trained one, the paths of states over t as well."""
    from tune_ode.cli.resolve import configuration, is_configuration, run_and_trial
    from tune_ode.config import TrialConfig
    from tune_ode.paths import shown
    from tune_ode.pictures.draw import draw_configuration, draw_trial

    if model is None or is_configuration(model):
        config = configuration(model) if model else TrialConfig()
        changes = {} if dataset is None else {"data.dataset": dataset}
        drawn = draw_configuration(config.with_values(changes), data_dir, output)
    elif dataset is not None:
        raise UsageError(f"{model} was trained on its own data: leave out --dataset")
    else:
        drawn = draw_trial(*run_and_trial(model, or_untrained=True), data_dir, output)
    for file in drawn:
        print(f"drawn     {shown(file)}")
