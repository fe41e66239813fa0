#!/usr/bin/env python3
"""Make src/grib/names/parameters.tsv from ecCodes' own definitions.

    pip install eccodes==2.50.0
    python tools/make_names.py src/grib/names/parameters.tsv

The definitions are read out of the installed ecCodes library through its C interface (its Python package carries them
inside libeccodes_memfs), so that the table always belongs to one release; the release is written into the header.

What ecCodes does, and this table keeps (checked with tools/check_names.py):

- A concept (shortName, typeOfLevel, ...) is a list of entries: a value and conditions on keys. The entry with most
  conditions wins among those whose conditions all hold. Between equals the last in a file wins, and the second file of
  a list wins over the first. (In a concept written inside another definition the first wins.)
- GRIB 2 lists: [centre, master]; then [ECMWF, master]; then the legacy files [ECMWF, master]. A data set with its own
  rules (tigge, s2s, era6, ...) has [master, data set] in place of the first. GRIB 1: [centre, master]; [ECMWF, master].
- GRIB 2 files of parameters come in three editions ("lte33" until table version 33 at centres that switch by it, the
  current one, and "chemsplit"); concept MTG2Switch chooses.
- cfVarName without an entry is the shortName, or p<paramId> where that begins with a digit or is "~".
"""

import itertools
import re
import sys

import eccodes

from eccodes_concepts import HEADS, KEYS, VARIANTS, Definitions, entries, inline_concept


def weight(said):
    """How many conditions ecCodes counts."""
    return sum(2 if key == "statistics" else 1 for key, _ in said)


def holds(said, message):
    return all(message.get(key) == value for key, value in said)


def clash(one, other):
    mine = dict(one)
    return any(key in mine and mine[key] != value for key, value in other)


def first(rows):
    """Rows of a file in order of precedence: the first that holds is ecCodes' choice."""
    return sorted(reversed(rows), key=lambda row: -weight(row[1]))


def choose(lists, message):
    """ecCodes' choice out of a chain of (first file, second file), each sorted by `first`."""
    for pair in lists:
        best, most = None, -1
        for rows in pair:
            row = next((row for row in rows if holds(row[1], message)), None)
            if row and weight(row[1]) >= most:
                best, most = row[0], weight(row[1])
        if best is not None:
            return best
    return None


class Table:
    """Concept files by place ("" the master), read once, with parameters joined from four files."""

    def __init__(self, definitions, edition):
        self.definitions, self.edition = definitions, edition
        self.places = ["", *definitions.places(edition)]
        self.cache = {}

    def path(self, place, name):
        return f"{self.edition}/localConcepts/{place}/{name}.def" if place else f"{self.edition}/{name}.def"

    def concept(self, place, name):
        key = (place, name)
        if key not in self.cache:
            self.cache[key] = entries(self.definitions.text(self.path(place, name)), self.edition)
        return self.cache[key]

    def parameters(self, place, variant):
        """[((paramId, shortName, name, units), conditions)]"""
        key = (place, variant, "parameters")
        if key in self.cache:
            return self.cache[key]
        end = f".{variant}" if variant else ""
        files = [self.concept(place, f"{name}{end}") for name in ("paramId", "shortName", "name", "units")]
        joined = []
        if all([c for _, c in f] == [c for _, c in files[0]] for f in files):
            joined = [(tuple(row[0] for row in rows), rows[0][1]) for rows in zip(*files)]
        else:
            # Conditions differ between the files (edzw and efkl, where paramIds lack or shortNames do): shortName says
            # which entries there are, and each other concept chooses by itself for these conditions. What is lost is a
            # paramId whose entry has no shortName, where another centre's shortName goes with it.
            nothing = {"paramId": "0", "shortName": "unknown", "name": "unknown", "units": "unknown"}
            head = HEADS[self.edition]
            lists = {
                name: [grouped(self.concept(p, f"{name}{end}"), head) for p in (place, "", "ecmf")] for name in nothing
            }
            for said in reversed(dict.fromkeys(c for _, c in reversed(files[1]))):
                values = []
                for name, default in nothing.items():
                    here, master, ecmf = (first(rows.get(bucket(head, said), [])) for rows in lists[name])
                    value = choose([(here, master), (ecmf, master)], dict(said))
                    values.append(default if value is None else value)
                joined.append((tuple(values), said))
        # ecCodes has one entry, a "test" of GRIB 1, without a table: it names nothing that a message would hold.
        self.cache[key] = [row for row in joined if bucket(HEADS[self.edition], row[1])]
        return self.cache[key]


