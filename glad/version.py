"""The version of glad, which every run and every set records."""

VERSION = "0.1.0"
