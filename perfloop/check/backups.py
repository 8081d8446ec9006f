"""Backups: what cannot be made again is in an archive that is young enough, whole, and on the disk where it was put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop.backup.contents import find_contents, find_secrets, find_unreachable
from perfloop.backup.records import read_records
from perfloop.check import advice
from perfloop.check.findings import failed, passed, unknown
from perfloop.check.sources import in_words
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop.backup.records import Record
    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources


def look_at_backup(sources: Sources) -> Iterator[Finding]:
    """A backup holds every database, the silences, the proofs and the configuration."""
    place = sources.place
    elsewhere = find_unreachable(sources.config.store_url, sources.config.store_file)
    wanted = find_contents(place.settings, in_docker=place.docker is not None)
    fresh = _fresh(sources)
    if not fresh:
        yield failed(_none(sources), advice.BACK_UP)
        return
    newest = fresh[0]
    missing = sorted(set(wanted) - set(newest.contents))
    if missing:
        yield failed(f"the newest backup, {newest.path}, lacks {in_words(missing)}", advice.BACK_UP)
    elif problem := newest.find_problem():
        yield unknown(problem, advice.VERIFY_BACKUP)
    elif elsewhere:
        yield unknown(in_words(elsewhere), advice.BACK_UP)
    else:
        held = ", ".join(one for one in newest.contents if one in wanted) or "nothing yet, as there is nothing"
        yield passed(f"{newest.path}, {span(sources.now - newest.made_at)} old, holds {held}")


def look_at_secrets(sources: Sources) -> Iterator[Finding]:
    """The files in secrets/ are in a backup too: nobody can make them again here."""
    present = find_secrets(sources.place.settings)
    if not present:
        yield passed("secrets/ holds nothing that could be lost")
        return
    holding = [one for one in _fresh(sources) if set(present) <= set(one.contents)]
    intact = [one for one in holding if not one.find_problem()]
    if intact:
        yield passed(f"{intact[0].path} holds {in_words(list(present))}")
    else:
        why = "whether they are kept elsewhere is not known"
        yield unknown(f"no backup holds {in_words(list(present))}: {why}", advice.BACK_UP_SECRETS)


def _fresh(sources: Sources) -> Sequence[Record]:
    """Return the backups that are young enough, the newest first."""
    oldest = sources.now - sources.config.backup_age
    return [one for one in read_records(sources.place.settings.home) if one.made_at >= oldest]


def _none(sources: Sources) -> str:
    records = read_records(sources.place.settings.home)
    if not records:
        return "no backup was ever made"
    age = span(sources.now - records[0].made_at)
    return f"the newest backup, {records[0].path}, is {age} old: longer than {span(sources.config.backup_age)}"
