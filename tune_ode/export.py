"""Export a trial's best model to a file that needs no code of this package: pixels → logits.

The file contains the normalization of pixels, so that its user cannot apply another one: its input
is uint8 (B, C, H, W) with any batch size B, its output float32 logits (B, classes). It computes in
float32. Only networks with a fixed sequence of operations can be exported: ODE blocks on a fixed
grid, and the residual baseline.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tune_ode.classifier.build import PLAIN
from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig, TrialConfig
from tune_ode.config.data import relocated
from tune_ode.data import load, split
from tune_ode.data.batches import Normalize
from tune_ode.errors import RunFailed, RunFolderError, UsageError, first_line, suggest_name
from tune_ode.paths import RunPath, write_atomic
from tune_ode.prediction import best_model
from tune_ode.runs.relocation import current_dataset
from tune_ode.training import SavedModel

METADATA = "metadata.json"
"""Name of the metadata in a TorchScript or pt2 file; an ONNX file has properties."""
_TOLERANCES = {"fp32": 1e-4, "bf16": 3e-2}
"""Precision of the training → largest difference of a logit, relative to the largest logit."""
_CHECKED_IMAGES = 256
_INPUT, _OUTPUT = "pixels", "logits"

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported model, and how far it agrees with the original."""

    file: Path
    images: int
    """Validation images that were compared."""
    difference: float
    """Largest difference of a logit, relative to the largest absolute logit."""
    tolerance: float
    same_class: int
    """Images that both models assign to the same class."""


@dataclass(frozen=True)
class Format:
    """A file format."""

    suffix: str
    write: Callable[[nn.Module, Tensor, dict[str, str]], bytes]
    """Takes the model, example pixels and metadata."""
    read: Callable[[bytes], Run]
    packages: tuple[str, ...] = ()
    """Packages of the extra `export` that it needs."""


class _FromPixels(nn.Module):
    """A saved model with its normalization."""

    def __init__(self, saved: SavedModel) -> None:
        super().__init__()
        self.model = saved.model
        self.normalize = Normalize(saved.statistics, torch.device("cpu"))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model(self.normalize(pixels))
        return logits


def export_trial(
    run: RunPath,
    trial_id: str,
    format_name: str,
    output: Path,
    *,
    data_dir: Path | None = None,
    dataset: str | None = None,
    force: bool = False,
) -> Export:
    """Export a trial's best model, and compare it with the original on validation images.

    Args:
        run: run directory or its URL.
        trial_id: trial with a saved model.
        format_name: a key of `FORMATS`.
        output: file to write.
        data_dir: directory of data sets.
        dataset: where the run's image folder is now; None: where it was.
        force: replace an existing file.

    Raises:
        UsageError: an unknown format, a missing package, no saved model, an adaptive solver, an
            existing file, or missing images.
        RunFailed: the model cannot be exported, or the exported one does not agree.
        RunFolderError: the file cannot be written.
    """
    chosen = find_format(format_name)
    if output.exists() and not force:
        raise UsageError(f"{output} exists already; choose another --output, or use --force")
    saved = best_model(run, trial_id, torch.device("cpu"))
    solver = saved.config.solver
    if saved.config.model.architecture == "ode" and isinstance(solver, AdaptiveSolver):
        raise UsageError(
            f"trial {trial_id} solves by {solver.method}, whose steps depend on the image; only "
            "solvers on a fixed grid can be exported, such as euler or rk4"
        )
    pixels = _validation_pixels(saved, data_dir, dataset)
    model = _FromPixels(saved).eval()
    try:
        with _quiet(), torch.no_grad():
            # a batch size of 1 would be taken for a constant
            content = chosen.write(
                _exportable(model, solver), pixels[:2], _metadata(saved, run, trial_id)
            )
            difference, same_class = _compare(chosen.read(content), model, pixels)
    except Exception as error:  # whatever the exporter does not support
        raise RunFailed(
            f"cannot export trial {trial_id} as {format_name} "
            f"({type(error).__name__}: {first_line(error)}); choose another --format"
        ) from error
    tolerance = _TOLERANCES[saved.config.execution.precision]
    if not difference <= tolerance:
        raise RunFailed(
            f"the exported model does not agree with the original: logits differ by "
            f"{difference:.1e} of the largest, more than {tolerance:.0e}; nothing was written"
        )
    try:
        write_atomic(output, content)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {output}: {error.strerror}; choose another --output"
        ) from None
    return Export(
        file=output, images=len(pixels), difference=difference, tolerance=tolerance,
        same_class=same_class,
    )  # fmt: skip


