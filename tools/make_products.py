"""Writes fixtures/products.grib and fixtures/products.expected.json: small messages of every product definition template,
type of level, unit of time, GRIB 1 time range and ECMWF local definition, made by ecCodes, and the keys that ecCodes reads
from them. Usage: make_products.py OUT (needs PyPI eccodes)."""

import json
import os
import random
import sys

import eccodes as ec

KEYS = [
    k.split(':')
    for k in """centre:s subCentre:i shortName:s paramId:i discipline:i parameterCategory:i parameterNumber:i
table2Version:i indicatorOfParameter:i typeOfLevel:s level:i dataDate:i dataTime:i stepUnits:s stepRange:s startStep:i endStep:i
stepType:s validityDate:i validityTime:i number:i perturbationNumber:i numberOfForecastsInEnsemble:i
derivedForecast:i probabilityType:i scaledValueOfLowerLimit:i scaledValueOfUpperLimit:i percentileValue:i
tablesVersion:i productDefinitionTemplateNumber:i gridDefinitionTemplateNumber:i
dataRepresentationTemplateNumber:i""".split()
]


def desc(h):
    d = {}
    for k, t in KEYS:
        try:
            if ec.codes_is_defined(h, k) == 0:
                continue
            if t != 's' and ec.codes_is_missing(h, k):
                d[k] = None
                continue
            d[k] = ec.codes_get(h, k, {'s': str, 'i': int}[t])
        except ec.CodesInternalError:
            d[k] = None
    return d


out = []
blob = b''


def add(h, note):
    global blob
    m = ec.codes_get_message(h)
    g = ec.codes_new_from_message(m)
    d = {
        'message': len(out) + 1,
        'offset': len(blob),
        'length': len(m),
        'edition': ec.codes_get(g, 'edition'),
        **desc(g),
        'note': note,
    }
    out.append(d)
    blob += m


def setall(h, **kw):
    for k, v in kw.items():
        try:
            ec.codes_set(h, k, v)
        except Exception:
            pass


def g2(**kw):
    h = ec.codes_grib_new_from_samples('regular_ll_pl_grib2')
    setall(h, **kw)
    return h


templates = [t for t in [*range(0, 230), 1000, 1001, 1002, 1100, 1101] if t not in (20, 254)]
random.seed(1)
for t in sorted(templates):
    for centre in (98,):
        try:
            h = g2(tablesVersion=30, centre=centre)
            ec.codes_set(h, 'productDefinitionTemplateNumber', t)
        except Exception as e:
            continue
        setall(
            h,
            forecastTime=random.choice([0, 3, 12]),
            indicatorOfUnitOfTimeRange=1,
            typeOfFirstFixedSurface=103,
            scaleFactorOfFirstFixedSurface=0,
            scaledValueOfFirstFixedSurface=2,
        )
        setall(
            h,
            perturbationNumber=5,
            numberOfForecastsInEnsemble=51,
            derivedForecast=2,
            percentileValue=75,
            quantileValue=3,
            totalNumberOfQuantiles=5,
            probabilityType=1,
            scaleFactorOfLowerLimit=1,
            scaledValueOfLowerLimit=-15,
            scaleFactorOfUpperLimit=0,
            scaledValueOfUpperLimit=7,
            constituentType=62000,
            typeOfStatisticalProcessing=random.choice([0, 1, 2, 3, 5, 6, 11]),
            lengthOfTimeRange=6,
            indicatorOfUnitForTimeRange=1,
            typeOfTimeIncrement=2,
            yearOfEndOfOverallTimeInterval=2007,
            monthOfEndOfOverallTimeInterval=3,
            dayOfEndOfOverallTimeInterval=24,
            waveDirectionNumber=4,
            waveFrequencyNumber=7,
            numberOfWaveDirections=3,
            numberOfWaveFrequencies=2,
            typeOfFirstSize=1,
            scaledValueOfFirstSize=5,
            numberOfForecastsInTheCluster=3,
            NB=2,
            numberOfCategories=2,
        )
        add(h, 'template %d' % t)
