"""torchrun --nproc-per-node N -m sar_data.train JOB BUILD …: the command `sar-data train` on every rank."""

import sys

from sar_data.cli import main

main(["train", *sys.argv[1:]])