def _exportable(model: _FromPixels, solver: SolverConfig) -> nn.Module:
    """Return a copy that runs everywhere: in float32, and natively if possible.

    ONNX has no normalization in bfloat16, and torchdiffeq decides by values of tensors.
    """
    exportable = copy.deepcopy(model)
    exportable.model.execution = PLAIN
    if isinstance(solver, FixedGridSolver):
        exportable.model.solve_by(
            FixedGridSolver(
                method=solver.method, steps=solver.steps, max_evaluations=solver.max_evaluations
            )
        )
    return exportable


def find_format(name: str) -> Format:
    """Return a format whose packages are installed.

    Raises:
        UsageError: the format is unknown, or a package is missing.
    """
    if name not in FORMATS:
        raise UsageError(suggest_name("format", name, FORMATS))
    missing = [
        package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise UsageError(
            f"--format {name} needs {', '.join(missing)}; install them with: "
            "pip install 'tune-ode[export]'"
        )
    return FORMATS[name]


def _validation_pixels(saved: SavedModel, data_dir: Path | None, dataset: str | None) -> Tensor:
    """Return up to 256 validation images, uint8 (N, C, H, W)."""
    here = current_dataset(saved.config.data.dataset, dataset)
    config = TrialConfig.from_dict(relocated(saved.config.to_dict(), here)).data
    data = load(config, data_dir)
    return torch.from_numpy(data.train_images[split(data, config).validation[:_CHECKED_IMAGES]])


def _compare(exported: Run, original: nn.Module, pixels: Tensor) -> tuple[float, int]:
    """Return the largest relative difference of logits, and the images of the same class."""
    expected = original(pixels)
    # one image, then the others: any batch size must work
    logits = torch.cat([exported(pixels[:1]), exported(pixels[1:])])
    difference = (logits - expected).abs().max() / expected.abs().max()
    return float(difference), int((logits.argmax(1) == expected.argmax(1)).sum())


def _metadata(saved: SavedModel, run: RunPath, trial_id: str) -> dict[str, str]:
    """Return what a user of the file needs to know; values other than text are JSON."""
    channels, height, width = saved.shape
    levels = saved.statistics.levels
    return {
        "class_names": json.dumps(saved.class_names),
        "input": f"uint8 (B, {channels}, {height}, {width}), pixels 0 to 255, RGB or grey; "
        "their normalization is part of the model",
        "output": f"float32 (B, {len(saved.class_names)}), logits; softmax gives probabilities",
        "background": saved.config.data.background,
        "levels": json.dumps(levels and levels._asdict()),
        "trial": f"{run.name}:{trial_id}",
        "config": json.dumps(saved.config.to_dict()),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the remarks of exporters on their own age, progress and internals."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        nowhere = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _to_torchscript(model: nn.Module, example: Tensor, metadata: dict[str, str]) -> bytes:
    traced = torch.jit.freeze(torch.jit.trace(model, example, check_trace=False))  # type: ignore[no-untyped-call]
    content = io.BytesIO()
    torch.jit.save(traced, content, _extra_files={METADATA: json.dumps(metadata)})
    return content.getvalue()


def _from_torchscript(content: bytes) -> Run:
    loaded: Run = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return loaded


def _program(model: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(
        model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )


def _to_pt2(model: nn.Module, example: Tensor, metadata: dict[str, str]) -> bytes:
    content = io.BytesIO()
    files = {METADATA: json.dumps(metadata)}
    torch.export.save(_program(model, example), content, extra_files=files)
    return content.getvalue()


def _from_pt2(content: bytes) -> Run:
    module: Run = torch.export.load(io.BytesIO(content)).module()
    return module


def _to_onnx(model: nn.Module, example: Tensor, metadata: dict[str, str]) -> bytes:
    program: Any = torch.onnx.export(
        _program(model, example), dynamo=True, verbose=False, input_names=[_INPUT],
        output_names=[_OUTPUT],
    )  # fmt: skip
    program.model.metadata_props.update(metadata)
    content: bytes = program.model_proto.SerializeToString()
    return content


def _from_onnx(content: bytes) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(None, {_INPUT: pixels.numpy()})[0])


FORMATS = {
    "onnx": Format(".onnx", _to_onnx, _from_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "torchscript": Format(".pt", _to_torchscript, _from_torchscript),
    "pt2": Format(".pt2", _to_pt2, _from_pt2),
}
"""All formats by name."""
