"""GPU machines often have torch, timm and accelerate and little else: training must not ask for more."""

import subprocess
import sys

ABSENT = ("anny", "kornia", "lpips", "diffusers", "imageio", "imageio_ffmpeg", "pybullet", "kornia_rs")
RUN = f"""
import runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv[0] = "bodymap.train"
runpy.run_module("bodymap.train", run_name="__main__", alter_sys=True)
"""


def test_training_on_the_fly_runs_without_the_other_packages(tmp_path, request):
    config = request.config.rootpath / "configs/bodymap/tiny.yaml"
    command = [sys.executable, "-c", RUN, "--config", str(config), "--steps", "2", "--batch-size", "2"]
    command += ["--device", "cpu", "--set", "train.preview_minutes=0", "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=request.config.rootpath, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "weights" / "config.yaml").exists()
