from benchmarks.sparse_conv.comparison import main, parse_args
from utils.cli import run_main

if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
