"""Schedule, average, sampler, loader: each against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_task import Numbers, jitter, stack
from torch import nn

from bodymap.errors import UserError
from bodymap.training.average import Average
from bodymap.training.journal import Journal, read_journal
from bodymap.training.loader import Loader
from bodymap.training.sampler import Shuffled, slots
from bodymap.training.schedule import fraction_done, rate_factor
from bodymap.training.settings import TrainConfig

CPU = torch.device("cpu")


def test_schedule_rises_stays_and_falls():
    config = TrainConfig(steps=100, warmup_steps=10, decay=0.25)
    rates = [rate_factor(config, step, fraction_done(config, step, 0.0)) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert set(rates[10:76]) == {1.0} and rates[100] == 0
    assert np.diff(rates[75:]) == pytest.approx(np.full(25, -1 / 25))


def test_fraction_is_whatever_is_further():
    both = TrainConfig(steps=100, max_minutes=10)
    assert fraction_done(both, 20, 1.0) == 0.2 and fraction_done(both, 20, 5.0) == 0.5
    assert fraction_done(TrainConfig(max_minutes=10), 10**9, 2.5) == 0.25
    assert fraction_done(TrainConfig(steps=10), 5, 1e9) == 0.5 and fraction_done(both, 200, 0) == 1


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("steps", 0), ("decay", 2.0), ("average", 1.0)])
def test_settings_refuse_nonsense(name, value):
    with pytest.raises(ValueError, match=name):
        TrainConfig(**{name: value})


def test_average_closed_form():
    """Weights 1, 2, 3, ...: d_n = min(decay, n/(n+9)); the first updates weigh 0.9, 9/11, ... of the present."""
    model = nn.BatchNorm1d(2)
    nn.init.constant_(model.weight, 5.0)
    average = Average(model, decay=0.3)
    expected = 5.0
    for n in range(1, 11):
        nn.init.constant_(model.weight, float(n))
        model.num_batches_tracked += 1
        average.update(model)
        decay = min(0.3, n / (n + 9))
        expected = decay * expected + (1 - decay) * n
        assert average.tensors["weight"].tolist() == pytest.approx([expected] * 2, rel=1e-6)
    assert average.tensors["num_batches_tracked"] == 10
    # long after the warm-up the weights decay geometrically: a_n - c = 0.3^k (a_0 - c) for constant weights c
    nn.init.constant_(model.weight, 1.0)
    for _ in range(5):
        average.update(model)
    assert average.tensors["weight"][0].item() == pytest.approx(1 + 0.3**5 * (expected - 1), rel=1e-5)


def test_average_is_lent_and_given_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.train()
    model[1].eval()  # a frozen batch norm in a training network
    average = Average(model, 0.9)
    before = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.add_(1)
    with pytest.raises(RuntimeError), average.applied_to(model):
        assert torch.equal(model[0].weight, before) and not model.training
        raise RuntimeError
    assert torch.equal(model[0].weight, before + 1)
    assert model.training and model[0].training and not model[1].training


def test_shuffled_covers_each_epoch_and_is_pure():
    sampler = Shuffled(50, seed=3)
    first, second = ([sampler.index(slot) for slot in range(a, a + 50)] for a in (0, 50))
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert [Shuffled(50, seed=3).index(slot) for slot in reversed(range(50))] == first[::-1]
    assert [Shuffled(50, seed=4).index(slot) for slot in range(50)] != first


def test_growth_is_remembered():
    sampler = Shuffled(10, seed=0)
    before = [sampler.index(slot) for slot in range(25)]
    sampler.grow(30, 25)
    assert [sampler.index(slot) for slot in range(25)] == before
    after = [sampler.index(slot) for slot in range(25, 55)]
    assert sorted(after) == list(range(30))
    again = Shuffled(30, seed=0)
    again.load_state(sampler.state())
    assert [again.index(slot) for slot in range(55)] == before + after


def test_processes_share_the_slots():
    ours, theirs = slots(8, 2, 0, 2), slots(8, 2, 1, 2)
    assert [list(next(s)) for s in (ours, theirs, ours, theirs)] == [[8, 9], [10, 11], [12, 13], [14, 15]]


def take(loader, start, count, rank=0, world=1):
    batches = loader.batches(start, rank, world, CPU)
    taken = [next(batches) for _ in range(count)]
    batches.close()
    return taken


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_on_the_slot_alone(workers):
    loader = Loader(Numbers(50), stack, jitter, batch_size=4, seed=1, workers=workers)
    torch.manual_seed(workers)
    whole = take(loader, 0, 6)
    later = take(loader, 12, 3)
    for a, b in zip(whole[3:], later, strict=True):
        assert torch.equal(a["x"], b["x"]) and torch.equal(a["slot"], b["slot"])
    # a process of two sees every other batch, other batch sizes see the same samples
    assert torch.equal(take(loader, 0, 2, rank=1, world=2)[1]["x"], whole[3]["x"])
    large = next(iter(take(Loader(Numbers(50), stack, jitter, batch_size=12, seed=1, workers=workers), 0, 1)))
    assert torch.equal(large["x"], torch.cat([batch["x"] for batch in whole[:3]]))
    assert torch.equal(loader.batch(4, CPU)["x"], whole[1]["x"])


def test_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    take(Loader(Numbers(50), stack, jitter, batch_size=4, workers=1), 0, 2)
    assert torch.equal(torch.rand(3), expected)


class Growing(Numbers):
    def refresh(self):
        self.size = 100
        return self.size


def test_growing_data_joins_and_resumes_exactly():
    loader = Loader(Growing(8), stack, batch_size=4, refresh_every=12)
    whole = take(loader, 0, 30)
    assert loader.state() == {"sizes": [[0, 8], [12, 100]]}
    again = Loader(Growing(100), stack, batch_size=4, refresh_every=12)
    again.load_state(loader.state())
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(whole[5:], take(again, 20, 25), strict=True))
    fewer = Loader(Growing(50), stack, batch_size=4)
    with pytest.raises(UserError, match="drew from 100 samples, now there are 50"):
        fewer.load_state(loader.state())


def test_endless_data_is_read_in_order():
    class Endless:
        def __getitem__(self, index):
            return np.full(4, index, np.float32)

    assert take(Loader(Endless(), stack, batch_size=3), 6, 1)[0]["x"][:, 0].tolist() == [6, 7, 8]


def test_journal_survives_half_a_line_and_infinities(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"kind": "step"}\n{"kind": "st')
    journal = Journal(tmp_path, tensorboard=False)
    journal.write("skip", norm=float("inf"))
    journal.close()
    lines = read_journal(tmp_path / "journal.jsonl")
    assert [line["kind"] for line in lines] == ["step", "skip"] and lines[1]["norm"] == "inf"
