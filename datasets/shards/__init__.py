"""Pre-training samples in tar shards: their format, reading order and readers. `python -m data.shard` writes them."""
