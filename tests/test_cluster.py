"""Jobs in processes and in tasks of Ray: all of them are done, whatever is killed, and what they say arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.cluster import Lost, Where, _needs, run_all
from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from csvjax.losses.many import Model, extract_many
from csvjax.losses.plan import LossOptions
from experiments.drill_tools import write_scores
from tests.cluster_jobs import dies, dies_once, refuses, square, threads
from tests.lms.small import write_checkpoint

HERE = [pytest.param(Where(1), id="here"), pytest.param(Where(2), id="processes")]


@pytest.mark.parametrize("where", HERE)
def test_every_job_has_its_result(where: Where) -> None:
    assert dict(run_all(range(7), square, where)) == {n: n * n for n in range(7)}
    assert dict(run_all([], square, where)) == {}


def test_jobs_whose_process_is_killed_run_again(tmp_path: Path) -> None:
    jobs = [tmp_path / str(n) for n in range(4)]
    assert dict(run_all(jobs, dies_once, Where(2))) == {n: str(n) for n in range(4)}


def test_a_job_that_is_always_killed_is_lost_and_takes_no_other_with_it() -> None:
    jobs = ["a", "bad", "b", "c", "d", "e"]
    found = dict(run_all(jobs, dies, Where(2)))
    assert {n: found[n] for n in (0, 2, 3, 4, 5)} == {0: "a", 2: "b", 3: "c", 4: "d", 5: "e"}
    assert isinstance(found[1], Lost)
    assert "killed 3 times" in found[1].reason


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from csvjax.cluster import Where, run_all\n"
        "from tests.cluster_jobs import waits\n"
        "if __name__ == '__main__':\n"
        "    for _ in run_all([Path(sys.argv[1])] * 3, waits, Where(2)): time.sleep(60)\n"
    )
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "pids").mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path / "pids"], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        while len(pids := [path.name for path in (tmp_path / "pids").iterdir()]) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.kill()
    begun = time.monotonic()
    while any(Path("/proc", pid).exists() for pid in pids) and time.monotonic() - begun < 30:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not [pid for pid in pids if Path("/proc", pid).exists()]


@pytest.mark.parametrize("where", HERE)
def test_what_a_job_raises_is_raised(where: Where) -> None:
    with pytest.raises(InputError, match=r"found (0|1)"):
        list(run_all([0, 1], refuses, where))


def test_ray_runs_all_jobs_and_carries_what_they_say(cluster: Where) -> None:
    said: list[tuple[Any, ...]] = []
    found = dict(run_all(range(40), square, cluster, lambda *words: said.append(words)))
    assert found == {n: n * n for n in range(40)}
    assert sorted(said) == [("job", n) for n in range(40)]
    with pytest.raises(InputError, match=r"^expected another job, found 0; give another$"):
        list(run_all([0], refuses, cluster))
    assert dict(run_all([0], threads, cluster))[0][0] == "1"  # a task that declares one CPU computes on one


def test_ray_runs_jobs_again_whose_worker_is_killed(cluster: Where, tmp_path: Path) -> None:
    jobs = [tmp_path / str(n) for n in range(3)]
    assert dict(run_all(jobs, dies_once, cluster)) == {n: str(n) for n in range(3)}
    found = dict(run_all(["a", "bad"], dies, cluster))
    assert found[0] == "a"
    assert isinstance(found[1], Lost)
    assert "lost 4 times" in found[1].reason


def test_resources_are_declared_and_too_much_is_refused() -> None:
    has = {"CPU": 8.0, "GPU": 4.0, "memory": 2.0**33}
    assert _needs(Where(), has) == {"num_cpus": 1}
    assert _needs(Where(devices=2, memory=2**40), has) == {"num_cpus": 1, "num_gpus": 2}
    assert _needs(Where(devices=1), {"TPU": 4.0}) == {"num_cpus": 1, "resources": {"TPU": 1}}
    assert _needs(Where(devices=1, memory=2**30), {"memory": 2.0**33}) == {"num_cpus": 1, "memory": 2**30}
    with pytest.raises(InputError, match=r"with 8 accelerators for a job, found 4; use fewer --model-devices"):
        _needs(Where(devices=8), has)
    with pytest.raises(InputError, match=r"with 16 GiB for a job, found 8 GiB; use a smaller --memory"):
        _needs(Where(memory=2**34), has)


def test_losses_of_a_cluster_are_those_of_one_process(cluster: Where, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_checkpoint(tmp_path / f"m{seed}", seed)
    (tmp_path / "a.txt").write_text("the theme of them and the other things that they say " * 5)
    lms = [word for seed in (0, 1, 2) for word in ("--lm", str(tmp_path / f"m{seed}"))]
    given = ["losses", *lms, "--text", f"prose={tmp_path / 'a.txt'}", "--context", "64", "--batch", "128"]
    here = CliRunner().invoke(app, [*given, "--chunk", "50", "--out", str(tmp_path / "here.zarr")])
    there = CliRunner().invoke(
        app, [*given, "--chunk", "50", "--out", str(tmp_path / "there.zarr"), "--cluster", "auto"]
    )
    assert (here.exit_code, there.exit_code) == (0, 0), there.output
    one, many = read_losses(tmp_path / "here.zarr"), read_losses(tmp_path / "there.zarr")
    assert sorted(many.lms) == sorted(one.lms)
    order = [many.lms.index(lm) for lm in one.lms]
    np.testing.assert_array_equal(many.loss[order], one.loss)
    for seed in (0, 1, 2):  # all models report in one place
        assert f"m{seed}: " in there.stderr


def test_blocks_of_a_text_are_tasks_that_write_to_one_row(cluster: Where, tmp_path: Path) -> None:
    """On a cluster and in processes; three tasks for each of two models."""
    for seed in (0, 1):
        write_checkpoint(tmp_path / f"m{seed}", seed)
    (tmp_path / "a.txt").write_text("the theme of them and the other things that they say " * 12)
    models, text = [Model(str(tmp_path / f"m{seed}")) for seed in (0, 1)], [str(tmp_path / "a.txt")]
    options = LossOptions(context=64, batch=128, chunk=20)
    said: list[str] = []
    extract_many(models, text, tmp_path / "one.zarr", options, Where())
    extract_many(models, text, tmp_path / "many.zarr", options, cluster, lambda lm, *rest: said.append(lm), blocks=3)
    one, many = read_losses(tmp_path / "one.zarr"), read_losses(tmp_path / "many.zarr")
    np.testing.assert_array_equal(many.loss[[many.lms.index(lm) for lm in one.lms]], one.loss)
    assert set(said) == {f"m{seed} {block}/3" for seed in (0, 1) for block in (1, 2, 3)}
    with pytest.raises(InputError, match="--blocks cannot be used with --part"):
        extract_many(models, text, tmp_path / "x.zarr", replace(options, part=(0, 2)), Where(), blocks=2)


@pytest.mark.slow
def test_a_model_that_fails_on_a_cluster_leaves_the_others_complete(cluster: Where, tmp_path: Path) -> None:
    from tests.losses.test_extract import hot

    hot(tmp_path)
    write_checkpoint(tmp_path / "good")
    (tmp_path / "a.txt").write_text("they say in the end")
    lms = ["--lm", str(tmp_path / "hot"), "--lm", str(tmp_path / "good")]
    done = CliRunner().invoke(
        app, ["losses", *lms, "--text", str(tmp_path / "a.txt"), "--out", str(tmp_path / "s.zarr"), "--cluster", "auto"]
    )
    assert done.exit_code == 2
    assert "expected finite losses" in done.stderr
    assert "the losses of the other models are complete" in " ".join(done.stderr.splitlines()[-1].split())
    assert read_losses(tmp_path / "s.zarr").lms == ("good",)


def test_a_comparison_on_a_cluster_is_that_of_one_process(cluster: Where, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.csv")
    for name, more in (("here", []), ("there", ["--cluster", "auto"])):
        given = ["--methods", "family-mean,last-known", "--split", "families:2", "--out", str(tmp_path / name)]
        done = CliRunner().invoke(app, ["compare", "--scores", str(tmp_path / "scores.csv"), *given, *more])
        assert done.exit_code == 0, done.output
        assert "4 fits, 0 of them from an earlier run" in done.stdout
    one, many = (pd.read_parquet(tmp_path / name / "cells.parquet") for name in ("here", "there"))
    pd.testing.assert_frame_equal(one, many)
    keys = [sorted(path.name for path in (tmp_path / name / "cache").iterdir()) for name in ("here", "there")]
    assert keys[0] == keys[1]


def test_without_ray_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_checkpoint(tmp_path / "m0")
    (tmp_path / "a.txt").write_text("they say")
    given = ["losses", "--lm", str(tmp_path / "m0"), "--text", str(tmp_path / "a.txt")]
    done = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "s.zarr"), "--cluster", "auto"])
    assert done.exit_code == 2
    assert done.stderr == "error: --cluster needs ray, which is not installed: pip install 'csvjax[cluster]'\n"
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "somewhere"])
def test_an_address_without_a_cluster_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(
        InputError, match=f"expected a running Ray at --cluster {address}, found none .*use --cluster auto"
    ):
        list(run_all([1], square, Where(cluster=address)))


@pytest.mark.slow
def test_a_ray_that_a_command_starts_is_locked_and_ends_with_it() -> None:
    pytest.importorskip("ray")
    program = (
        "import json, os, time\n"
        "from csvjax.cluster import Where, run_all; from tests.cluster_jobs import threads\n"
        "found = run_all([1], threads, Where(cluster='auto'))\n"
        "answer = next(found)[1]\n"
        "import ray\n"
        "print(json.dumps([answer, ray.get_runtime_context().gcs_address, len(os.environ['RAY_AUTH_TOKEN'])]), "
        "flush=True)\n"
        "time.sleep(60)"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = own | {"PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        (nproc, mode), address, size = json.loads(process.stdout.readline())
        assert (nproc, mode, size) == ("1", "token", 64)
        join = f"import ray; ray.init(address={address!r}); print('joined')"
        refused = subprocess.run(
            [sys.executable, "-c", join], capture_output=True, text=True, env=environment, timeout=90
        )
        assert "joined" not in refused.stdout
        process.kill()
    port = address.split(":")[1]
    for _ in range(100):
        said = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout
        if not any("gcs_server" in line and port in line for line in said.splitlines()):
            break
        time.sleep(0.2)
    else:
        pytest.fail("Ray outlives the command that started it")
