"""What is kept between processes, seen from processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEEP = "from csvjax.compiled import keep_compiled; keep_compiled()"
COMPILE = (
    "import jax; jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0); jax.jit(lambda x: x + 1)(1.0)"
)


def run(code: str, home: Path, **more: str) -> str:
    names = [name for name in os.environ if not name.startswith("JAX_COMPILATION") and name != "XDG_CACHE_HOME"]
    environment = {name: os.environ[name] for name in names} | {"HOME": str(home)} | more
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("code", [f"{KEEP}; {COMPILE}", f"import jax; {KEEP}; {COMPILE}"])
def test_programs_are_kept_in_the_users_cache(code: str, tmp_path: Path) -> None:
    run(code, tmp_path)
    assert list((tmp_path / ".cache" / "csvjax" / "compiled").iterdir())


def test_the_users_own_setting_wins(tmp_path: Path) -> None:
    run(f"{KEEP}; {COMPILE}", tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "other"))
    assert list((tmp_path / "other").iterdir())
    run(f"{KEEP}; {COMPILE}", tmp_path, JAX_COMPILATION_CACHE_DIR="")
    assert not (tmp_path / ".cache" / "csvjax").exists()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("a file")
    run(f"{KEEP}; {COMPILE}", tmp_path)


def test_importing_csvjax_keeps_nothing(tmp_path: Path) -> None:
    run(f"import csvjax; csvjax.load_ladder; {COMPILE}", tmp_path)
    assert not (tmp_path / ".cache" / "csvjax").exists()
