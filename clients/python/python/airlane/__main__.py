"""``python -m airlane`` is ``airlane``."""

from ._binary import main

main()
