"""Settings of the commands and functions as frozen dataclasses: names, types, defaults, and what each field means.

They are the one source of the command line's options and help (``glad.cli.settings``), of the keys of a YAML file
(``glad.settings.fields.read``), of its JSON schema (``schema``), and of the reference. A field's meaning is the text
under it. Nothing here imports more than the standard library, so that ``glad COMMAND --help`` answers at once.
"""