# levels
for a, b in [
    (1, 255),
    (2, 255),
    (7, 255),
    (8, 255),
    (10, 255),
    (20, 255),
    (100, 255),
    (100, 100),
    (101, 255),
    (102, 255),
    (103, 255),
    (103, 103),
    (104, 255),
    (104, 104),
    (105, 255),
    (105, 105),
    (106, 106),
    (106, 255),
    (107, 255),
    (108, 108),
    (109, 255),
    (111, 255),
    (114, 255),
    (114, 114),
    (117, 255),
    (118, 255),
    (151, 151),
    (151, 255),
    (152, 152),
    (160, 255),
    (160, 160),
    (166, 255),
    (168, 168),
    (177, 255),
    (200, 255),
    (220, 255),
    (1, 8),
    (1, 100),
    (100, 8),
    (191, 255),
    (254, 255),
    (215, 255),
    (241, 255),
]:
    for c in (98,) if a < 192 else (98, 7):
        for s, v in ((0, 0), (2, 250), (0, 80000), (9, 2000), (255, 2**32 - 1)):
            h = g2(centre=c, tablesVersion=30)
            setall(h, typeOfFirstFixedSurface=a, typeOfSecondFixedSurface=b)
            if s == 255:
                ec.codes_set_missing(h, 'scaleFactorOfFirstFixedSurface')
                ec.codes_set_missing(h, 'scaledValueOfFirstFixedSurface')
            else:
                setall(h, scaleFactorOfFirstFixedSurface=s, scaledValueOfFirstFixedSurface=v)
            if b != 255:
                setall(
                    h,
                    scaleFactorOfSecondFixedSurface=s if s != 255 else 0,
                    scaledValueOfSecondFixedSurface=(v + 3) if s != 255 else 3,
                )
            add(h, 'level')
# steps
for u in (0, 1, 2, 3, 4, 10, 11, 12, 13):
    for f in (0, 1, 3, 60, -6, 3600, 90):
        h = g2(indicatorOfUnitOfTimeRange=u)
        ec.codes_set(h, 'indicatorOfUnitOfTimeRange', u)
        ec.codes_set(h, 'forecastTime', f)
        add(h, 'step')
        for lu, l in ((1, 6), (0, 30), (0, 60), (2, 1), (1, 0), (13, 90)):
            h = g2()
            ec.codes_set(h, 'productDefinitionTemplateNumber', 8)
            ec.codes_set(h, 'indicatorOfUnitOfTimeRange', u)
            ec.codes_set(h, 'forecastTime', f)
            ec.codes_set(h, 'indicatorOfUnitForTimeRange', lu)
            ec.codes_set(h, 'lengthOfTimeRange', l)
            ec.codes_set(h, 'typeOfStatisticalProcessing', 1)
            add(h, 'interval')
for p in list(range(0, 14)) + [100, 101, 102, 192, 255]:
    for inc in (1, 2, 255):
        h = g2()
        ec.codes_set(h, 'productDefinitionTemplateNumber', 8)
        setall(
            h,
            forecastTime=6,
            lengthOfTimeRange=12,
            indicatorOfUnitForTimeRange=1,
            typeOfStatisticalProcessing=p,
            typeOfTimeIncrement=inc,
        )
        add(h, 'process %d %d' % (p, inc))
# several time ranges: cannot be set by keys, patch bytes
for n in (2, 3):
    for incs in ((1, 2, 2), (2, 1, 1), (2, 2, 2), (1, 1, 1)):
        h = g2()
        ec.codes_set(h, 'productDefinitionTemplateNumber', 8)
        ec.codes_set(h, 'numberOfTimeRanges', n)
        try:
            ec.codes_set_array(h, 'typeOfStatisticalProcessing', [0, 2, 3][:n])
            ec.codes_set_array(h, 'typeOfTimeIncrement', list(incs[:n]))
            ec.codes_set_array(h, 'lengthOfTimeRange', [24, 6, 3][:n])
            ec.codes_set_array(h, 'indicatorOfUnitForTimeRange', [1] * n)
        except Exception as e:
            print('ranges', e)
        add(h, 'ranges %d %s' % (n, incs))


# GRIB1
def g1(sample='regular_ll_sfc_grib1', **kw):
    h = ec.codes_grib_new_from_samples(sample)
    setall(h, **kw)
    return h


def patch(h, o):
    m = bytearray(ec.codes_get_message(h))
    for k, v in o.items():
        m[8 + k - 1] = v
    return ec.codes_new_from_message(bytes(m))


h0 = g1()
for unit in (0, 1, 2, 3, 10, 12, 14):
    for tri in (0, 1, 2, 3, 4, 5, 10, 14, 113, 118, 119, 123, 124):
        for p1, p2 in ((0, 0), (6, 12)):
            for c in (98, 7):
                add(
                    patch(h0, {5: c, 18: unit, 19: p1, 20: p2, 21: tri, 22: 0, 23: 10}),
                    'g1 step u%d t%d %d-%d c%d' % (unit, tri, p1, p2, c),
                )
