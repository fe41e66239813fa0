"""What ingest and materialise did."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class FileReport:
    """What one source file brought."""

    url: str
    size: int
    fields: int
    """Fields found."""
    placed: int
    """Fields that have their slots now."""
    materialised: int
    """Of these, decoded and stored."""
    kept: int
    """Fields that stay out because another field is there (``on_conflict="keep"``)."""
    not_selected: int
    """Fields of variables that the cube was made without."""
    duplicates: int
    refused: list[dict[str, Any]]
    """Fields without a place: byte offset, field, slot, reason."""
    unchanged: bool
    """The file is the one that was ingested before: nothing was done."""
    warnings: list[str]
    error: str | None
    """Why nothing of the file could be read."""


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What an ingest did."""

    files: list[FileReport]
    snapshots: list[str]
    """Ids of the commits."""

    @property
    def placed(self) -> int:
        """Fields that have their slots now."""
        return sum(file.placed for file in self.files)

    @property
    def materialised(self) -> int:
        """Of these, decoded and stored."""
        return sum(file.materialised for file in self.files)

    @property
    def refused(self) -> int:
        """Fields without a place."""
        return sum(len(file.refused) for file in self.files)

    @property
    def is_complete(self) -> bool:
        """Whether every field of every file has its place (or was there already)."""
        return all(file.error is None and not file.refused for file in self.files)

    def __str__(self) -> str:
        text = (
            f"{self.placed} fields of {len(self.files)} files placed, {self.materialised} of them materialised, "
            f"{self.refused} refused; {len(self.snapshots)} commits"
        )
        for file in self.files:
            if file.error is not None:
                text += f"\n  {file.error}"
            for field in file.refused:
                text += f"\n  {file.url} at byte {field['offset']}: {field.get('field', 'field')}: {field['reason']}"
        return text


@dataclasses.dataclass(frozen=True)
class AllocateReport:
    """What an allocate added."""

    times: int
    """New reference times."""
    steps: int
    members: int
    levels: int
    variables: list[str]
    """Paths of new arrays."""
    groups: list[str]
    """Paths of new groups."""
    refused: list[str]
    """What cannot be added to arrays that are there, and why."""
    snapshot: str | None
    """The snapshot that was made; None when everything was there already."""


@dataclasses.dataclass(frozen=True)
class MaterialiseReport:
    """What a materialise did."""

    materialised: int
    bytes: int
    """Bytes that were stored."""
    failed: list[dict[str, Any]]
    """Slots that stay virtual: slot, field, reason."""
    snapshots: list[str]


@dataclasses.dataclass(frozen=True)
class LogEntry:
    """One snapshot of a history."""

    id: str
    parent: str | None
    time: str
    """When it was committed, RFC 3339."""
    message: str
    changes: dict[str, Any]
    """Counts of what the commit did; empty for commits of other programs."""


def ingest_report(text: str) -> IngestReport:
    value = json.loads(text)
    files = []
    for file in value["files"]:
        file["not_selected"] = file.pop("notSelected")
        names = {field.name for field in dataclasses.fields(FileReport)}
        files.append(FileReport(**{key: item for key, item in file.items() if key in names}))
    return IngestReport(files, value["snapshots"])


def materialise_report(text: str) -> MaterialiseReport:
    value = json.loads(text)
    return MaterialiseReport(value["materialised"], value["bytes"], value["failed"], value["snapshots"])


def log_entry(value: dict[str, Any]) -> LogEntry:
    own = {key: value.pop(key) for key in ("id", "parent", "time", "message")}
    return LogEntry(**own, changes=value)
