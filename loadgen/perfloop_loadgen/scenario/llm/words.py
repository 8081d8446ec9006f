"""Filler text: words in an order that follows from a key: the same key gives the same text, and no other does."""

from __future__ import annotations

import base64
import hashlib

# Short and common: with a space before it, each is one token of the usual tokenizers. A byte chooses one of them.
_VOCABULARY = tuple(
    """
    about above across action after again age air allow almost alone along also always among animal answer any apple
    area arm army art ask baby back bad bag ball bank base bear beat bed before begin best better big bird black blood
    blue board boat body bone book born both bottom box boy bread break bring brother brown build burn bus busy buy call
    car card care carry case cat catch cell center chair chance change check child city class clean clear clock close
    cloud coat cold color come cook cool corn corner cost cotton count country course cover cross crowd cry cut dance
    dark daughter day dead deal dear deep desert design dog door double doubt down draw dream dress drink drive drop dry
    dust each ear early earth east easy eat edge egg eight else end enemy engine enough enter equal even evening event
    ever every eye face fact fall family famous far farm fast father fear feed feel few field fight figure fill final
    find fine finger finish fire first fish five flat floor flow flower fly follow food foot force forest form forward
    four free fresh friend front fruit full game garden gas gate general gentle girl give glad glass gold good grand
    grass gray great green ground group grow guess guide hair half hall hand happy hard hat head hear heart heat heavy
    help here high hill history hold hole home hope horse hot hour lake huge human hundred hunt hurry ice idea inside
    iron island join joy jump keep kind
    """.split()  # noqa: SIM905 - as a list it would be a word a line
)
# 48 bits: of a million texts, none begin alike but by a chance of one in five hundred.
_TAG_BYTES = 6


def words(key: str, count: int) -> str:
    """Return so many words that follow from the key."""
    # The hash function has as many bytes as are asked for: a byte is a word.
    return " ".join(map(_VOCABULARY.__getitem__, hashlib.shake_256(key.encode()).digest(count)))


def tagged_words(key: str, count: int) -> str:
    """Return the same with a first word that no other key has, so that no two texts begin alike."""
    return f"{tag(key)} {words(key, count - 1)}" if count > 1 else tag(key)


def tag(key: str) -> str:
    """Return one word that no other key has."""
    digest = hashlib.blake2b(key.encode(), digest_size=_TAG_BYTES).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()