def bucket(head, said):
    said = dict(said)
    if any(key not in said for key in head):
        return None
    return tuple(said[key] for key in head)


def grouped(rows, head):
    groups = {}
    for row in rows:
        key = bucket(head, row[1])
        if key:
            groups.setdefault(key, []).append(row)
    return groups


def merged(variants):
    """Rows of up to three variants of one bucket as [(mask, value, conditions)] in order of precedence."""
    rows = {}
    for bit, variant in enumerate(variants):
        for row in first(variant):
            rows.setdefault(row, 0)
            rows[row] |= 1 << bit
    order = sorted(rows, key=lambda row: -weight(row[1]))
    for variant in variants:
        ranked = [row for row in order if row in set(variant)]
        position = {row: at for at, row in reversed(list(enumerate(first(variant))))}
        for one, other in itertools.combinations(ranked, 2):
            equal = weight(one[1]) == weight(other[1]) and one[0] != other[0] and not clash(one[1], other[1])
            if equal and position[one] > position[other]:
                # The variants disagree about precedence: keep them apart.
                return [(1 << bit, *row) for bit, v in enumerate(variants) for row in first(v)]
    return [(rows[row], *row) for row in order]


def derived_templates(definitions):
    """Product definition templates for which ecCodes' is_... keys are 1."""
    found = {key: [] for key in ("is_chemical", "is_chemical_srcsink", "is_aerosol", "is_aerosol_optical")}
    for name in definitions.names:
        template = re.fullmatch(r"grib2/templates/template\.4\.(\d+)\.def", name)
        if not template:
            continue
        message = eccodes.codes_grib_new_from_samples("GRIB2")
        try:
            eccodes.codes_set(message, "productDefinitionTemplateNumber", int(template[1]))
            for key, templates in found.items():
                if eccodes.codes_get_long(message, key):
                    templates.append(int(template[1]))
        except eccodes.CodesInternalError:
            print("template not usable:", template[1], file=sys.stderr)
        eccodes.codes_release(message)
    for templates in found.values():
        templates.sort()
    return found


class Names:
    """Collects the distinct values and, per parameter, the CF names it can have."""

    def __init__(self):
        self.parameters, self.alternatives = {}, []
        self.cf_var_names, self.cf_names = {"": 0}, {"": 0}
        self.levels = {}

    def parameter(self, value):
        at = self.parameters.setdefault(value, len(self.parameters))
        if at == len(self.alternatives):
            self.alternatives.append({})
        return at

    def add_alternatives(self, value, pairs):
        seen = self.alternatives[self.parameter(value)]
        for var, name in pairs:
            seen[
                (
                    self.cf_var_names.setdefault(var, len(self.cf_var_names)),
                    self.cf_names.setdefault(name, len(self.cf_names)),
                )
            ] = 1


def chains(table, place, dataset):
    """Concept name -> chain of (place, place, file suffix) for one centre or data set."""
    start = ("", place) if dataset else (place, "")
    if table.edition == "grib1":
        both = [start, ("ecmf", "")]
        return {"parameter": both, "cfVarName": both, "cfName": both}
    return {
        "parameter": [start, ("ecmf", ""), "legacy"],
        "cfVarName": [start],
        "cfName": [start, ("ecmf", ""), "legacy"],
    }


