"""Everything is declared in pyproject.toml; this file is where ahead-of-time builds of the operators will hook in."""

from setuptools import setup

setup()
