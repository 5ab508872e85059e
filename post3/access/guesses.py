"""How often wrong passwords may be tried: by user name and address, by address, and by user name.

Each of the three is a leaking bucket that is one moment in time (GCRA): a guess moves it forward by the seconds that one guess
takes to be forgotten, and a guess that would move it too far into the future is refused. So a row of the past means nothing.
A guess is counted before the password is hashed, so that guesses sent at once are no more than guesses sent one by one, and is
given back when the password was right. Names that no user has count like all others.

The limit by name alone holds against guesses from many addresses. Whoever knows an administrator's name could use it to lock
them out, so it does not hold for an address from which this user has logged in before. One address alone cannot reach it.
"""

import hashlib
import ipaddress
import math
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from ..conf import conf
from ..models import LoginAllowance

#: How long an address from which a user has logged in is known.
KNOWN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Limit:
    """`times`: how many times POST3_LOGIN_GUESSES may be tried at once. `seconds`: until one guess is forgotten."""

    times: int
    seconds: float


PAIR, ADDRESS, NAME = Limit(1, 60.0), Limit(4, 30.0), Limit(6, 30.0)


class TooManyGuesses(Exception):
    """No further password is tried now."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many wrong passwords.")
        #: Until one may be.
        self.retry_after = max(1, math.ceil(seconds))


@dataclass(frozen=True, slots=True)
class Guess:
    """A password that is tried."""

    pair: str
    address: str
    name: str
    #: The row that tells that this user has logged in from this address.
    known: str

    @classmethod
    def of(cls, name: str, address: str) -> "Guess":
        name = unicodedata.normalize("NFKC", name).casefold()
        address = _network(address)
        return cls(
            pair=_digest("pair", name, address),
            address=_digest("address", address),
            name=_digest("name", name),
            known=_digest("known", name, address),
        )


def count(name: str, address: str) -> Guess | None:
    """Count a guess in, before the password is looked at; None where there is no limit. Raises TooManyGuesses."""
    if not conf.LOGIN_GUESSES:
        return None
    guess = Guess.of(name, address)
    _check(guess)  # a flood of refused guesses writes nothing
    with transaction.atomic():
        now = datetime.now(UTC)
        # First, so that there is something to lock: guesses sent at once would all find nothing otherwise.
        rows = [LoginAllowance(digest=digest, until=now) for digest in _limits(guess)]
        LoginAllowance.objects.bulk_create(rows, ignore_conflicts=True)
        moments = _check(guess, lock=True)
        for digest, limit in _limits(guess).items():
            _move(digest, max(now, moments[digest]) + timedelta(seconds=limit.seconds))
    return guess


def give_back(guess: Guess) -> None:
    """Take a guess back, as the password was right, and remember where the user logs in from."""
    with transaction.atomic():
        moments = _read(guess, lock=True)
        for digest, limit in _limits(guess).items():
            if digest in moments:
                _move(digest, moments[digest] - timedelta(seconds=limit.seconds))
        LoginAllowance.objects.filter(digest=guess.pair).delete()
        LoginAllowance.objects.update_or_create(digest=guess.known, defaults={"until": datetime.now(UTC) + KNOWN})


def forget_old() -> int:
    """Remove the rows of the past; return how many there were."""
    return LoginAllowance.objects.filter(until__lt=datetime.now(UTC)).delete()[0]


def _limits(guess: Guess) -> dict[str, Limit]:
    """Return the limits by their rows, in the order in which all processes lock these."""
    return dict(sorted({guess.pair: PAIR, guess.address: ADDRESS, guess.name: NAME}.items()))


def _check(guess: Guess, lock: bool = False) -> dict[str, datetime]:
    """Return the moments of the guess's rows. Raises TooManyGuesses."""
    moments, now = _read(guess, lock), datetime.now(UTC)
    is_known = moments.get(guess.known, now) > now
    waits = [
        (moments[digest] - now).total_seconds() - (limit.times * conf.LOGIN_GUESSES - 1) * limit.seconds
        for digest, limit in _limits(guess).items()
        if digest in moments and not (limit is NAME and is_known)
    ]
    if waits and max(waits) > 0:
        raise TooManyGuesses(max(waits))
    return moments


def _read(guess: Guess, lock: bool) -> dict[str, datetime]:
    rows = LoginAllowance.objects.filter(digest__in=[*_limits(guess), guess.known]).order_by("digest")
    if lock:
        rows = rows.select_for_update()
    return dict(rows.values_list("digest", "until"))


def _move(digest: str, until: datetime) -> None:
    LoginAllowance.objects.filter(digest=digest).update(until=until)


def _network(address: str) -> str:
    """Return what one client surely has: its address or, of IPv6, the /64 in which it may choose any."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
