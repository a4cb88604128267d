"""`python -m vlmeval_mp.cli` is the command `vlmeval-mp`."""

import sys

from vlmeval_mp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