def collect_alternatives(table, names, datasets):
    """Every (cfVarName, cfName) that can go with a parameter: the choices for messages that satisfy exactly the
    conditions of one entry of each of the three concepts (a real message with these winners satisfies more)."""
    head = HEADS[table.edition]
    cache = {}

    def rows(place, name, suffix=""):
        key = (place, name, suffix)
        if key not in cache:
            if name == "parameter":
                found = table.parameters(place, suffix)
            else:
                found = table.concept(place, f"{name}.{suffix}" if suffix else name)
            cache[key] = {k: first(v) for k, v in grouped(found, head).items()}
        return cache[key]

    variants = VARIANTS if table.edition == "grib2" else ("",)
    # ECMWF first: its choice comes first among the alternatives.
    places = sorted(table.places, key=lambda place: (place != "ecmf", place))
    for place, variant in itertools.product(places, variants):
        lists = {}
        for name, chain in chains(table, place, place in datasets).items():
            pairs = []
            for step in chain:
                if step == "legacy":
                    pairs.append((rows("ecmf", name, "legacy"), rows("", name, "legacy")))
                else:
                    pairs.append(tuple(rows(p, name, variant if name == "parameter" else "") for p in step))
            lists[name] = pairs
        buckets = {k for pair in lists["parameter"] for part in pair for k in part}
        if place not in ("", "ecmf"):
            # Elsewhere the lists are those of a centre without any.
            buckets &= {k for n in lists for k in rows(place, n, variant if n == "parameter" else "")}
        for key in sorted(buckets):
            here = {n: [tuple(part.get(key, ()) for part in pair) for pair in pairs] for n, pairs in lists.items()}
            options = {
                n: [None, *dict.fromkeys(r for pair in p for part in pair for r in part)] for n, p in here.items()
            }
            for row in options["parameter"][1:]:
                if len(options["cfVarName"]) == 1 and len(options["cfName"]) == 1:
                    names.add_alternatives(row[0], [("", "")])
                    continue
                for var, name in itertools.product(options["cfVarName"], options["cfName"]):
                    said = [r[1] for r in (row, var, name) if r]
                    if any(clash(a, b) for a, b in itertools.combinations(said, 2)):
                        continue
                    message = {k: v for part in said for k, v in part}
                    if choose(here["parameter"], message) == row[0]:
                        pair = (choose(here["cfVarName"], message) or "", choose(here["cfName"], message) or "")
                        names.add_alternatives(row[0], [pair])


def said_text(said, head):
    return " ".join(f"{KEYS[key]}={value}" for key, value in said if key not in head)


