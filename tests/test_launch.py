"""The launch recipes: they are valid, their commands exist with these options, and what can run here runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.cluster import Where
from csvjax.data.read_losses import read_losses
from tests.lms.small import write_checkpoint

FOLDER = Path(__file__).parent.parent / "docs" / "launch"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
RESOURCES = sorted(FOLDER.glob("*.yaml"))


def test_there_is_a_recipe_for_each_kind_of_cluster() -> None:
    names = {path.name for path in SCRIPTS + RESOURCES}
    assert names == {"slurm-ray.sh", "slurm-one-model.sh", "tpu-pod.sh", "kuberay.yaml", "jobset.yaml"}
    page = (FOLDER.parent / "scaling.md").read_text(encoding="utf-8")
    assert all(f"launch/{name}" in page for name in names)


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_scripts_are_valid_shell(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True, capture_output=True)


@pytest.mark.parametrize("path", SCRIPTS + RESOURCES, ids=lambda path: path.name)
def test_commands_have_options_that_exist(path: Path) -> None:
    shown = CliRunner().invoke(app, ["losses", "--help"], env={"COLUMNS": "200"}).stdout
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    calls = re.findall(r"csvjax losses .*?(?=\n *resources|\n *rayCluster|\n\n|$(?![\s\S]))", text, flags=re.DOTALL)
    assert calls
    for call in calls:
        for option in re.findall(r"--[a-z-]+", call):
            assert re.search(rf"{option}(?![\w-])", shown), f"{option} in {path.name}"


@pytest.mark.parametrize("path", RESOURCES, ids=lambda path: path.name)
def test_resources_can_be_read_and_open_no_dashboard(path: Path) -> None:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found["kind"] in ("RayJob", "JobSet")
    if found["kind"] == "RayJob":
        head = found["spec"]["rayClusterSpec"]["headGroupSpec"]
        assert head["rayStartParams"]["dashboard-host"] == "127.0.0.1"
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in head["template"]["spec"]["containers"][0]["env"]


def stub(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A machine that looks like a Slurm cluster: `srun` runs what follows its options here."""
    (folder / "bin").mkdir()
    stub(folder / "bin", "scontrol", "echo 127.0.0.1")
    stub(folder / "bin", "sleep", "exit 0")
    stub(folder / "bin", "srun", 'while [[ "$1" == -* ]]; do [[ "$1" == -w ]] && shift; shift; done; exec "$@"')
    stub(folder / "bin", "csvjax", f'exec {shlex.quote(sys.executable)} -m csvjax.cli "$@"')
    root = str(FOLDER.parent.parent)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    fixed = {"PATH": path, "PYTHONPATH": root, "JAX_PLATFORMS": "cpu", "SLURM_JOB_NODELIST": "here"}
    return os.environ | fixed | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"} | more


@pytest.mark.slow
def test_the_script_for_one_model_runs_as_a_job_of_one_process(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "m0")
    (tmp_path / "a.txt").write_text("they say in the end")
    given = {"MODEL": str(tmp_path / "m0"), "TEXT": str(tmp_path / "a.txt"), "OUT": str(tmp_path / "s.zarr")}
    made = environment(tmp_path, DEVICES="1", PORT="34567", **given)
    done = subprocess.run(["bash", str(FOLDER / "slurm-one-model.sh")], env=made, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_losses(tmp_path / "s.zarr").lms == ("m0",)


def test_the_script_for_many_models_starts_ray_and_names_all_models(tmp_path: Path) -> None:
    made = environment(tmp_path, SLURM_CPUS_PER_TASK="2", SLURM_GPUS_ON_NODE="0", MODELS=str(tmp_path / "models.txt"))
    stub(tmp_path / "bin", "ray", f'echo "ray $@" >> {tmp_path / "said"}')
    stub(
        tmp_path / "bin",
        "csvjax",
        f'echo "csvjax $@" >> {tmp_path / "said"}; echo ${{#RAY_AUTH_TOKEN}} >> {tmp_path / "said"}',
    )
    (tmp_path / "models.txt").write_text("a/b\nc d\n")
    done = subprocess.run(["bash", str(FOLDER / "slurm-ray.sh")], env=made, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    (call,) = [line for line in said if line.startswith("csvjax losses")]
    assert call.startswith("csvjax losses --lm a/b --lm c d --text validation/ --out runs/losses.zarr")
    assert call.endswith("--cluster 127.0.0.1:6379")
    assert "64" in said
    assert Where(cluster=call.split()[-1]).cluster == "127.0.0.1:6379"
