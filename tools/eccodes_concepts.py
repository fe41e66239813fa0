"""The concept files of the installed ecCodes, parsed."""

import ctypes
import os
import re

import eccodeslib

# Keys of conditions -> the short form in the table. "!" marks a key that names derives from others.
KEYS = {
    "backgroundProcess": "bp",
    "bottomLevel": "bl",
    "constituentType": "ct",
    "generatingProcessIdentifier": "gp",
    "generation": "gen",
    "gridDefinitionTemplateNumber": "gdt",
    "indicatorOfTypeOfLevel": "itl",
    "indicatorOfUnitForTimeRange": "iut",
    "inputOriginatingCentre": "ioc",
    "inputProcessIdentifier": "ip",
    "instrumentType": "it",
    "is_aerosol": "!aer",
    "is_aerosol_optical": "!opt",
    "is_chemical": "!chem",
    "is_chemical_srcsink": "!src",
    "lengthOfTimeRange": "len",
    "level": "lev",
    "localTablesVersion": "ltv",
    "marsClass": "cl",
    "modeNumber": "mode",
    "aerosolType": "at",
    "numberOfAdditionalParametersForReferencePeriod": "nap",
    "numberOfGridInReference": "ngr",
    "NV": "nv",
    "pressureUnits": "!pa",
    "probabilityType": "pt",
    "productionStatusOfProcessedData": "ps",
    "randomFieldNumber": "rf",
    "satelliteNumber": "sn",
    "satelliteSeries": "ss",
    "scaleFactorOfFirstFixedSurface": "sf1",
    "scaleFactorOfFirstSize": "fs1",
    "scaleFactorOfFirstWavelength": "fw1",
    "scaleFactorOfLowerLimit": "fll",
    "scaleFactorOfLowerWavePeriodLimit": "fp1",
    "scaleFactorOfSecondFixedSurface": "sf2",
    "scaleFactorOfSecondSize": "fs2",
    "scaleFactorOfSecondWavelength": "fw2",
    "scaleFactorOfUpperWavePeriodLimit": "fp2",
    "scaledValueOfCentralWaveNumber": "cwn",
    "scaledValueOfFirstFixedSurface": "sv1",
    "scaledValueOfFirstSize": "vs1",
    "scaledValueOfFirstWavelength": "vw1",
    "scaledValueOfLowerLimit": "vll",
    "scaledValueOfLowerWavePeriodLimit": "vp1",
    "scaledValueOfSecondFixedSurface": "sv2",
    "scaledValueOfSecondSize": "vs2",
    "scaledValueOfSecondWavelength": "vw2",
    "scaledValueOfUpperWavePeriodLimit": "vp2",
    "sourceSinkChemicalPhysicalProcess": "sscp",
    "statistics": "!sp",  # a list of two statistical processings: 256 * first + second
    "subCentre": "!sub",
    "tablesVersion": "tv",
    "timeRangeIndicator": "tri",
    "topLevel": "tl",
    "true": "!yes",
    "typeOfDistributionFunction": "df",
    "typeOfFirstFixedSurface": "ts1",
    "typeOfGeneratingProcess": "tgp",
    "typeOfPostProcessing": "tpp",
    "typeOfRelationToReferenceDataset": "rel",
    "typeOfSecondFixedSurface": "ts2",
    "typeOfSizeInterval": "tsi",
    "typeOfStatisticalProcessing": "sp",
    "typeOfWavePeriodInterval": "twp",
    "typeOfWavelengthInterval": "twl",
}
# Keys that no template of the release defines: their entries can never win.
NEVER = {"localElementNumber", "atmosphericChemicalConsituentType", "dummy", "dummyc"}
# Derived from the first surface, which the same entries name.
IMPLIED = {"genVertHeightCoords"}
VARIANTS = ("lte33", "", "chemsplit")
MISSING = "M"
HEADS = {
    "grib2": ("discipline", "parameterCategory", "parameterNumber"),
    "grib1": ("table2Version", "indicatorOfParameter"),
}