def write(out, definitions):
    version = eccodes.codes_get_api_version()
    tables = {edition: Table(definitions, edition) for edition in ("grib2", "grib1")}
    datasets = list(
        dict.fromkeys(
            v for v, _ in entries(inline_concept(definitions.text("grib2/section.4.def"), "datasetForLocal"), "grib2")
        )
    )
    names = Names()
    blocks = []

    def emit(title, rows):
        if rows:
            blocks.append((title, rows))

    # by_short_name and by_param_id take the first. A shortName of both lists ("tp" in m and in kg m-2) means, where
    # nothing but the name is known (ECMWF's index files), the older parameter, of the smaller number.
    wide = [value for place in ("", "ecmf") for value, _ in tables["grib2"].parameters(place, "")]
    for value in sorted(wide, key=lambda value: int(value[0])):
        names.parameter(value)
    for edition, table in tables.items():
        head = HEADS[edition]
        places = sorted(table.places, key=lambda place: (place != "", place != "ecmf", place))
        for place in places:
            variants = [grouped(table.parameters(place, v), head) for v in (VARIANTS if edition == "grib2" else ("",))]
            lines = []
            for key in sorted({k for v in variants for k in v}):
                for mask, value, said in merged([v.get(key, []) for v in variants]):
                    mask = mask if edition == "grib2" else 7
                    lines.append(("/".join(map(str, key)), mask, names.parameter(value), said_text(said, head)))
            emit(f"{edition} parameter {place or '-'}", lines)
            if edition == "grib2" and place in ("", "ecmf"):
                lines = []
                for key, rows in sorted(grouped(table.parameters(place, "legacy"), head).items()):
                    lines += [
                        ("/".join(map(str, key)), 7, names.parameter(v), said_text(s, head)) for v, s in first(rows)
                    ]
                emit(f"{edition} parameter legacy{':' + place if place else ''}", lines)
        collect_alternatives(table, names, datasets)
        for concept, values in (("cfVarName", names.cf_var_names), ("cfName", names.cf_names)):
            for place in [*places, "legacy", "legacy:ecmf"]:
                real = place.removeprefix("legacy").removeprefix(":")
                name = f"{concept}.legacy" if place.startswith("legacy") else concept
                if place.startswith("legacy") and (edition == "grib1" or concept == "cfVarName"):
                    continue
                lines = []
                for key, rows in sorted(grouped(table.concept(real, name), head).items()):
                    for value, said in first(rows):
                        lines.append(
                            ("/".join(map(str, key)), 7, values.setdefault(value, len(values)), said_text(said, head))
                        )
                emit(f"{edition} {concept} {place or '-'}", lines)
        surface = "typeOfFirstFixedSurface" if edition == "grib2" else "indicatorOfTypeOfLevel"
        for place in places:
            rows = table.concept(place, "typeOfLevelConcept" if edition == "grib2" else "typeOfLevel")
            lines = []
            for key, rows in sorted(grouped(rows, (surface,)).items()):
                for value, said in first(rows):
                    at = names.levels.setdefault(value, len(names.levels))
                    lines.append((str(key[0]), 7, at, said_text(said, (surface,))))
            emit(f"{edition} typeOfLevel {place or '-'}", lines)

    table = tables["grib2"]
    rows = entries(inline_concept(definitions.text("grib2/section.4.def"), "datasetForLocal"), "grib2")
    emit("grib2 dataset -", [("0", 7, datasets.index(v), said_text(s, ())) for v, s in first(rows[::-1])])
    for concept, name in (("switch", "MTG2SwitchConcept"), ("byTablesVersion", "MTG2SwitchViaTablesVersionConcept")):
        for place in table.places:
            rows = first(table.concept(place, name))
            emit(f"grib2 {concept} {place or '-'}", [("0", 7, int(v), said_text(s, ())) for v, s in rows])

    put = lambda *words: print(*words, sep="\t", file=out)
    put(f"# Names of GRIB parameters and levels: facts of ecCodes {version} (ECMWF, Apache License 2.0).")
    put("# Made by tools/make_names.py, which says how ecCodes reads its concepts; do not edit.")
    put("# [parameters] paramId, shortName, name, units, and the (cfVarName, cfName) pairs it can have (lines of those")
    put("# sections from 0; 0 is none; nothing is 0,0). A row's third field is such a line number of its own section.")
    put("# [grib2 CONCEPT PLACE] discipline/category/number or first surface; variants (1 until tables 33, 2 current,")
    put("# 4 chemical split); value; further conditions (M is missing), in order of precedence.")
    put("# Keys: " + ", ".join(f"{short} {key}" for key, short in KEYS.items()))
    for title, values in (
        ("centres", dict(definitions.codes("common/c-11.table"))),
        ("classes", dict(definitions.codes("mars/class.table"))),
        ("streams", dict(definitions.codes("mars/stream.table"))),
        ("types", dict(definitions.codes("mars/type.table"))),
    ):
        put(f"[{title}]")
        for code, short in sorted(values.items()):
            put(code, short)
    put("[derived]")
    for key, templates in derived_templates(definitions).items():
        put(KEYS[key], *templates)
    put("[datasets]")
    for name in datasets:
        put(name)
    for title, values in (("levels", names.levels), ("cf_var_names", names.cf_var_names), ("cf_names", names.cf_names)):
        put(f"[{title}]")
        for value in values:
            put(value)
    put("[parameters]")
    for (param_id, short_name, name, units), pairs in zip(names.parameters, names.alternatives):
        listed = " ".join(f"{v},{n}" for v, n in pairs)
        put(param_id, short_name, name, units, *([listed] if listed and listed != "0,0" else []))
    for title, lines in blocks:
        put(f"[{title}]")
        before = None
        for key, mask, value, said in lines:
            # A repeated bucket is left out.
            put("" if key == before else key, mask, value, *([said] if said else []))
            before = key


def main():
    with open(sys.argv[1], "w", encoding="utf-8", newline="\n") as out:
        write(out, Definitions())


if __name__ == "__main__":
    main()
