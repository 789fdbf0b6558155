"""The loop: restarts are exact, stops are clean, and what it writes down is there."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.tiny_task import TinyTask
from torch import nn

from bodymap import weights
from bodymap.config import read_yaml
from bodymap.errors import UserError
from bodymap.training.checkpoint import load_optimizer, optimizer_tensors
from bodymap.training.journal import read_journal
from bodymap.training.loop import train
from bodymap.training.settings import TrainConfig
from bodymap.training.task import BatchSource, Task

SETTINGS = {
    "steps": 6, "batch_size": 4, "device": "cpu", "warmup_steps": 2, "rate": 1e-2, "preview_minutes": 0.0,
    "precision": "float32", "tensorboard": False, "log_steps": 2, "average": 0.9,
}  # fmt: skip


def run(folder, task=None, resume=False, init=None, **changes):
    task = task or TinyTask()
    outcome = train(task, TrainConfig(**{**SETTINGS, **changes}), folder, resume=resume, init=init, quiet=True)
    return task, outcome


def checkpoint(folder):
    return {
        name: load_file(folder / "checkpoint" / f"{name}.safetensors") for name in ("model", "average", "optimizer")
    }


def assert_same(a, b, **tolerance):
    for name in a:
        assert set(a[name]) == set(b[name])
        for key in a[name]:
            if tolerance:
                torch.testing.assert_close(a[name][key], b[name][key], **tolerance)
            else:
                assert torch.equal(a[name][key], b[name][key]), (name, key)


def test_tiny_task_follows_the_protocol():
    task = TinyTask()
    assert isinstance(task, Task) and isinstance(task.batch_source(), BatchSource)


class ConvTask(TinyTask):
    """Convolutions have a memory layout, which half precision changes."""

    def __init__(self, **settings):
        super().__init__(**settings)
        torch.manual_seed(6)
        image = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 2))
        self.model = nn.Sequential(image, nn.Flatten(), nn.Tanh(), nn.Linear(8, 1))


@pytest.mark.parametrize(
    "kind, workers, precision",
    [(TinyTask, 0, "float32"), (TinyTask, 2, "float32"), (ConvTask, 0, "bfloat16")],
)
def test_stopped_by_sigterm_and_resumed_is_bit_equal_to_straight(tmp_path, kind, workers, precision):
    straight, _ = run(tmp_path / "straight", kind(), precision=precision)
    _, outcome = run(tmp_path / "workers", kind(workers=workers), precision=precision)
    assert outcome.reason == "finished"
    assert_same(checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "workers"))  # workers change nothing

    class Stopped(kind):
        def losses(self, batch, progress):
            self.last = (batch, progress)
            if progress.step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().losses(batch, progress)

    handler = signal.getsignal(signal.SIGTERM)
    stopped, outcome = run(tmp_path / "two", Stopped(workers=workers), precision=precision)
    assert outcome.reason == "SIGTERM" and outcome.state.step == 3  # the step was finished
    assert signal.getsignal(signal.SIGTERM) == handler
    resumed, outcome = run(tmp_path / "two", kind(workers=workers), resume=True, precision=precision)
    assert outcome.reason == "finished" and outcome.state.step == 6
    assert straight.seen == stopped.seen + resumed.seen
    assert_same(checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "two"))
    a, b = (weights.load(tmp_path / name).tensors for name in ("straight", "two"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_restored_moments_have_their_parameters_layout():
    model = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(1, 4, 5, 5)).sum().backward()
    optimizer.step()
    before = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer, model).items()}
    load_optimizer(optimizer, model, {name: tensor.contiguous() for name, tensor in before.items()})
    state = optimizer.state[model.weight]
    assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == model.weight.stride()
    after = optimizer_tensors(optimizer, model)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_another_seed_gives_another_run(tmp_path):
    run(tmp_path / "a", steps=2)
    run(tmp_path / "b", steps=2, seed=1)  # dropout only: the loader has its own seed
    run(tmp_path / "c", TinyTask(seed=1), steps=2)
    a, b, c = (checkpoint(tmp_path / name)["model"]["0.weight"] for name in "abc")
    assert not torch.equal(a, b) and not torch.equal(a, c)


def test_accumulation_equals_a_larger_batch(tmp_path):
    run(tmp_path / "one", TinyTask(8, plain=True), batch_size=8)
    run(tmp_path / "two", TinyTask(4, plain=True), batch_size=4, accumulate=2)
    run(tmp_path / "other", TinyTask(4, plain=True), batch_size=4)
    one, two, other = (checkpoint(tmp_path / name) for name in ("one", "two", "other"))
    assert_same({"model": one["model"]}, {"model": two["model"]}, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(one["model"]["0.weight"], other["model"]["0.weight"], rtol=1e-4)


def launch(*arguments, processes=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, *launcher, str(root / "tests" / "support" / "tiny_task.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}, cwd=root,
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip


def test_two_processes_equal_one_and_resume(tmp_path):
    done = launch(str(tmp_path / "two"), "3", "4", "1")
    assert done.returncode == 0, done.stderr
    lines = read_journal(tmp_path / "two" / "journal.jsonl")
    assert lines[0]["processes"] == 2 and lines[-1]["samples"] == 24
    # one process with the same samples a step: batch norm and dropout are off in this task
    run(tmp_path / "one", TinyTask(8, plain=True), steps=3, batch_size=8, average=0.999)
    assert_same(
        {"model": checkpoint(tmp_path / "one")["model"]}, {"model": checkpoint(tmp_path / "two")["model"]},
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip
    # the longer run goes on in one process at the right sample
    task, outcome = run(tmp_path / "two", TinyTask(8, plain=True), steps=4, batch_size=8, resume=True, average=0.999)
    assert task.seen[0][:2] == (3, list(range(24, 32))) and outcome.state.samples == 32


def test_weights_spread_over_two_processes_go_on_as_one_would(tmp_path):
    """FSDP on the CPU: from one process to two and back, with restart points in the same format."""
    whole = lambda name, **more: run(tmp_path / name, TinyTask(16, plain=True), batch_size=16, average=0.999, **more)  # noqa: E731
    whole("two", steps=2)
    done = launch(str(tmp_path / "two"), "4", "4", "2", "fsdp", "resume")
    assert done.returncode == 0, done.stderr
    assert "FSDP" in done.stderr
    assert [line["kind"] for line in read_journal(tmp_path / "two" / "journal.jsonl")].count("save") == 3
    whole("one", steps=4)
    assert_same(checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two"), rtol=1e-4, atol=1e-6)
    _, outcome = whole("two", steps=5, resume=True)
    assert outcome.state.samples == 80


def test_half_precision_reaches_spread_weights(tmp_path):
    done = launch(str(tmp_path), "2", "4", "1", "fsdp", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert read_journal(tmp_path / "journal.jsonl")[0]["precision"] == "bf16"
    run(tmp_path / "full", TinyTask(8, plain=True), steps=2, batch_size=8, average=0.999)
    ours, full = (checkpoint(tmp_path / name)["optimizer"]["exp_avg/0.weight"] for name in ("", "full"))
    # rounded in the losses, not in the weights
    assert ours.dtype == torch.float32 and not torch.equal(ours, full)
    torch.testing.assert_close(ours, full, rtol=0.1, atol=0.01)


def test_strategies_that_step_by_themselves_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(UserError, match="DeepSpeed steps the optimiser itself.*fsdp.yaml"):
        run(tmp_path, steps=1)


def test_max_minutes_alone_ends_the_run_with_the_rate_near_zero(tmp_path):
    class Slow(TinyTask):
        def losses(self, batch, progress):
            time.sleep(0.01)
            return super().losses(batch, progress)

    began = time.monotonic()
    task, outcome = run(tmp_path, Slow(), steps=None, max_minutes=0.02, log_steps=1, decay=0.5)
    assert 1.0 < time.monotonic() - began < 6 and outcome.reason == "finished"
    rates = [line["rate"] for line in read_journal(tmp_path / "journal.jsonl") if line["kind"] == "step"]
    assert rates[-1] < 0.1 * max(rates) and max(rates) == pytest.approx(1e-2)
    # the minutes are the run's, not the process's: nothing is left
    again, outcome = run(tmp_path, resume=True, steps=None, max_minutes=0.02)
    assert again.seen == []


def test_pause_saves_and_the_run_goes_on(tmp_path):
    _, outcome = run(tmp_path, steps=100000, pause_minutes=0.005)
    assert outcome.reason == "paused" and 0 < outcome.state.step < 100000
    task, after = run(tmp_path, steps=outcome.state.step + 1, resume=True)
    assert after.state.step == outcome.state.step + 1 and len(task.seen) == 1


def test_everything_is_written_down(tmp_path):
    task, _ = run(
        tmp_path, steps=4, log_steps=2, save_minutes=1e-9, preview_minutes=1e-9, evaluate_minutes=1e-9, tensorboard=True
    )
    lines = read_journal(tmp_path / "journal.jsonl")
    kinds = [line["kind"] for line in lines]
    assert kinds[0] == "start" and kinds[-1] == "stop" and kinds.count("save") == 4 and kinds.count("step") == 2
    assert lines[0]["versions"]["torch"] == torch.__version__.partition("+")[0] and "commit" in lines[0]
    step = next(line for line in lines if line["kind"] == "step")
    assert {"line", "size", "worst", "loss", "norm"} <= set(step["figures"]) and step["samples"] == 8
    # a metric is reported but not part of the loss
    assert step["figures"]["loss"] == pytest.approx(step["figures"]["line"] + step["figures"]["size"], rel=1e-4)
    assert task.evaluations == 4 and len(task.previewed) == 4
    assert all(torch.equal(task.previewed[0], batch) for batch in task.previewed)  # one fixed batch
    assert np.asarray(Image.open(tmp_path / "previews" / "sheet_0000004.png")).shape == (4, 6, 3)
    assert list((tmp_path / "tensorboard").iterdir())
    assert read_yaml(tmp_path / "config.yaml")["train"]["steps"] == 4
    loaded = weights.load(tmp_path, code_version="tiny")
    assert loaded.config == {"model": {"width": 8}} and loaded.metadata["step"] == "4"
    average = checkpoint(tmp_path)["average"]
    assert all(torch.equal(loaded.tensors[key], average[key].half()) for key in ("0.weight", "3.bias"))


def test_reports_do_not_change_the_run(tmp_path):
    run(tmp_path / "quiet", steps=4)
    run(tmp_path / "loud", steps=4, save_minutes=1e-9, preview_minutes=1e-9, evaluate_minutes=1e-9, log_steps=1)
    assert_same(checkpoint(tmp_path / "quiet"), checkpoint(tmp_path / "loud"))


def test_init_from_weights_starts_a_new_run(tmp_path):
    run(tmp_path / "a", steps=3)
    task, outcome = run(tmp_path / "b", init=tmp_path / "a", steps=1, rate=1e-9, average=0.0)
    saved = weights.load(tmp_path / "a").tensors["0.weight"].float()
    torch.testing.assert_close(task.model[0].weight.data, saved, rtol=0, atol=1e-6)
    assert outcome.state.step == 1 and task.seen[0][1] == [0, 1, 2, 3]


def test_init_from_a_part_of_weights(tmp_path):
    run(tmp_path / "a", steps=3)
    task = TinyTask()
    first = task.model[3].weight.detach().clone()
    settings = TrainConfig(**{**SETTINGS, "steps": 1, "rate": 1e-9, "average": 0.0})
    train(task, settings, tmp_path / "b", init=tmp_path / "a", init_only=["0"], quiet=True)
    saved = {name: tensor.float() for name, tensor in weights.load(tmp_path / "a").tensors.items()}
    torch.testing.assert_close(task.model[0].weight.data, saved["0.weight"], rtol=0, atol=1e-6)
    torch.testing.assert_close(task.model[3].weight.data, first, rtol=0, atol=1e-6)
    assert (saved["3.weight"] - first).abs().max() > 1e-3
    assert read_journal(tmp_path / "b" / "journal.jsonl")[0]["init_only"] == ["0"]


def test_rates_follow_the_factors(tmp_path):
    def spy(task, error):
        return {"line": 0 * error + task.model[0].weight.sum() + task.model[3].weight.sum()}

    task = TinyTask(plain=True, at_step=0, action=spy)
    before = [task.model[i].weight.detach().clone() for i in (0, 3)]
    run(tmp_path, task, steps=1, warmup_steps=0, decay=0.0, weight_decay=0.0, clip=0.0)
    # AdamW's first step has the length of the rate
    for i, old, rate in ((0, before[0], 1e-3), (3, before[1], 1e-2)):
        torch.testing.assert_close(
            old - task.model[i].weight.detach(), torch.full_like(old, rate), rtol=1e-3, atol=1e-7
        )


def test_clipping_limits_the_gradient(tmp_path, monkeypatch):
    class Steep(TinyTask):
        def losses(self, batch, progress):
            return {"line": 1e6 * super().losses(batch, progress)["line"]}

    seen = []
    step = torch.optim.AdamW.step

    def spy(self, *arguments, **named):
        seen.append(math.sqrt(sum(float(p.grad.square().sum()) for g in self.param_groups for p in g["params"])))
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(tmp_path, Steep(plain=True), steps=2, clip=0.5)
    assert seen == pytest.approx([0.5, 0.5], rel=1e-3)


def test_non_finite_steps_are_left_out(tmp_path):
    task, outcome = run(tmp_path / "a", TinyTask(at_step=1, action=lambda task, error: {"line": error * math.nan}))
    assert outcome.state.skipped == 1 and outcome.state.step == 6
    assert all(torch.isfinite(tensor).all() for tensor in task.model.state_dict().values())
    assert [line["step"] for line in read_journal(tmp_path / "a" / "journal.jsonl") if line["kind"] == "skip"] == [1]
    # a finite loss with an infinite gradient: sqrt at zero
    action = lambda task, error: {"line": (0 * task.model[3].weight.sum()).sqrt()}  # noqa: E731
    task, outcome = run(tmp_path / "b", TinyTask(at_step=1, action=action))
    assert outcome.state.skipped == 1 and torch.isfinite(task.model[3].weight).all()


def test_gives_up_after_many_bad_steps(tmp_path):
    class Broken(TinyTask):
        def losses(self, batch, progress):
            return {"line": super().losses(batch, progress)["line"] * math.inf}

    with pytest.raises(UserError, match="not finite 3 steps in a row, last at step 2"):
        run(tmp_path, Broken(), max_bad_steps=3)


def test_refusals(tmp_path):
    run(tmp_path / "a", steps=1)
    with pytest.raises(UserError, match="already holds a run; continue it with --resume"):
        run(tmp_path / "a")
    with pytest.raises(UserError, match="no checkpoint"):
        run(tmp_path / "b", resume=True)
    with pytest.raises(UserError, match="needs an end"):
        run(tmp_path / "c", steps=None)
    file = tmp_path / "a" / "checkpoint" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"optimizer.safetensors has \d+ bytes instead of"):
        run(tmp_path / "a", resume=True)
    file.unlink()
    with pytest.raises(UserError, match="optimizer.safetensors is missing"):
        run(tmp_path / "a", resume=True)

    class Forgetful(TinyTask):
        def parameter_groups(self):
            return super().parameter_groups()[:1]

    with pytest.raises(ValueError, match="every trained parameter once"):
        run(tmp_path / "d", Forgetful())


def test_a_kill_between_the_two_renames_of_a_saving_loses_nothing(tmp_path):
    run(tmp_path, steps=2)
    (tmp_path / "checkpoint").rename(tmp_path / ".checkpoint-previous")
    with pytest.raises(UserError, match="already holds a run"):
        run(tmp_path)
    _, outcome = run(tmp_path, steps=3, resume=True)
    assert outcome.state.step == 3


def test_frozen_parameters_stay(tmp_path):
    task = TinyTask()
    task.model[0].requires_grad_(False)
    before = task.model[0].weight.clone()
    run(tmp_path, task, steps=2)
    assert torch.equal(task.model[0].weight, before)
    assert not any(key.endswith("/0.weight") for key in checkpoint(tmp_path)["optimizer"])
