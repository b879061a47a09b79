"""The audit of a distilled set: who loses by it, what it covers and copied, what its prior did, where it is from."""

from glad.auditing.auditor import audit

__all__ = ["audit"]
