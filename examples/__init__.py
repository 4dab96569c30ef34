"""Short files that run: each does one thing with a miniature of EuroSAT-SAR, or with the real archive.

    sar-data synth eurosat-sar --out raw --count 80
    python examples/build_from_python.py raw builds
    python examples/torch_loop.py raw builds

tests/test_examples.py runs each.
"""
