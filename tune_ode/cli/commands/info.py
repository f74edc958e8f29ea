"""Commands that show spaces, recipes, predictions and diagrams of networks, and export models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tune_ode.cli import complete
from tune_ode.cli.app import app, new_console
from tune_ode.cli.options.analysis import Json, RunTrial
from tune_ode.cli.options.definition import Configuration, DataDir, MovedDataset, OtherDataset
from tune_ode.cli.options.panels import output as output_panel


@app.command()
def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE.yaml|package.module:NAME]",
            autocompletion=complete.spaces,
            help="Print this space as a tree.",
        ),
    ] = None,
    as_yaml: Annotated[
        bool, output_panel("--yaml", help="Print the space as YAML, to edit.")
    ] = False,
) -> None:
    """List the search spaces, or print one."""
    from search_spaces import resolve_space, to_yaml
    from tune_ode.cli.display.spaces import print_space, print_spaces

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
    name: Annotated[
        str | None, typer.Argument(autocompletion=complete.recipes, help="Print this recipe.")
    ] = None,
) -> None:
    """List configurations known to train well, or print one as YAML."""
    from search_spaces.recipes import recipe_text, summary
    from search_spaces.recipes import recipes as all_recipes

    if name is not None:
        print(recipe_text(name), end="")
        return
    width = max(map(len, all_recipes()))
    for known in all_recipes():
        print(f"{known:<{width}}  {summary(known)}")


@app.command()
def predict(
    model: RunTrial,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: Json = False,
) -> None:
    """Print the class and probability that a saved model predicts for images."""
    from tune_ode.api.resolve import resolve_trial
    from tune_ode.prediction import predict as predict_images

    run, trial = resolve_trial(model)
    for prediction in predict_images(run, trial, images):
        print(json.dumps(prediction.to_dict()) if as_json else prediction)


@app.command()
def export(
    model: RunTrial,
    format_name: Annotated[
        str,
        output_panel(
            "--format", metavar="NAME", help="onnx (needs tune-ode[export]), torchscript or pt2."
        ),
    ],
    output: Annotated[
        Path | None, output_panel(metavar="FILE", help="Default: RUN-TRIAL with the suffix.")
    ] = None,
    force: Annotated[bool, output_panel("--force", help="Replace an existing file.")] = False,
    dataset: MovedDataset = None,
    data_dir: DataDir = None,
) -> None:
    """Export a saved model with a fixed-grid solver to a file that runs without tune-ode."""
    from tune_ode.api.resolve import resolve_trial
    from tune_ode.export import export_trial, find_format
    from tune_ode.paths import display_path

    suffix = find_format(format_name).suffix
    run, trial = resolve_trial(model)
    file = output or Path(f"{run.name}-{trial}{suffix}")
    result = export_trial(
        run, trial, format_name, file, data_dir=data_dir, dataset=dataset, force=force
    )
    print(f"exported  {display_path(result.file)}")
    print(
        f"checked   on {result.images} validation images: {result.same_class} of the same class, "
        f"logits within {result.difference:.1e} of the largest (tolerance {result.tolerance:g})"
    )


@app.command()
def draw(
    model: Configuration = None,
    dataset: OtherDataset = None,
    data_dir: DataDir = None,
    output: Annotated[
        Path, output_panel(metavar="FOLDER", help="Directory for the pictures.")
    ] = Path("pictures"),
) -> None:
    """Draw a network's architecture and, if it is trained, trajectories of states over t."""
    from tune_ode.api.resolve import is_config_name, resolve_config, resolve_trial
    from tune_ode.config import TrialConfig
    from tune_ode.paths import display_path
    from tune_ode.pictures.draw import draw_configuration, draw_trial

    if model is None or is_config_name(model):
        config = resolve_config(model) if model else TrialConfig()
        changes = {} if dataset is None else {"data.dataset": dataset}
        drawn = draw_configuration(config.with_values(changes), data_dir, output)
    else:
        run, trial = resolve_trial(model, or_untrained=True)
        drawn = draw_trial(run, trial, data_dir, output, dataset=dataset)
    for file in drawn:
        print(f"drawn     {display_path(file)}")
