"""Every command that reads a run rejects other schema versions."""

import json
import shutil
from pathlib import Path

import pytest

from tune_ode.records import MANIFEST, SCHEMA_VERSION

RUN = Path(__file__).parents[2] / "data" / "run-of-12"


@pytest.mark.parametrize(
    "command",
    [
        "resume {run}",
        "confirm {run}",
        "rank {run}",
        "report {run}",
        "predict {run}:1 image.png",
        "draw {run}:1",
        "train {run}:1",
        "train {run}",
        "simulate {run}",
        "search --dataset digits --output {output} --start-from {run}",
    ],
)
@pytest.mark.parametrize("version", [1, SCHEMA_VERSION + 1, None])
def test_runs_of_other_schema_versions_are_rejected_in_one_line(
    tmp_path, usage_error, command, version
):
    run = tmp_path / "run"
    shutil.copytree(RUN, run)
    manifest = json.loads((run / MANIFEST).read_text())
    del manifest["schema_version"]
    if version is not None:
        manifest["schema_version"] = version
    (run / MANIFEST).write_text(json.dumps(manifest))
    output = tmp_path / "output"
    error = usage_error(*command.format(run=run, output=output).split())
    assert f"but this tune-ode reads version {SCHEMA_VERSION} only" in error
    assert not output.exists()
