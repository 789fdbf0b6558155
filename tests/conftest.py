"""One thread for torch: tests run beside each other and on busy machines, where OpenMP's waiting costs more than
it gains."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def another_accelerator():
    """Accelerate keeps one state a process; each test trains in its own precision."""
    yield
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)


def pytest_collection_modifyitems(items):
    """Tests marked ``gpu`` are skipped without one."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)
