"""Coverage as a dataset."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import xarray as xr

STATES = {
    "notExpected": 0,
    "missing": 1,
    "virtual": 2,
    "materialised": 3,
    "failed": 4,
    "replacementFailed": 5,
}
"""The numbers of the states: nothing is expected here; nothing arrived; a GRIB message elsewhere; decoded and stored
here; a field arrived and was refused; a newer field was refused, and the older one is still there."""


def dataset(coverage: dict[str, Any]) -> xr.Dataset:
    """The coverage that the extension gives as JSON."""
    names = {"notExpected": "not_expected", "replacementFailed": "replacement_failed"}
    flags = {
        "flag_values": np.array(list(STATES.values()), "int8"),
        "flag_meanings": " ".join(names.get(state, state) for state in STATES),
    }
    variables = {}
    for one in coverage["variables"]:
        coordinates = {
            dimension: _coordinate(dimension, labels)
            for dimension, labels in zip(one["dimensions"], one["coordinates"], strict=True)
        }
        shape = [len(values) for values in coordinates.values()]
        states = np.array([STATES[state] for state in one["states"]], "int8").reshape(shape)
        variables[one["variable"]] = xr.DataArray(states, coordinates, one["dimensions"], attrs=flags | one["counts"])
    arrays = xr.align(*variables.values(), join="outer", fill_value=STATES["notExpected"])
    total = {key: value for key, value in coverage["total"].items()}
    return xr.Dataset(dict(zip(variables, arrays, strict=True)), attrs={"snapshot": coverage["snapshot"], **total})


def _coordinate(dimension: str, labels: list[str]) -> np.ndarray[Any, Any]:
    match dimension:
        case "time":
            formats = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M"}
            times = [datetime.datetime.strptime(label, formats[len(label)]) for label in labels]
            return np.array(times, "datetime64[ns]")
        case "step":
            return np.array([_duration(label) for label in labels], "timedelta64[ns]")
        case "number":
            return np.array([int(label) for label in labels], "int64")
        case _:
            return np.array([float(label.split("-")[0]) for label in labels], "float64")


def _duration(label: str) -> datetime.timedelta:
    seconds = {"h": 3600, "m": 60, "s": 1, "d": 86400}
    if label[-1:] in seconds:
        return datetime.timedelta(seconds=int(label[:-1]) * seconds[label[-1]])
    return datetime.timedelta(hours=int(label))
