"""API keys and their secrets, with which users sign requests.

A secret is encrypted, not hashed, because verifying a signature needs the secret itself. The encryption key is derived
from the site's SECRET_KEY, so that a copy of the database alone gives no access. After a change of SECRET_KEY, secrets
stay readable as long as the old one is in SECRET_KEY_FALLBACKS.
"""

import base64
import logging
import re
import secrets
import string
import threading
import time
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils import timezone

from ..conf import conf
from ..db.outages import retry_read
from ..errors import InternalError, InvalidAccessKeyId
from ..models import ApiKey
from .callers import Caller
from .owners import canonical_id

logger = logging.getLogger(__name__)

ACCESS_KEY_PREFIX = "P3"
ACCESS_KEY_LENGTH = 20
#: Letters and digits only: clients and shells mis-quote the slashes and plus signs of AWS's own secrets.
SECRET_ALPHABET = string.ascii_letters + string.digits
SECRET_LENGTH = 40
#: The shape of every access key. Anything else is refused without a query; PostgreSQL, for example, accepts no NUL.
ACCESS_KEY_SHAPE = re.compile(r"[\x21-\x7e]{1,128}")

#: How many looked-up keys a process remembers.
CACHE_ENTRIES = 1024


class NoSuchUser(Exception):
    """There is no such user. The message says what to do."""


class InactiveUser(Exception):
    """The user is inactive, so their keys would not be accepted."""


class UserExists(Exception):
    """The user can log in already."""


class NoApiKey(Exception):
    """There is no key to sign with. The message says what to do."""


def find_user(name: str | None = None, *, create: bool = False) -> Any:
    """Return the user with that name or, without a name, the only superuser. Raises NoSuchUser.

    With `create`, a missing user is created. It has no password and cannot log in; it only owns keys.
    """
    users = get_user_model()._default_manager
    if name is None:
        superusers = list(users.filter(is_superuser=True)[:2])
        if len(superusers) != 1:
            count = "no superuser" if not superusers else "more than one superuser"
            raise NoSuchUser(f"There is {count}. Name the owner of the key with --user.")
        return superusers[0]
    try:
        return users.get_by_natural_key(name)
    except get_user_model().DoesNotExist:
        if create:
            return users.create_user(**{get_user_model().USERNAME_FIELD: name})
        raise NoSuchUser(f"There is no user {name!r}.") from None


def prepare_console_user(name: str, *, reset: bool = False) -> tuple[Any, bool]:
    """Return the user who will log in to the console, not saved yet, and whether the user is new.

    Raises UserExists if the user can log in already and `reset` is false, ValidationError if the name is invalid.
    """
    user_model = get_user_model()
    try:
        user, is_new = user_model._default_manager.get_by_natural_key(name), False
    except user_model.DoesNotExist:
        user, is_new = user_model(**{user_model.USERNAME_FIELD: user_model.normalize_username(name)}), True
        field: Any = user_model._meta.get_field(user_model.USERNAME_FIELD)
        field.clean(user.get_username(), user)
    can_log_in = not is_new and user.is_active and user.is_staff and user.has_usable_password()
    if can_log_in and not reset:
        raise UserExists(f"The user {name!r} can log in already.")
    return user, is_new


def let_log_in(user: Any, password: str) -> None:
    """Save a user with this password and all permissions in the console."""
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()


def create_api_key(user: Any, name: str = "") -> tuple[ApiKey, str]:
    """Create a key for that user. Return it and its secret, which is never shown again. Raises InactiveUser."""
    if not user.is_active:
        raise InactiveUser(f"The user {user.get_username()!r} is not active, so the key would not be accepted.")
    alphabet = string.ascii_uppercase + string.digits
    tail = "".join(secrets.choice(alphabet) for _ in range(ACCESS_KEY_LENGTH - len(ACCESS_KEY_PREFIX)))
    secret = "".join(secrets.choice(SECRET_ALPHABET) for _ in range(SECRET_LENGTH))
    key = ApiKey.objects.create(
        access_key=ACCESS_KEY_PREFIX + tail, secret_encrypted=_cipher().encrypt(secret.encode()), user=user, name=name
    )
    return key, secret


def has_active_key(user: Any) -> bool:
    """Whether the user has a key that is not revoked."""
    return ApiKey.objects.filter(user=user, revoked_at=None).exists()


