//! The command line. Other tools call it: names and meanings stay.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// One consistent dataset of a forecast that is still arriving: GRIB files as a Zarr store on Icechunk.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub struct Arguments {
    /// One JSON object on standard output, or one a line for lists; ecCodes key names.
    #[arg(long, global = true)]
    pub json: bool,
    /// A directory, file or URL that virtual chunks may be read from, beside those you ingested from yourself.
    #[arg(long, global = true, value_name = "PREFIX")]
    pub allow: Vec<String>,
    /// Refuse virtual chunks whose source cannot be checked to be the one that was ingested.
    #[arg(long, global = true)]
    pub require_verified: bool,
    /// Read this bucket, or what is below this prefix of it, without credentials: s3://ecmwf-forecasts
    #[arg(long, global = true, value_name = "PREFIX")]
    pub anonymous: Vec<String>,
    /// How remote sources are reached: endpoint=http://localhost:9000, region=eu-central-1, stall_timeout=30, ...
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub storage_option: Vec<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole story in a few seconds, on small files that are built in.
    Demo {
        /// Where the repository and the files go; a temporary directory that is removed afterwards by default.
        directory: Option<PathBuf>,
    },
    /// The fields of GRIB files, or of the files beside index sidecars.
    Scan {
        #[arg(required = true)]
        sources: Vec<String>,
        /// Decode too: count, missing, min, max, mean and a hash of the values.
        #[arg(long)]
        values: bool,
    },
    /// Makes a repository with an empty cube, all NaN, that has a place for every field of a run.
    Init(Init),
    /// Adds reference times to the cube, and the variables, levels, steps and members of samples that are new.
    Allocate {
        repository: PathBuf,
        /// Samples, as for init.
        sources: Vec<String>,
        /// 2026112106, or several separated by commas; those of the samples by default.
        #[arg(long)]
        times: Option<String>,
    },
    /// Puts the fields of files into their slots; each file becomes visible in one commit.
    Ingest(Ingest),
    /// Decodes virtual chunks and stores them in the repository.
    #[command(alias = "materialize")]
    Materialise {
        repository: PathBuf,
        /// Which slots, as in variable=t2m/tp,step=0:48,number=0:50
        #[arg(long, value_name = "SELECTION")]
        select: Option<String>,
        /// Slots in one commit; all by default.
        #[arg(long)]
        batch: Option<usize>,
    },
    /// What is in a repository: dimensions, variables, how many slots are missing, virtual and materialised.
    Show {
        repository: PathBuf,
        /// A branch, tag, snapshot id or date-time.
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
        /// Print which fields go where, as JSON that `init --layout` takes.
        #[arg(long)]
        layout: bool,
        /// One line for each variable.
        #[arg(long, conflicts_with = "layout")]
        summary: bool,
    },
    /// Which slots have arrived: step x member pictures, and what failed and why.
    Coverage {
        repository: PathBuf,
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
        #[arg(long, value_name = "SELECTION")]
        select: Option<String>,
        /// Only what failed, with file and reason.
        #[arg(long)]
        failed: bool,
        /// One line for each variable and time: a sign for each step, over all members and levels.
        #[arg(long, conflicts_with = "failed")]
        summary: bool,
    },
    /// The snapshots: id, time, what changed.
    Log {
        repository: PathBuf,
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Reads a part of an array into a NumPy file.
    Get(Get),
    /// Gives a snapshot a name that never moves.
    Tag {
        repository: PathBuf,
        name: String,
        /// A branch, tag, snapshot id or date-time.
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
    },
    /// Whether everything that is referred to is there and is what it says: exit code 3 when some is bad, 1 when all is.
    Check {
        repository: PathBuf,
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
        /// Each source file too: its length and what says that it is the one that was ingested.
        #[arg(long)]
        sources: bool,
        /// A part of the chunks, always the same one: 5%
        #[arg(long, value_name = "PERCENT")]
        subset: Option<String>,
    },
    /// What changed between two snapshots, in coordinates.
    Diff {
        repository: PathBuf,
        /// A branch, tag, snapshot id or date-time.
        #[arg(value_name = "A")]
        from: String,
        #[arg(value_name = "B")]
        to: String,
    },
    /// The read path of one slot: key, reference, source, header, packing, checks, values; exit code 1 when it cannot be read.
    Explain {
        repository: PathBuf,
        /// Path of the array: t2m, mean/t2m
        array: String,
        #[arg(long, default_value = "main", value_name = "REF")]
        at: String,
        /// One slot, as in time=2026112100,step=6,number=3
        #[arg(long, value_name = "SELECTION")]
        select: Option<String>,
    },
    /// Makes fully materialised arrays standard Zarr arrays, by a change of metadata; there is no way back.
    #[command(alias = "finalize")]
    Finalise {
        repository: PathBuf,
        /// Paths of the arrays: t2m, mean/t2m
        #[arg(required = true, value_name = "ARRAY")]
        arrays: Vec<String>,
    },
    /// Ingests what arrives in directories, prefixes or on standard input, for ever or until a run is complete.
    Watch(Watch),
    /// Each new snapshot as it is committed, with what changed in coordinates; one JSON object a line with --json.
    Follow {
        repository: PathBuf,
        /// Begin after this snapshot: tag, snapshot id or date-time; the current one by default.
        #[arg(long, value_name = "REF")]
        since: Option<String>,
        /// End when nothing was committed for so long: 30s, 10m, 2h
        #[arg(long, value_parser = duration)]
        timeout: Option<Duration>,
        /// End after so many snapshots.
        #[arg(long)]
        count: Option<u64>,
    },
    /// Waits until every expected slot of a selection has arrived; prints the first snapshot in which they have.
    Wait {
        repository: PathBuf,
        /// As in variable=t2m/u10,time=latest,step=0:48
        #[arg(long, value_name = "SELECTION")]
        select: String,
        /// Give up after 30s, 10m, 2h; exit code 1 then.
        #[arg(long, value_parser = duration)]
        timeout: Option<Duration>,
    },
    /// Points the branch main to an earlier snapshot again.
    Reset {
        repository: PathBuf,
        /// A tag, snapshot id or date-time.
        #[arg(value_name = "REF")]
        to: String,
        /// To a snapshot outside of the branch's history too.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub struct Init {
    pub repository: PathBuf,
    /// Samples: GRIB files, directories, globs, URLs (s3://bucket/prefix/); index sidecars are used where they are. Lists of
    /// references (kerchunk JSON and parquet, tables of key and value) and other Icechunk repositories stand for the
    /// messages that they refer to.
    pub sources: Vec<String>,
    /// Reference times of the cube, instead of those of the samples: 2026112100,2026112106
    #[arg(long)]
    pub times: Option<String>,
    /// Steps of the cube, instead of those of the samples: 0:144:3,150:360:6 (hours); for cycles of certain hours
    /// 00/12z=0:360:6, several times
    #[arg(long)]
    pub steps: Vec<String>,
    /// Members of the cube, instead of those of the samples: 0:50
    #[arg(long)]
    pub members: Option<String>,
    /// Which fields become part of the cube.
    #[arg(long, value_name = "SELECTION")]
    pub select: Option<String>,
    /// The group of the cube; the root group by default.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// MARS stream and type of the fields that are the control, member 0: oper/fc
    #[arg(long, value_name = "STREAM/TYPE")]
    pub control: Option<String>,
    /// Types of level that get a dimension even where there is one level.
    #[arg(long, value_name = "TYPE_OF_LEVEL")]
    pub level_dimension: Vec<String>,
    /// A layout that `show --layout` printed: only these variables, whatever the samples hold besides.
    #[arg(long, value_name = "FILE")]
    pub layout: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Ingest {
    pub repository: PathBuf,
    /// Files, directories, globs, URLs, prefixes that end in /, - for a list on standard input, or patterns such as
    /// s3://bucket/{time:%Y%m%d}/{time:%H}z/{time:%Y%m%d%H}0000-{step}h-enfo-ef.grib2 (also {step:03d}, {member:02d});
    /// lists of references and other repositories, as for init
    #[arg(required = true)]
    pub sources: Vec<String>,
    /// What {time} in a pattern stands for: 2026112106, several separated by commas; the cube's last by default.
    #[arg(long)]
    pub times: Option<String>,
    /// Only say what is there, what of a pattern is not, and what would be read.
    #[arg(long)]
    pub dry_run: bool,
    /// Take remote files too whose server gives neither ETag nor Last-Modified: a change would not be noticed.
    #[arg(long)]
    pub unverified: bool,
    /// Make the repository from the same files if it is not there.
    #[arg(long)]
    pub create: bool,
    /// Decode and store these fields at once; the others become virtual.
    #[arg(long, value_name = "SELECTION")]
    pub materialise: Option<String>,
    /// What happens when a slot is filled already.
    #[arg(long, value_enum, default_value_t = OnConflict::Replace)]
    pub on_conflict: OnConflict,
    /// One commit for each file.
    #[arg(long)]
    pub commit_each: bool,
    /// What happens to fields of a reference time that the cube does not have.
    #[arg(long, value_enum, default_value_t = NewTimes::Allocate)]
    pub new_times: NewTimes,
}

#[derive(Debug, Args)]
pub struct Watch {
    pub repository: PathBuf,
    /// Directories, remote prefixes that end in /, globs, patterns as for ingest, or - for standard input: a path, URL or
    /// storage notification (S3, Event Grid) a line
    #[arg(required = true)]
    pub landings: Vec<String>,
    /// A file that was neither closed nor renamed into place is whole when it did not change for so long.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub settle: Duration,
    /// About how long a commit of many files may take. A single file is committed at once.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub max_delay: Duration,
    /// How often prefixes, globs and patterns are listed.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub interval: Duration,
    /// End when every expected slot is there: of --select, or of the last reference time.
    #[arg(long, value_enum)]
    pub until: Option<Until>,
    /// What --until complete waits for.
    #[arg(long, value_name = "SELECTION", requires = "until")]
    pub select: Option<String>,
    /// End after this time: 6h
    #[arg(long, value_parser = duration)]
    pub timeout: Option<Duration>,
    /// End when what is there was ingested.
    #[arg(long)]
    pub once: bool,
    /// Decode and store these fields at once; the others become virtual.
    #[arg(long, value_name = "SELECTION")]
    pub materialise: Option<String>,
    /// What happens when a slot is filled already.
    #[arg(long, value_enum, default_value_t = OnConflict::Replace)]
    pub on_conflict: OnConflict,
    /// What happens to fields of a reference time that the cube does not have.
    #[arg(long, value_enum, default_value_t = NewTimes::Allocate)]
    pub new_times: NewTimes,
    /// Take remote files too whose server gives neither ETag nor Last-Modified: a change would not be noticed.
    #[arg(long)]
    pub unverified: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Until {
    /// Every expected slot has arrived.
    Complete,
}

/// `500ms`, `2s`, `10m`, `2h`, `7d`
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        unit => return Err(format!("{unit:?} is no unit: write 500ms, 2s, 10m, 2h or 7d")),
    };
    let number: f64 = digits.parse().map_err(|_| "write 500ms, 2s, 10m, 2h or 7d".to_string())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum NewTimes {
    Allocate,
    Refuse,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum OnConflict {
    Replace,
    Keep,
    Fail,
}

impl From<OnConflict> for gribchunk::Conflict {
    fn from(policy: OnConflict) -> Self {
        match policy {
            OnConflict::Replace => Self::Replace,
            OnConflict::Keep => Self::Keep,
            OnConflict::Fail => Self::Fail,
        }
    }
}

impl From<NewTimes> for gribchunk::NewTimes {
    fn from(policy: NewTimes) -> Self {
        match policy {
            NewTimes::Allocate => Self::Allocate,
            NewTimes::Refuse => Self::Refuse,
        }
    }
}

#[derive(Debug, Args)]
pub struct Get {
    pub repository: PathBuf,
    /// Path of the array: t2m, mean/t2m
    pub array: String,
    #[arg(long, default_value = "main", value_name = "REF")]
    pub at: String,
    /// As in step=6,number=3,latitude=10:-10
    #[arg(long, value_name = "SELECTION")]
    pub select: Option<String>,
    /// The NumPy file to write.
    #[arg(short, long, value_name = "FILE.npy")]
    pub output: PathBuf,
}
