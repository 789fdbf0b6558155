"""Synthetic people on disk: ``python -m bodymap.data.shards --pack people.pack --count 20000 --seed 1 -o DIR``.

A folder of shards holds files of a fixed number of samples each, and ``index.json``: the settings, and for each
finished shard its size and SHA-256. Shards appear whole or not at all; a run that was stopped goes on where it was, and
a training may read the folder while it grows. Two formats (``--format``), which train alike to the bit:

* ``safetensors``: ``shard-00000.safetensors``, the compact samples of ``bodymap.data.batch`` as mapped arrays: fastest
  to read, 8 bytes a pixel (``arrays``).
* ``webdataset``: ``shard-000000.tar``, the full Sample of each picture (``tar``): for other programs.

``writing`` fills a folder with processes of this machine, ``cluster`` with several machines (Ray), ``reading`` is the
dataset, ``index`` the bookkeeping that they share.
"""

from bodymap.data.shards.index import FORMATS, ShardSettings, read_index, shard_name, verify_shards
from bodymap.data.shards.reading import ShardDataset
from bodymap.data.shards.writing import write_shards

__all__ = ["FORMATS", "ShardDataset", "ShardSettings", "read_index", "shard_name", "verify_shards", "write_shards"]
