"""What is set by the name of a setting, and by that name with BENTOSHIP_ in front, which can only mean ours.

The environment and `.env` belong to the user's application as well, whose BACKEND or GCP_PROJECT_ID is not for us.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from os.path import commonprefix
from typing import TypeVar

from bentoship.system.values import dataclass

D = TypeVar("D")
T = TypeVar("T")

PREFIX = "BENTOSHIP_"

# PEM, several lines; a key in Base64; Google's tokens.
_KEY = re.compile(r"""[\n\r]|-----BEGIN|PRIVATE KEY|^[\w+/=\s-]{200,}$|^(ya29\.|1//|AIza|GOCSPX-)""")

# Names of other programs that differ from one of ours by a single character.
_OTHERS = {"PLATFORM"}


@dataclass(frozen=True)
class Given:
    """All names and values that a project's settings are among.

    Args:
        environ: the environment, which wins over the file.
        file: what `.env` sets.
        mistakes: gets a sentence for each setting that is found to be wrong.
    """

    environ: Mapping[str, str]
    file: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return the value of exactly this name, stripped; "" when it is unset."""
        return self.environ.get(name, "").strip() or self.file.get(name, "").strip()

    def text(self, setting: str) -> str:
        """Return the value of a setting; "" when it is unset. The prefixed name wins, wherever either is set."""
        return self.value(self._spelling(setting))

    def read(self, setting: str, default: D, parse: Callable[[str], T]) -> D | T:
        """Return what a setting stands for.

        Args:
            setting: the name without the prefix.
            default: what an unset or a wrong one stands for.
            parse: raises ValueError with what is allowed, as in "has to be …".
        """
        text = self.text(setting)
        if not text and setting in self.options:
            self.refuse(setting, "has no value")
        try:
            return parse(text) if text else default
        except ValueError as error:
            self.refuse(setting, f"is {text!r}, but has to be {error}")
            return default

    def refuse(self, setting: str, finding: str) -> None:
        """Add a mistake: the name that set a setting, what is wrong with it, and what to do if it is not ours.

        Args:
            setting: the name without the prefix.
            finding: such as "is 'x', but has to be y". Passwords in addresses are left out, and so is a key.
        """
        name, text = self.name(setting), self.text(setting)
        if is_key(text):
            finding = finding.replace(repr(text), "a key or a token, which is not shown here")
        way_out = "" if name.startswith((PREFIX, "-")) else f"; if it belongs to your app, set {PREFIX}{setting}"
        self.mistakes.append(f"{name} {re.sub(r'//[^ ]*@', '//…@', finding)}{way_out}")

    def misspelt(self, known: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield each unknown name that is one slip away from a known one that is unset, with the known one.

        Args:
            known: the names of all settings, with and without the prefix.
        """
        for name in sorted({*self.environ, *self.file} - {*known, *_OTHERS}):
            meant = (other for other in known if _is_one_slip(name.upper(), other) and not self.text(other))
            if match := next(meant, None):
                yield name, match

    def name(self, setting: str) -> str:
        """Return the name by which the user has set a setting: an option, or that of a variable."""
        return self.options.get(setting) or self._spelling(setting)

    def strength(self, setting: str) -> int:
        """Return how strongly a setting is set: 3 on the command line, 2 in the environment, 1 in `.env`, 0 nowhere."""
        if setting in self.options:
            return 3
        name = self._spelling(setting)
        value, kept = self.environ.get(name, "").strip(), self.file.get(name, "").strip()
        # What `.env` sets is in the environment, too, once it has been exported for SDKs.
        return 2 if value and value != kept else int(bool(kept))

    @property
    def options(self) -> Mapping[str, str]:
        """Return the options that the command line has for settings, by these; invoke_adapter.py sets the variable."""
        return dict(entry.split("=") for entry in self.environ.get(f"{PREFIX}OPTIONS", "").split(",") if "=" in entry)

    def _spelling(self, setting: str) -> str:
        """Return the name that sets a setting."""
        return PREFIX + setting if self.value(PREFIX + setting) else setting


def is_key(text: str) -> bool:
    """Return whether a text must be a key or a token, such as one that was put in place of its file's name."""
    return bool(_KEY.search(text))


def _is_one_slip(name: str, known: str) -> bool:
    """Return whether one character is missing, added or replaced at most, or two neighbours are swapped."""
    if abs(len(name) - len(known)) > 1:
        return False
    start = len(commonprefix([name, known]))  # noqa: RUF071  # of texts, not of paths
    left, right = name[start:], known[start:]
    swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
    return swapped or left[1:] == right or left == right[1:] or left[1:] == right[1:]
