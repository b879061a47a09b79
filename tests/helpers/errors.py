"""Errors by the values that they name, whatever the words between them."""

import re


def naming(values: str) -> str:
    """A pattern of texts in which ``values``, parted by spaces, stand in this order, each as a word of its own."""
    return "(?s)" + ".*".join(map(_alone, values.split()))


def _alone(value: str) -> str:
    before, after = (r"(?<!\w)(?<!\d\.)" if value[0].isalnum() else ""), (r"(?!\w|\.\d)" if value[-1].isalnum() else "")
    return before + re.escape(value) + after


def mentions(text: object, values: str) -> bool:
    """Whether ``text``, or an error's text, names ``values``, see ``naming``."""
    return re.search(naming(values), str(text)) is not None
