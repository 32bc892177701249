"""Pre-training samples in tar shards: format, order of reading, readers. `python -m data.shard` writes them."""
