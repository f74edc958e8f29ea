"""The files of deploy/ are valid for the tools that read them, and expose no open ports."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tune_ode.cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HERE = Path(__file__).parent


def launcher(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def documents():
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text())}


@pytest.mark.parametrize("name", ["aws.yaml", "machines.yaml"])
def test_the_cluster_launcher_accepts_the_file(name):
    validate_config(prepare_config(launcher(name)))
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(launcher(name) | {"max_worker": 1}))


@pytest.mark.parametrize("name", ["aws.yaml", "machines.yaml"])
def test_a_launched_cluster_requires_a_token_and_listens_on_loopback(name):
    config = launcher(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    (start,) = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start
    for line in (start, config["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token" in line


def test_gpu_workers_on_aws_are_spot_instances_that_stop_when_idle():
    config = launcher("aws.yaml")
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
    gpu = config["available_node_types"]["gpu"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert (gpu["min_workers"], config["idle_timeout_minutes"]) == (0, 5)


def test_kuberay_accepts_the_ray_job():
    schema = yaml.safe_load((HERE / "rayjob.schema.yaml").read_text())
    job = documents()["RayJob"]
    jsonschema.validate(job, schema)
    job["spec"]["rayClusterSpec"]["enableAutoscaling"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, schema)


def test_pods_of_the_ray_job_share_a_volume_and_require_a_token():
    found = documents()
    cluster = found["RayJob"]["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    run = Path(shlex.split(found["RayJob"]["spec"]["entrypoint"])[1])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
        (mount,) = pod["containers"][0]["volumeMounts"]
        assert claims[mount["name"]] == found["PersistentVolumeClaim"]["metadata"]["name"]
        assert run.is_relative_to(mount["mountPath"])
    (group,) = cluster["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1
    assert cluster["enableInTreeAutoscaling"]
    assert group["minReplicas"] == 0 < group["maxReplicas"]


def test_the_ray_job_runs_a_valid_search():
    program, _, *options = shlex.split(documents()["RayJob"]["spec"]["entrypoint"])
    assert (DEPLOY / program).exists()
    commands = typer.main.get_command(app).commands
    assert commands["search"].make_context("search", list(options)).params["dataset"] == "mnist"


def test_versions_match_the_requirements_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (ray,) = [one for one in project["dependencies"] if one.startswith("ray")]
    cluster = documents()["RayJob"]["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"].startswith(ray.partition(">=")[2])
    base = re.search(r"FROM python:(\S+)-slim", (DEPLOY / "Dockerfile").read_text())[1]
    assert project["requires-python"] == f">={base}"


def instructions():
    """Return (instruction, arguments) of the Dockerfile, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_the_dockerfile_copies_existing_files_and_does_not_run_as_root():
    found = instructions()
    assert {name for name, _ in found} <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "ARG"}
    for name, rest in found:
        if name == "COPY":
            *sources, target = rest.split()
            assert all((ROOT / source).exists() for source in sources)
            assert len(sources) == 1 or target.endswith("/")
    user = [rest for name, rest in found if name == "USER"]
    assert user == ["ray"]
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text())
    copied = {rest.split()[0] for name, rest in found if name == "COPY"}
    assert set(packages) <= copied


def test_the_dockerfile_installs_the_dependencies():
    (command,) = [rest for _, rest in instructions() if "tomllib" in rest]
    code = shlex.split(command)[2]
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert listed == [*project["dependencies"], *project["optional-dependencies"]["postgresql"]]


@pytest.mark.parametrize("backend", ["", "cpu"])
def test_the_dockerfile_installs_the_chosen_build_of_pytorch_first(tmp_path, backend):
    (command,) = [rest for name, rest in instructions() if name == "RUN" and "BACKEND" in rest]
    for program in ("pip", "uv"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
        (tmp_path / program).chmod(0o755)
    calls = subprocess.run(
        ["/bin/sh", "-ec", command],
        env={"PATH": str(tmp_path), "TORCH_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert re.fullmatch("pip install .*requirements.txt", calls[-1])
    torch = [call for call in calls if call.endswith("--torch-backend cpu torch torchvision")]
    assert len(torch) == (backend == "cpu")
    assert len(calls) == (4 if backend else 1)


def test_the_guide_mentions_every_file():
    guide = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    for file in DEPLOY.iterdir():
        assert f"deploy/{file.name}" in guide
