"""Experts: networks trained on the real data, whose paths MTT and AST make a student follow."""

from glad.experts.files import Expert, ExpertError, Experts, Segment
from glad.experts.training import RECIPES, Recipe

__all__ = ["RECIPES", "Expert", "ExpertError", "Experts", "Recipe", "Segment"]
