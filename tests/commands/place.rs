//! A directory with a run and a repository, and the command in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Removed with all that is in it at the end of a test.
pub struct Place {
    pub directory: PathBuf,
}

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The one JSON object on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.out.trim()).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{} {}", self.out, self.err);
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Place {
    /// A copy of the small ENS run, and a repository with an empty cube for it.
    pub fn with_cube() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("gribchunk-commands-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let run = directory.join("run");
        std::fs::create_dir_all(&run).unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ens");
        for entry in std::fs::read_dir(fixtures).unwrap().flatten() {
            if !entry.path().to_string_lossy().ends_with(".json") {
                std::fs::copy(entry.path(), run.join(entry.file_name())).unwrap();
            }
        }
        let place = Self { directory };
        place.run(&["init", &place.repository(), &place.path("run")]).expect(0);
        place
    }

    /// The same with all three steps ingested, one commit a file.
    pub fn with_run() -> Self {
        let place = Self::with_cube();
        place.run(&["ingest", &place.repository(), &place.path("run"), "--commit-each"]).expect(0);
        place
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub fn repository(&self) -> String {
        self.path("repository")
    }

    /// The GRIB file of a step.
    pub fn file(&self, step: u32) -> PathBuf {
        self.directory.join(format!("run/20261121000000-{step}h-enfo-ef.grib2"))
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_gribchunk"))
            .args(arguments)
            .env("GRIBCHUNK_STATE", self.directory.join("state"))
            .env_remove("GRIBCHUNK_ALLOW")
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Snapshot ids of main, newest first.
    pub fn log(&self) -> Vec<String> {
        let log = self.run(&["log", &self.repository(), "--json"]).expect(0);
        let ids =
            log.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().into());
        ids.collect()
    }

    pub fn ingest(&self, step: u32) {
        self.run(&["ingest", &self.repository(), &self.file(step).display().to_string()]).expect(0);
    }
}
