"""Trains by recipes for tables, of which `jaxmlp.tabular` has the parts.

In reading order: `presets` (which one is used), `member_predictions` (of trained ones),
`recipe_plans` (members before their first epoch), `recipe_training` (after their last),
`recipe_fit` (an estimator).
"""

from .member_predictions import Members
from .presets import find_recipe, unused_under_recipe, unused_under_sklearn, uses_recipe
from .recipe_fit import RecipeFit, has_spread
from .recipe_plans import MembersRun
from .recipe_training import train_members

__all__ = [
    "Members",
    "MembersRun",
    "RecipeFit",
    "find_recipe",
    "has_spread",
    "train_members",
    "unused_under_recipe",
    "unused_under_sklearn",
    "uses_recipe",
]
