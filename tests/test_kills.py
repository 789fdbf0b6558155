"""kill -9 in the middle, then the same command again: a part of ``benchmarks/kills.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_training_and_a_test_set_are_killed_and_go_on(tmp_path):
    command = [sys.executable, "benchmarks/kills.py", "--kills", "1", "--only", "train,test set"]
    command += ["--json", str(tmp_path / "records.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
    records = json.loads((tmp_path / "records.json").read_text())
    assert [(record["name"], record["kills"]) for record in records] == [("train", 1), ("test set", 1)]
