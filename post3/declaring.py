"""How settings are declared: once each, with a type, a default, a range and a description.

    class Settings:
        THREADS = Setting(4, minimum=1, maximum=256, help="threads of one server process that handle requests")

Everything else is derived from the declaration: the attribute `conf.THREADS` (the value in Django's settings, or the
default), the environment variable that the site reads (`post3_site/environment.py`), the system checks for invalid
values and misspelled names (`checks.py`), and the row in docs/settings.md (written by `make settings`).

The type is that of the default: bool, int, float, str or `list[str]`. A dict needs a separate check and cannot be set
in the environment.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload
from urllib.parse import urlsplit

from django.conf import settings as django_settings

T = TypeVar("T")

PREFIX = "POST3_"
#: Variables that Kubernetes and Docker inject for services named post3, post3-worker and so on.
INJECTED = re.compile(r"POST3(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
#: Default id of the check that reports an invalid value, by the setting's type.
CHECK_IDS = {int: "post3.E010", float: "post3.E010", bool: "post3.E012", list[str]: "post3.E016", str: "post3.E016"}


class Problem(NamedTuple):
    """A problem with a setting: the id of the system check, a message, and a hint with the correction."""

    check_id: str
    message: str
    hint: str


class Setting(Generic[T]):
    """One setting: the value of `POST3_<NAME>`, or the default.

    `accepts` validates a string, or each string of a list. If it returns False, the hint is "Write <write>.". The value
    of a `secret` setting is not repeated in messages. `variable` is the full name if it is not `POST3_<NAME>`. `shown`
    describes the default in the documentation. `basic` settings are also listed in the README.
    """

    def __init__(
        self,
        default: T,
        *,
        help: str,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: tuple[str, ...] = (),
        accepts: Callable[[str], bool] | None = None,
        write: str = "",
        check_id: str = "",
        secret: bool = False,
        variable: str = "",
        shown: str = "",
        basic: bool = False,
    ) -> None:
        self.default, self.help, self.minimum, self.maximum = default, help, minimum, maximum
        self.choices, self.accepts, self._write, self._check_id = choices, accepts, write, check_id
        self.secret, self.name, self.shown, self.basic = secret, variable, shown, basic

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or f"{PREFIX}{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = getattr(django_settings, self.name, self.default)
        return value

    @cached_property
    def kind(self) -> Any:
        """The type of the values. Lists contain strings."""
        return list[str] if isinstance(self.default, list) else type(self.default)

    @property
    def check_id(self) -> str:
        return self._check_id or CHECK_IDS.get(self.kind, "post3.E016")

    @property
    def write(self) -> str:
        """The hint for an invalid value, without "Write" and the period."""
        if self._write:
            return self._write
        if self.choices:
            return " or ".join(self.choices)
        if self.kind is bool:
            return "True or False"
        if self.kind in (int, float):
            return f"a {'whole ' if self.kind is int else ''}number {self.range}"
        return "a list of strings" if self.kind == list[str] else "a string"

    @property
    def range(self) -> str:
        """The range of a number in words, such as "from 1 to 256"."""
        least = self.minimum or 0
        return f"of at least {least}" if self.maximum is None else f"from {least} to {self.maximum}"

    def problem(self, value: Any) -> Problem | None:
        """Return the problem with a value, or None if the value is valid."""
        if self.kind == list[str] and isinstance(value, list | tuple):
            wrong = next((part for part in value if not self._is_right_text(part)), None)
            return None if wrong is None else self._problem(f"{self.name} contains {_shown(wrong)}.")
        if self._is_right(value):
            return None
        return self._problem(f"{self.name} cannot be used." if self.secret else f"{self.name} is {_shown(value)}.")

    def _problem(self, message: str) -> Problem:
        return Problem(self.check_id, message, f"Write {self.write}.")

    def _is_right(self, value: Any) -> bool:
        if self.kind == list[str]:
            return False  # not a list: `problem` has already checked lists
        if self.kind is bool:
            return isinstance(value, bool)
        if self.kind in (int, float):
            kinds = (int,) if self.kind is int else (int, float)
            is_number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            return is_number and (self.minimum or 0) <= value <= (math.inf if self.maximum is None else self.maximum)
        return self.kind is not str or self._is_right_text(value)

    def _is_right_text(self, value: Any) -> bool:
        if not isinstance(value, str) or (self.choices and value not in self.choices):
            return False
        return self.accepts is None or (value == "" and self.default == "") or self.accepts(value)


def declared(owner: type) -> list[Setting[Any]]:
    """Return the settings declared in a class, in order of declaration."""
    return [value for value in vars(owner).values() if isinstance(value, Setting)]


def misspelt(names: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each name that closely resembles a known name.

    Other unknown names are accepted, because an orchestrator or another program may have set them.
    """
    known = set(known)
    for name in sorted(set(names) - known):
        if name.upper().startswith("POST3") and not INJECTED.fullmatch(name) and (meant := _nearest(name, known)):
            yield Problem("post3.E009", f"{name} is not a setting.", f"Write {meant}, or leave {name} out.")


def _nearest(name: str, known: set[str]) -> str | None:
    """Return the known name that a misspelled name most likely stands for, or None."""
    bare = _bare(name)
    near = [(distance, meant) for meant in known if (distance := _distance_of_similar(bare, _bare(meant))) is not None]
    longer = [(-len(meant), meant) for meant in known if re.match(rf"{meant}[A-Z]", name, re.IGNORECASE)]
    return min(near or longer, default=(0, None))[1]


def _bare(name: str) -> str:
    """Return a name in upper case without its prefix and separators, for comparison."""
    return re.sub(r"[^A-Z0-9]", "", name.upper().removeprefix("POST3"))


def _distance_of_similar(bare: str, meant: str) -> int | None:
    """Return the distance of two names, or None if it is more than a quarter of the known one."""
    limit = max(1, len(meant) // 4)
    if abs(len(bare) - len(meant)) > limit:
        return None  # the distance is at least the difference in length
    distance = _distance(bare, meant)
    return distance if distance <= limit else None


def _distance(one: str, other: str) -> int:
    """Return the edit distance of two strings.

    Counts insertions, deletions, substitutions and swaps of adjacent letters.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        two_before, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                least = min(least, two_before[j - 2] + 1)
            row.append(least)
    return row[-1]


def is_address(text: str) -> bool:
    """Return whether the text has the form `host:port`, with an IPv6 host in brackets."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname and parts.port and parts.netloc == text and "@" not in text)
    except ValueError:  # the port is not a number or exceeds 65535, or the brackets are unbalanced
        return False


def is_origin(text: Any) -> bool:
    """Return whether the text is an `http` or `https` URL of a host, with or without a path."""
    if not isinstance(text, str) or not re.fullmatch(r"https?://[\x21-\x7e]+", text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname and parts.port != 0 and not (parts.username or parts.query or parts.fragment))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
