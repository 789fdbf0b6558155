"""Data: synthetic people on the fly or from shards, batches, augmentation. Nothing is imported here on purpose."""
