"""Join tokens: a replica's long-lived credential, of which the hub keeps a hash."""

import hashlib
import secrets

TOKEN_BYTES = 32
PREFIX = "pxj_"
"""Lets a scanner of secrets tell it from other random texts."""


def new_token() -> str:
    """Give a token that nobody can guess: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Give what is kept of a token.

    A fast hash is right here: slow ones (bcrypt, argon2) make up for passwords that can be guessed.
    Of 2^256 tokens none can, at any speed, and this is computed for every request of a replica.
    Looking rows up by it tells nothing by its timing: whoever doesn't have a token can't choose
    what the hash of a guess begins with and be any closer to the token.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
