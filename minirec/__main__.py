"""python -m minirec"""

import sys

from minirec.cli import main

sys.exit(main())
