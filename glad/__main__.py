"""``python -m glad`` is the command ``glad``."""

from glad.cli import main

main(prog_name="glad")