def find_signer(bucket: str) -> tuple[str, Caller]:
    """Return secret and caller of the newest active key of a bucket's owner, to sign URLs with. Cached like `look_up`.

    Raises NoApiKey, and InternalError if the secret cannot be decrypted.
    """
    found = _signers.get(bucket)
    if found is None:
        of_owner = ApiKey.objects.filter(user__post3_buckets__name=bucket, user__is_active=True, revoked_at=None)
        key = of_owner.order_by("-created_at", "-pk").values_list("access_key", flat=True).first()
        if key is None:
            raise NoApiKey(f"There is no bucket {bucket!r}, or its owner has no active API key (create_api_key --user NAME).")
        found = look_up(key)
        _signers.put(bucket, found, conf.API_KEY_CACHE_SECONDS)
    return found


def find_api_keys() -> QuerySet[ApiKey]:
    """Return all keys with their users, newest first."""
    return ApiKey.objects.select_related("user").order_by("-created_at", "-pk")


def revoke_api_key(access_key: str) -> ApiKey:
    """Revoke a key. A key that is already revoked keeps its date. Raises ApiKey.DoesNotExist.

    Other processes refuse the key after at most `POST3_API_KEY_CACHE_SECONDS`.
    """
    # One conditional statement, so that the first date is kept if two processes revoke the key at the same time.
    ApiKey.objects.filter(access_key=access_key, revoked_at=None).update(revoked_at=timezone.now())
    _cache.forget(access_key)
    try:
        return ApiKey.objects.select_related("user").get(access_key=access_key)
    except ApiKey.DoesNotExist:
        raise ApiKey.DoesNotExist(f"There is no API key {access_key!r}.") from None


def find_unreadable_key() -> str | None:
    """Return the newest active access key if its secret was encrypted with a SECRET_KEY that the site no longer has."""
    key = ApiKey.objects.filter(revoked_at=None).order_by("-created_at", "-pk").first()
    if key is None:
        return None
    try:
        _cipher().decrypt(bytes(key.secret_encrypted))
    except InvalidToken:
        return key.access_key
    return None


def look_up(access_key: str) -> tuple[str, Caller]:
    """Return the secret and the caller of an active key.

    Raises InvalidAccessKeyId if the key is unknown or revoked or its user is inactive, InternalError if its secret
    cannot be decrypted.
    """
    found = _cache.get(access_key)
    if found is None:
        found = retry_read(lambda: _read(access_key))
        _cache.put(access_key, found, conf.API_KEY_CACHE_SECONDS)
    return found


def _read(access_key: str) -> tuple[str, Caller]:
    if not ACCESS_KEY_SHAPE.fullmatch(access_key):
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    key = ApiKey.objects.select_related("user").filter(access_key=access_key, revoked_at=None).first()
    if key is None or not key.user.is_active:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    try:
        secret = _cipher().decrypt(bytes(key.secret_encrypted)).decode()
    except InvalidToken:
        logger.error(
            "The secret of API key %s cannot be decrypted. Has SECRET_KEY changed? Put the old one into "
            "SECRET_KEY_FALLBACKS, or create a new key.",
            access_key,
        )
        raise InternalError() from None
    return secret, Caller(key.access_key, key.user_id, canonical_id(key.user_id))


def _cipher() -> MultiFernet:
    return _cipher_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _cipher_of(site_secrets: tuple[str | bytes, ...]) -> MultiFernet:
    """Return a cipher that encrypts with the first of these secrets and decrypts with any of them."""
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(secret))) for secret in site_secrets])


def _derive(secret: str | bytes) -> bytes:
    # The info string separates this key from every other use of SECRET_KEY. Changing it makes stored secrets
    # unreadable.
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"post3 API key secrets")
    return hkdf.derive(secret.encode() if isinstance(secret, str) else secret)


class _Cache:
    """Looked-up keys, each kept for a few seconds.

    Every request looks up its key. A decryption takes about 50 µs and the query about 300 µs, more than verifying the
    signature. Misses are not cached, so a new key works immediately. Threads read without the lock, because `dict.get`
    is atomic.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, tuple[str, Caller]]] = {}
        self._lock = threading.Lock()

    def get(self, access_key: str) -> tuple[str, Caller] | None:
        entry = self._entries.get(access_key)
        return entry[1] if entry is not None and time.monotonic() < entry[0] else None

    def put(self, access_key: str, found: tuple[str, Caller], seconds: float) -> None:
        with self._lock:
            self._entries.pop(access_key, None)
            while len(self._entries) >= CACHE_ENTRIES:
                self._entries.pop(next(iter(self._entries)))  # the oldest entry
            if seconds > 0:
                self._entries[access_key] = (time.monotonic() + seconds, found)

    def forget(self, access_key: str) -> None:
        with self._lock:
            self._entries.pop(access_key, None)


#: Keys by access key, and by the bucket whose URLs they sign.
_cache, _signers = _Cache(), _Cache()
