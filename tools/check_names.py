#!/usr/bin/env python3
"""Write messages' numbers with the names that ecCodes gives them, for src/grib/names/tests.rs.

    pip install eccodes==2.50.0
    python tools/check_names.py vectors OUT.tsv [EVERY]    encode parameters at many centres, vary them, read them back
    python tools/check_names.py files OUT.tsv FILE...      read the messages of GRIB files

A line: edition, centre, subCentre, conditions as in parameters.tsv, then shortName, paramId, name, units, cfVarName,
cfName, typeOfLevel.  EVERY keeps one line of so many.
"""

import random
import sys

import eccodes

from eccodes_concepts import KEYS, Definitions
from make_names import Table

HEADS = {
    2: {"discipline": "discipline", "parameterCategory": "category", "parameterNumber": "number"},
    1: {"table2Version": "table", "indicatorOfParameter": "indicator"},
}
GRIB1 = {"indicatorOfTypeOfLevel", "level", "topLevel", "bottomLevel", "timeRangeIndicator", "marsClass"}
ONLY_GRIB1 = GRIB1 - {"marsClass"}
NAMES = ("shortName", "paramId", "name", "units", "cfVarName", "cfName", "typeOfLevel")
# Not ammc: ecCodes aborts at an entry of it.
CENTRES = (
    "ecmf",
    "kwbc",
    "edzw",
    "lfpw",
    "egrr",
    "rjtd",
    "cwao",
    "eswi",
    "cnmc",
    "efkl",
    "ekmi",
    "sbsj",
    "eidb",
    "enmi",
    "lowm",
)
MISSING = 2147483647


def number(message, key):
    try:
        value = eccodes.codes_get_long(message, key)
    except eccodes.CodesInternalError:
        return None
    return "M" if value == MISSING else value


def line(message):
    edition = eccodes.codes_get_long(message, "edition")
    said = []
    for key, short in HEADS[edition].items():
        said.append((short, number(message, key)))
    for key, short in KEYS.items():
        if not short.startswith("!") and (key in GRIB1 if edition == 1 else key not in ONLY_GRIB1):
            said.append((short, number(message, key)))
    if edition == 2:
        said.append(("pdt", number(message, "productDefinitionTemplateNumber")))
        ranges = number(message, "numberOfTimeRanges")
        if ranges:
            said.append(("ntr", ranges))
            said.append(("sp1", int(eccodes.codes_get_array(message, "typeOfStatisticalProcessing")[0])))
    names = []
    for key in NAMES:
        try:
            names.append(eccodes.codes_get_string(message, key))
        except eccodes.CodesInternalError:
            names.append("unknown")
    conditions = " ".join(f"{short}={value}" for short, value in said if value is not None)
    codes = [number(message, "centre"), number(message, "subCentre") or 0]
    return "\t".join(map(str, [edition, *codes, conditions, *names]))


def read_back(message):
    again = eccodes.codes_new_from_message(eccodes.codes_get_message(message))
    try:
        return line(again)
    finally:
        eccodes.codes_release(again)


def vary(message, edition, chance):
    """Change a few numbers on which names depend, so that entries compete."""
    if edition == 1:
        ways = [
            ("indicatorOfTypeOfLevel", (1, 100, 105, 109, 111, 112, 160, 200, 210)),
            ("topLevel", (0, 2, 10, 100)),
            ("timeRangeIndicator", (0, 2, 3, 4)),
            ("table2Version", (1, 2, 3, 128, 201, 228)),
        ]
    else:
        ways = [
            ("typeOfFirstFixedSurface", (1, 8, 100, 101, 103, 105, 106, 150, 160, 166, 174, 200, 254)),
            ("typeOfSecondFixedSurface", (255, 8, 103, 106, 100, 9)),
            ("scaledValueOfFirstFixedSurface", (0, 2, 10, 50, 85000)),
            ("scaleFactorOfFirstFixedSurface", (0, 2)),
            ("typeOfStatisticalProcessing", (0, 1, 2, 3)),
            ("lengthOfTimeRange", (3, 6)),
            ("tablesVersion", (5, 33, 34, 37)),
            ("productionStatusOfProcessedData", (0, 4, 6, 8, 12)),
            ("localTablesVersion", (0, 1)),
            ("parameterNumber", (0, 1, 8, 192)),
            ("productDefinitionTemplateNumber", (0, 8, 40, 48)),
            ("typeOfGeneratingProcess", (2, 4)),
            ("subCentre", (0, 98)),
        ]
    for key, values in ways:
        if random.random() < chance:
            try:
                eccodes.codes_set(message, key, random.choice(values))
            except eccodes.CodesInternalError:
                pass


def sample(entries, size):
    """Some of the paramIds that a list names."""
    ids = list(dict.fromkeys(int(value) for value, _ in entries))
    return random.sample(ids, min(size, len(ids)))


def vectors(every):
    random.seed(98)
    definitions = Definitions()
    seen = set()
    count = 0
    for edition in (1, 2):
        table = Table(definitions, f"grib{edition}")
        for centre in reversed(CENTRES):
            own = table.concept(centre, "paramId") if centre in table.places else []
            wide = table.concept("", "paramId") + table.concept("ecmf", "paramId")
            ids = sample(own, 350) + sample(wide, 1400 if centre == "ecmf" else 120)
            for param_id in ids:
                for version in ((5, 37) if edition == 2 and centre == "ecmf" else (None,)):
                    message = eccodes.codes_grib_new_from_samples(f"GRIB{edition}")
                    try:
                        eccodes.codes_set(message, "centre", centre)
                        if version:
                            eccodes.codes_set(message, "tablesVersion", version)
                        if edition == 2 and centre == "ecmf" and random.random() < 0.2:
                            eccodes.codes_set(message, "setLocalDefinition", 1)
                            eccodes.codes_set(
                                message, "marsClass", random.choice((1, 2, 19, 36, 40, 5, 23, 35, 42, 50, 53, 39))
                            )
                        eccodes.codes_set(message, "paramId", param_id)
                        found = [read_back(message)]
                        vary(message, edition, 0.25)
                        found.append(read_back(message))
                    except eccodes.CodesInternalError:
                        found = []
                    eccodes.codes_release(message)
                    for one in found:
                        if one not in seen:
                            seen.add(one)
                            count += 1
                            if count % every == 0:
                                yield one


def files(paths):
    for path in paths:
        with open(path, "rb") as stream:
            while True:
                try:
                    message = eccodes.codes_grib_new_from_file(stream)
                except eccodes.CodesInternalError:
                    continue
                if message is None:
                    break
                try:
                    yield line(message)
                except eccodes.CodesInternalError as error:
                    print(path, error, file=sys.stderr)
                eccodes.codes_release(message)


def main():
    what, out, *rest = sys.argv[1:]
    lines = vectors(int(rest[0]) if rest else 1) if what == "vectors" else files(rest)
    with open(out, "w", encoding="utf-8", newline="\n") as stream:
        for one in lines:
            print(one, file=stream)


if __name__ == "__main__":
    main()
