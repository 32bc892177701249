"""Sparse convolution against a plain gather and scatter: python -m benchmarks.sparse_conv."""

from benchmarks.sparse_conv.comparison import main, parse_args

__all__ = ["main", "parse_args"]
