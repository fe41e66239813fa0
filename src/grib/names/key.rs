/// ecCodes' "missing": all bits of a scale factor, a scaled value or a GRIB 1 level are set. (Entries of code tables that
/// mean "missing", such as 255 for the second fixed surface, are given as they are.)
pub const MISSING: i64 = i64::MAX;

/// Gives the numbers of one message by which its parameter and level are identified.
pub trait KeySource {
    /// The value of `key`, [`MISSING`] for a missing scale factor, scaled value or level, `None` where the message has
    /// no such octets.
    fn get(&self, key: Key) -> Option<i64>;
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident $short:literal,)*) => {
        /// ecCodes keys on which the identification of parameters and levels depends. The documentation gives the
        /// octets where the ecCodes name does not say which of several is meant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Key { $($(#[$doc])* $name,)* }

        impl Key {
            /// The key of a short form of the table.
            pub(super) fn from_short(short: &str) -> Option<Key> {
                match short {
                    $($short => Some(Key::$name),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    /// GRIB 2 section 0 octet 7.
    Discipline "discipline",
    ParameterCategory "category",
    ParameterNumber "number",
    /// GRIB 2 section 1 octet 10.
    TablesVersion "tv",
    /// GRIB 2 section 1 octet 11.
    LocalTablesVersion "ltv",
    /// GRIB 2 section 1 octet 20, code table 1.3.
    ProductionStatusOfProcessedData "ps",
    ProductDefinitionTemplateNumber "pdt",
    TypeOfGeneratingProcess "tgp",
    BackgroundProcess "bp",
    GeneratingProcessIdentifier "gp",
    TypeOfFirstFixedSurface "ts1",
    ScaleFactorOfFirstFixedSurface "sf1",
    ScaledValueOfFirstFixedSurface "sv1",
    TypeOfSecondFixedSurface "ts2",
    ScaleFactorOfSecondFixedSurface "sf2",
    ScaledValueOfSecondFixedSurface "sv2",
    /// Of the last time range, which is the one that ecCodes gives when asked for a single number.
    TypeOfStatisticalProcessing "sp",
    /// Of the last time range.
    IndicatorOfUnitForTimeRange "iut",
    /// Of the last time range.
    LengthOfTimeRange "len",
    NumberOfTimeRanges "ntr",
    /// Of the first time range.
    FirstTypeOfStatisticalProcessing "sp1",
    ProbabilityType "pt",
    ScaleFactorOfLowerLimit "fll",
    ScaledValueOfLowerLimit "vll",
    ConstituentType "ct",
    SourceSinkChemicalPhysicalProcess "sscp",
    TypeOfDistributionFunction "df",
    ModeNumber "mode",
    AerosolType "at",
    TypeOfSizeInterval "tsi",
    ScaleFactorOfFirstSize "fs1",
    ScaledValueOfFirstSize "vs1",
    ScaleFactorOfSecondSize "fs2",
    ScaledValueOfSecondSize "vs2",
    TypeOfWavelengthInterval "twl",
    ScaleFactorOfFirstWavelength "fw1",
    ScaledValueOfFirstWavelength "vw1",
    ScaleFactorOfSecondWavelength "fw2",
    ScaledValueOfSecondWavelength "vw2",
    TypeOfWavePeriodInterval "twp",
    ScaleFactorOfLowerWavePeriodLimit "fp1",
    ScaledValueOfLowerWavePeriodLimit "vp1",
    ScaleFactorOfUpperWavePeriodLimit "fp2",
    ScaledValueOfUpperWavePeriodLimit "vp2",
    /// Of the last band.
    SatelliteSeries "ss",
    /// Of the last band.
    SatelliteNumber "sn",
    /// Of the last band.
    InstrumentType "it",
    /// Of the last band.
    ScaledValueOfCentralWaveNumber "cwn",
    RandomFieldNumber "rf",
    TypeOfRelationToReferenceDataset "rel",
    NumberOfAdditionalParametersForReferencePeriod "nap",
    GridDefinitionTemplateNumber "gdt",
    /// Template 3.101 octet 19.
    NumberOfGridInReference "ngr",
    /// ecCodes `NV`: GRIB 2 section 4 octets 6-7.
    NumberOfVerticalCoordinateValues "nv",
    InputProcessIdentifier "ip",
    InputOriginatingCentre "ioc",
    TypeOfPostProcessing "tpp",
    /// GRIB 1 section 1 octet 4.
    Table2Version "table",
    /// GRIB 1 section 1 octet 9.
    IndicatorOfParameter "indicator",
    /// GRIB 1 section 1 octet 10.
    IndicatorOfTypeOfLevel "itl",
    /// GRIB 1 section 1 octets 11-12 as one number, or octet 11 where the type of level has two values.
    Level "lev",
    /// GRIB 1 section 1 octet 11 where the type of level has two values, else as [`Key::Level`].
    TopLevel "tl",
    /// GRIB 1 section 1 octet 12 where the type of level has two values, else as [`Key::Level`].
    BottomLevel "bl",
    /// GRIB 1 section 1 octet 21.
    TimeRangeIndicator "tri",
    /// Class of ECMWF's local section.
    MarsClass "cl",
    /// ecCodes `generation` of a Destination Earth local section.
    Generation "gen",
}
