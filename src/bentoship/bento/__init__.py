"""From bentofile.yaml to a Bento in the store, and whether the one that is there is up to date.

Light to import: the process that imports the user's service does so, too.
"""

from bentoship.bento.build import build, preview, up_to_date
from bentoship.bento.values import Bento, BuildContext, Env, Model
from bentoship.packages.requirements import LOCK_PLATFORM

__all__ = ["LOCK_PLATFORM", "Bento", "BuildContext", "Env", "Model", "build", "preview", "up_to_date"]
