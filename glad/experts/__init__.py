"""Experts: networks trained on the real data, whose paths MTT and AST make a student follow."""

from glad.experts.files import Expert, ExpertError, Experts, Segment
from glad.settings.experts import RECIPES, Recipe

__all__ = ["RECIPES", "Expert", "ExpertError", "Experts", "Recipe", "Segment"]
