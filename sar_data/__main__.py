"""`python -m sar_data` is the command `sar-data`, so that torchrun can start it: torchrun … -m sar_data train …"""

from sar_data.cli import main

main()