class Definitions:
    """The definition files of the installed ecCodes."""

    def __init__(self):
        path = os.path.join(os.path.dirname(eccodeslib.__file__), "lib64", "libeccodes_memfs.so")
        with open(path, "rb") as library:
            names = set(re.findall(rb"/MEMFS/definitions/([\w./+-]+)", library.read()))
        self.names = sorted(name.decode() for name in names)
        self.open = ctypes.CDLL(path).codes_memfs_open
        self.open.restype, self.open.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        self.c = ctypes.CDLL(None)
        self.c.fread.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
        self.c.fread.restype = ctypes.c_size_t
        self.c.fclose.argtypes = [ctypes.c_void_p]

    def text(self, name):
        stream = self.open(f"/MEMFS/definitions/{name}".encode())
        if not stream:
            return ""
        buffer = ctypes.create_string_buffer(1 << 22)
        size = self.c.fread(buffer, 1, len(buffer), stream)
        self.c.fclose(stream)
        assert size < len(buffer), name
        return buffer.raw[:size].decode("utf-8", "replace")

    def places(self, edition):
        return sorted({n.split("/")[2] for n in self.names if n.startswith(f"{edition}/localConcepts/")})

    def codes(self, name):
        """A code table's (code, abbreviation) pairs, without abbreviations that are numbers."""
        for line in self.text(name).splitlines():
            words = line.split()
            if len(words) >= 2 and words[0].isdigit() and not words[1].isdigit():
                yield int(words[0]), words[1]


TOKEN = re.compile(r"\s+|#[^\n]*|'[^']*'|\"[^\"]*\"|[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?|.")


def entries(text, edition):
    """Parse a concept file: [(value, conditions)], conditions a tuple of (key, value)."""
    tokens = [t for t in TOKEN.findall(text) if not t.isspace() and not t.startswith("#")]
    found, at = [], 0
    while at < len(tokens):
        value = tokens[at].strip("'\"")
        assert tokens[at + 1 : at + 3] == ["=", "{"], tokens[at : at + 6]
        at += 3
        alternatives, usable = [[]], True
        while tokens[at] != "}":
            key, end = tokens[at], tokens.index(";", at)
            said = tokens[at + 2 : end]
            at = end + 1
            if key in NEVER:
                usable = False
            elif key not in IMPLIED:
                ways = conditions(key, said, edition)
                alternatives = [a + [way] for a in alternatives for way in ways]
        at += 1
        if usable:
            found += [(value, tuple(a)) for a in alternatives]
    return found


def conditions(key, said, edition):
    """One condition as alternatives of (key, integer or MISSING)."""
    if said[0] == "missing":
        return [(key, MISSING)]
    if said[0] == "[":
        numbers = [int(n) for n in said[1:-1] if n != ","]
        assert key == "typeOfStatisticalProcessing" and len(numbers) == 2, (key, said)
        return [("statistics", numbers[0] * 256 + numbers[1])]
    if said[0] == "is_one_of":
        return [(said[2], int(n)) for n in said[4:-1] if n != ","]
    assert len(said) == 1, (key, said)
    if key == "stepType":
        assert said[0].strip("'\"") == "accum", said
        if edition == "grib1":
            return [("timeRangeIndicator", 4), ("timeRangeIndicator", 2)]
        return [("typeOfStatisticalProcessing", 1)]
    if key == "pressureUnits":
        return [(key, int(said[0].strip("'\"") == "Pa"))]
    return [(key, int(said[0]))]


def inline_concept(text, name):
    start = text.index(f"concept {name}")
    body = text[text.index("{", start) + 1 :]
    depth, at = 1, 0
    while depth:
        depth += {"{": 1, "}": -1}.get(body[at], 0)
        at += 1
    return body[: at - 1]
