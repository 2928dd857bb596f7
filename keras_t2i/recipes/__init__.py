"""Recipes: all that a training does, as one object of flat fields."""

from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.recipe import StyleRecipe
from keras_t2i.recipes.recipe import TextRecipe

__all__ = ["Recipe", "StyleRecipe", "TextRecipe"]
