"""Datasets to endless batches on the device: workers only fetch, everything random is fixed by (seed, slot)."""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bodymap.errors import UserError
from bodymap.training.sampler import Forward, Sampler, Shuffled, slots
from bodymap.training.task import Batch

# (batch, slots (B,) int64 of its samples) -> batch; random numbers are drawn per sample from its slot
Transform = Callable[[Batch, Tensor], Batch]


class Indexed(Protocol):
    """A dataset: any index -> one sample. ``len`` where it ends; ``refresh() -> len`` where it may have grown."""

    def __getitem__(self, index: int) -> Any: ...


class Loader:
    """The batch source of a task.

    Args:
        dataset: index -> sample. With ``__len__`` it is shuffled epoch by epoch, without it is read in order for ever.
            Where it has ``refresh`` (a folder that another process still fills), new samples join as they come, as long
            as one process trains.
        collate: list of samples -> batch of tensors, on the CPU; compact (uint8, int16), since it travels.
        transform: augmentation, or whatever turns the collated batch into what the losses want. On a GPU it runs there,
            otherwise in the workers.
        on_cpu: the transform belongs on the CPU and runs in the workers whatever trains.
        finish: (collated batch, device) -> batch of tensors there, in the training process, before ``transform``: where
            workers send descriptions that only the device turns into pictures.
        batch_size: samples a process and forward pass.
        seed: of the order; ``transform`` has its own.
        workers: processes that fetch; 0 fetches in the training process.
        refresh_every: slots between two looks for new samples.
    """

    def __init__(
        self,
        dataset: Indexed,
        collate: Callable[[Sequence[Any]], Batch],
        transform: Transform | None = None,
        *,
        batch_size: int,
        seed: int = 0,
        workers: int = 0,
        sampler: Sampler | None = None,
        refresh_every: int = 512,
        on_cpu: bool = False,
        finish: Callable[[dict[str, Any], torch.device], Batch] | None = None,
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.transform = transform
        self.batch_size = batch_size
        self.workers = workers
        self.refresh_every = refresh_every
        self.on_cpu = on_cpu
        self.finish = finish
        if sampler is None:
            sampler = Shuffled(len(dataset), seed) if hasattr(dataset, "__len__") else Forward()
        self.sampler = sampler

    def batches(self, start: int, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        """Endless; each batch also holds "slot" (B,) int64. See ``BatchSource``."""
        elsewhere = device.type != "cpu" or self.finish is not None
        on_device = elsewhere and not self.on_cpu
        # warp and CUDA do not survive a fork once the parent has used them
        context = ("spawn" if elsewhere else "fork") if self.workers else None
        loader = DataLoader(
            _Slots(self.dataset),
            batch_sampler=_Batches(self, start, rank, world),
            collate_fn=_Collate(self.collate, None if on_device else self.transform),
            num_workers=self.workers,
            multiprocessing_context=context,
            worker_init_fn=_worker_init,
            pin_memory=device.type != "cpu",
            prefetch_factor=4 if self.workers else None,
            # The base seed of the workers must not come from torch's global generator, which belongs to the model
            generator=torch.Generator(),
        )
        for batch in loader:
            batch = self._arrive(batch, device)
            if on_device and self.transform is not None:
                batch = self.transform(batch, batch["slot"])
            yield batch

    def batch(self, start: int, device: torch.device) -> Batch:
        """The one batch whose first slot is ``start``, fetched in this process; it does not disturb the stream."""
        chosen = range(start, start + self.batch_size)
        items = [_Slots(self.dataset)[slot, self.sampler.index(slot)] for slot in chosen]
        batch = _Collate(self.collate, self.transform if self.on_cpu else None)(items)
        batch = self._arrive(batch, device)
        if self.on_cpu or self.transform is None:
            return batch
        return self.transform(batch, batch["slot"])

    def _arrive(self, batch: dict[str, Any], device: torch.device) -> Batch:
        """A collated batch on the device."""
        batch = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
        return batch if self.finish is None else self.finish(batch, device)

    def state(self) -> dict[str, Any]:
        return self.sampler.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.sampler.load_state(state)
        if isinstance(self.sampler, Shuffled):
            largest = max(size for _, size in self.sampler.sizes)
            if largest > len(self.dataset):
                raise UserError(
                    f"The run drew from {largest} samples, now there are {len(self.dataset)}; give it the same data."
                )

    def look_for_more(self, slot: int) -> None:
        """Lets a growing dataset grow; ``slot`` is the next one to be drawn."""
        if hasattr(self.dataset, "refresh") and isinstance(self.sampler, Shuffled):
            self.sampler.grow(self.dataset.refresh(), slot)


class _Batches:
    """The batch sampler: lists of (slot, index). Runs in the training process, ahead of the workers."""

    def __init__(self, loader: Loader, start: int, rank: int, world: int) -> None:
        self.loader, self.start, self.rank, self.world = loader, start, rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        last = self.start
        for chosen in slots(self.start, self.loader.batch_size, self.rank, self.world):
            if self.world == 1 and chosen.start - last >= self.loader.refresh_every:
                self.loader.look_for_more(chosen.start)
                last = chosen.start
            yield [(slot, self.loader.sampler.index(slot)) for slot in chosen]


class _Slots(Dataset):
    """Hands the slot through beside the sample."""

    def __init__(self, dataset: Indexed) -> None:
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, Any]:
        slot, index = key
        return slot, self.dataset[index]


class _Collate:
    def __init__(self, collate: Callable[[Sequence[Any]], Batch], transform: Transform | None) -> None:
        self.collate, self.transform = collate, transform

    def __call__(self, items: list[tuple[int, Any]]) -> Batch:
        chosen = torch.tensor([slot for slot, _ in items])
        batch = self.collate([sample for _, sample in items])
        batch["slot"] = chosen
        return self.transform(batch, chosen) | {"slot": chosen} if self.transform is not None else batch


def _worker_init(worker: int) -> None:
    """One thread, and no early death: a signal to the whole process group is for the training process to answer."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _first_sigterm)
    # A spawned worker ends as a forked one does: the threads of compiled kernels abort when libraries are torn down
    atexit.register(os._exit, 0)


def _first_sigterm(number, frame) -> None:
    # The second one is meant: the loader ends a hung worker so
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
