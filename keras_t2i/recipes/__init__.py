"""Recipes: all that a training does, as one object of flat fields."""

from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.style_recipe import StyleRecipe
from keras_t2i.recipes.text_recipe import TextRecipe

__all__ = ["Recipe", "StyleRecipe", "TextRecipe"]
