"""Limits on guessing passwords: by user name and address, by address, and by user name.

Each limit is a leaky bucket, stored as one moment in time (GCRA). A guess moves this moment forward by the seconds
until one guess is forgotten. A guess that would move it too far into the future is refused. A row in the past has no
effect. A guess is counted before the password is hashed, so that sending guesses simultaneously gains nothing. If the
password is correct, the guess is given back. Names without a user count like all others.

The limit by name alone is against guesses from many addresses. An attacker who knows an administrator's name could use
it to lock them out, so it does not apply to addresses from which this user has logged in before. A single address
cannot exhaust it.
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

#: How long an address stays known after a user has logged in from it.
KNOWN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Limit:
    """`times`: how many times POST3_LOGIN_GUESSES fit into the bucket. `seconds`: until one guess is forgotten."""

    times: int
    seconds: float


PAIR, ADDRESS, NAME = Limit(1, 60.0), Limit(4, 30.0), Limit(6, 30.0)


class TooManyGuesses(Exception):
    """Too many wrong passwords were tried; this one is not checked."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many wrong passwords.")
        #: Seconds until the next password may be tried.
        self.retry_after = max(1, math.ceil(seconds))


@dataclass(frozen=True, slots=True)
class Guess:
    """An attempt to log in, as the digests of the rows that count it."""

    pair: str
    address: str
    name: str
    #: The row that records that this user has logged in from this address.
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
    """Count a guess before its password is checked. Return None if there is no limit. Raises TooManyGuesses."""
    if not conf.LOGIN_GUESSES:
        return None
    guess = Guess.of(name, address)
    _check(guess)  # a flood of refused guesses writes nothing
    with transaction.atomic():
        now = datetime.now(UTC)
        # Create the rows first, so that there is something to lock. Otherwise simultaneous guesses would all find none.
        rows = [LoginAllowance(digest=digest, until=now) for digest in _limits(guess)]
        LoginAllowance.objects.bulk_create(rows, ignore_conflicts=True)
        moments = _check(guess, lock=True)
        for digest, limit in _limits(guess).items():
            _move(digest, max(now, moments[digest]) + timedelta(seconds=limit.seconds))
    return guess


def give_back(guess: Guess) -> None:
    """Undo the count of a guess with the correct password, and remember the user's address."""
    with transaction.atomic():
        moments = _read(guess, lock=True)
        for digest, limit in _limits(guess).items():
            if digest in moments:
                _move(digest, moments[digest] - timedelta(seconds=limit.seconds))
        LoginAllowance.objects.filter(digest=guess.pair).delete()
        LoginAllowance.objects.update_or_create(digest=guess.known, defaults={"until": datetime.now(UTC) + KNOWN})


def forget_old() -> int:
    """Remove rows in the past. Return how many there were."""
    return LoginAllowance.objects.filter(until__lt=datetime.now(UTC)).delete()[0]


def _limits(guess: Guess) -> dict[str, Limit]:
    """Return the limits by row, in the order in which all processes lock the rows."""
    return dict(sorted({guess.pair: PAIR, guess.address: ADDRESS, guess.name: NAME}.items()))


def _check(guess: Guess, lock: bool = False) -> dict[str, datetime]:
    """Return the moments in the guess's rows. Raises TooManyGuesses."""
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
    """Return the network of one client: its IPv4 address, or its IPv6 /64, in which it may choose any address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
