"""Building a Bento from bentofile.yaml into the store, unless the one there is up to date.

It is quick to import, as the process that imports the user's service does that, too.
"""

from bentoship.bento.build import build, preview, rehearse, up_to_date
from bentoship.bento.values import Bento, BuildContext, Env, Model
from bentoship.packages.requirements import LOCK_PLATFORM

__all__ = ["LOCK_PLATFORM", "Bento", "BuildContext", "Env", "Model", "build", "preview", "rehearse", "up_to_date"]