for lt in list(range(1, 10)) + list(range(100, 129)) + [141, 160, 200, 201, 204, 210, 211, 212, 222, 235]:
    for c in (98, 78):
        add(patch(h0, {5: c, 10: lt, 11: 1, 12: 44}), 'g1 level %d' % lt)
        add(patch(h0, {5: c, 10: lt, 11: 0, 12: 0}), 'g1 level0 %d' % lt)
for ld in (
    1,
    2,
    3,
    5,
    7,
    9,
    10,
    11,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    23,
    24,
    25,
    26,
    27,
    28,
    29,
    30,
    36,
    37,
    38,
    39,
    40,
    49,
    50,
):
    for ty in (9, 17):
        h = g1()
        try:
            ec.codes_set(h, 'setLocalDefinition', 1)
            ec.codes_set(h, 'localDefinitionNumber', ld)
            setall(
                h,
                type=ty,
                perturbationNumber=7,
                number=7,
                numberOfForecastsInEnsemble=51,
                iterationNumber=3,
                clusterNumber=2,
                forecastProbabilityNumber=4,
                directionNumber=4,
                frequencyNumber=9,
            )
            ec.codes_set(h, 'type', ty)
        except Exception as e:
            print('local', ld, e)
            continue
        add(h, 'g1 local %d type %d' % (ld, ty))
for p in (15, 16, 57, 61, 111, 113, 187, 42):
    for tb in (2, 201):
        for tri in (0, 1, 2, 13):
            add(patch(h0, {5: 78, 4: tb, 9: p, 18: 1, 19: 3, 20: 6, 21: tri}), 'dwd')
for ld in (1, 11, 14, 15, 16, 18, 26, 30, 36):
    h = g2(centre=98)
    try:
        ec.codes_set(h, 'grib2LocalSectionPresent', 1)
        ec.codes_set(h, 'grib2LocalSectionNumber', ld)
    except Exception as e:
        print('local2', ld, e)
        continue
    setall(h, type=11, stream=1035)
    add(h, 'g2 local %d' % ld)


# What this crate reads on purpose as it does, and not as ecCodes: keys of single messages that are left out.
def deliberate(d, key, value):
    note = d['note']
    return (
        value is None
        or value in ('unavailable', 'multiple steps')
        # GRIB 1 in minutes: ecCodes fails, except for stepUnits.
        or key == 'stepUnits'
        and d.get('stepRange') is None
        # Three time ranges and more: ecCodes has no step.
        or note.startswith('ranges 3')
        and key in ('startStep', 'endStep')
        # Steps of 0 in days and longer units.
        or key in ('stepUnits', 'stepRange')
        and d.get('stepUnits') not in ('h', 'm', 's')
        # ecCodes counts back into minutes above 59 and loses seconds.
        or key == 'validityTime'
        and str(d.get('stepRange')).startswith('-')
        # Limits of categories are not those of a probability.
        or note in ('template 51', 'template 91')
        and key.startswith('scaledValueOf')
        or note.startswith('template 11')
        and key == 'stepType'
        # The number of iterations.
        or note.startswith('g1 local 21')
        and key == 'numberOfForecastsInEnsemble'
    )


kept = [{k: v for k, v in d.items() if k not in ('note', 'message') and not deliberate(d, k, v)} for d in out]
kept = [{'note': d['note'], **k} for d, k in zip(out, kept)]
open(os.path.join(sys.argv[1], 'products.grib'), 'wb').write(blob)
# By edition, the most frequent values; a field has what differs, and in "without" the keys that are not compared.
common = {}
for edition in (1, 2):
    fields = [k for k in kept if k['edition'] == edition]
    keys = {key for field in fields for key in field if key not in ('note', 'offset', 'length')}

    def frequent(key):
        values = [json.dumps(field[key]) for field in fields if key in field]
        return json.loads(max(sorted(set(values)), key=values.count))

    common[edition] = {key: frequent(key) for key in sorted(keys)}


def brief(field):
    usual = common[field['edition']]
    without = sorted(key for key in usual if key not in field)
    short = {key: value for key, value in field.items() if usual.get(key) != value or key == 'edition'}
    return {**short, 'without': without} if without else short


with open(os.path.join(sys.argv[1], 'products.expected.json'), 'w') as f:
    f.write('{"common":' + json.dumps(common, separators=(',', ':')) + ',"field":[\n')
    f.write(',\n'.join(json.dumps(brief(k), separators=(',', ':')) for k in kept) + '\n]}\n')
print(len(out), 'messages', len(blob), 'bytes')
