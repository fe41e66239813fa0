"""Python values as the words of the selection language and of the command line."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gribchunk.errors import InvalidError

type Time = str | datetime.datetime | np.datetime64
type Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
type Select = str | Mapping[str, Any]


def sources(given: Sources) -> list[str]:
    if isinstance(given, str | os.PathLike):
        given = [given]
    return [os.fspath(source).removeprefix("file://") for source in given]


def path(given: str | os.PathLike[str]) -> str:
    text = os.fspath(given)
    if "://" in text and not text.startswith("file://"):
        raise InvalidError(f"{text}: this version opens repositories on local disks only; give a path or file:// URL")
    return text.removeprefix("file://")


def time(given: Time) -> str:
    """``2026112106``, to the minute."""
    if isinstance(given, np.datetime64):
        given = given.astype("datetime64[s]").item()
    if isinstance(given, datetime.datetime):
        if given.tzinfo is not None:
            given = given.astimezone(datetime.UTC)
        return given.strftime("%Y%m%d%H%M")
    return str(given)


def times(given: Time | Iterable[Time]) -> str:
    if isinstance(given, str | datetime.datetime | np.datetime64):
        return time(given)
    return ",".join(time(one) for one in given)


def duration(given: Any) -> str:
    """Hours, with a suffix where it needs one."""
    if isinstance(given, np.timedelta64):
        given = given.astype("timedelta64[s]").item()
    if isinstance(given, datetime.timedelta):
        minutes, seconds = divmod(given.total_seconds(), 60)
        if seconds:
            raise InvalidError(f"step {given}: steps are whole minutes")
        return str(int(minutes) // 60) if minutes % 60 == 0 else f"{int(minutes)}m"
    return str(given)


def numbers(given: Any) -> str | None:
    """Steps or members: a text such as ``0:144:3``, or the values."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Iterable):
        return ",".join(duration(one) for one in given)
    return duration(given)


def cycles(given: Mapping[Any, Any]) -> list[tuple[list[int], str]]:
    """Steps by hours of the day: ``{"00/12": "0:144:3", 6: [0, 3, 6]}``."""

    def hours(key: Any) -> list[int]:
        try:
            return [int(part) for part in str(key).rstrip("zZ").split("/")]
        except ValueError:
            raise InvalidError(f"cycle {key!r}: write hours as 00/12") from None

    return [(hours(key), numbers(steps) or "") for key, steps in given.items()]


def select(given: Select | None) -> str | None:
    """``variable=t2m/tp,step=0:48``; of a mapping, lists are joined by ``/`` and slices are ranges."""
    if given is None or isinstance(given, str):
        return given

    def word(value: Any) -> str:
        if isinstance(value, slice):
            if value.step is not None:
                raise InvalidError(f"{value}: a range of a selection has no step")
            return f"{word(value.start)}:{word(value.stop)}"
        if isinstance(value, str):
            return value
        if isinstance(value, datetime.timedelta | np.timedelta64):
            return duration(value)
        if isinstance(value, datetime.datetime | np.datetime64):
            return time(value)
        if isinstance(value, Iterable):
            return "/".join(word(one) for one in value)
        return str(value)

    return ",".join(f"{key}={word(value)}" for key, value in given.items())


def reference(at: Time) -> str:
    """A branch, tag or snapshot id, or a moment."""
    if isinstance(at, np.datetime64):
        at = at.astype("datetime64[us]").item()
    if isinstance(at, datetime.datetime):
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        return at.isoformat()
    return str(at)
