//! Repositories: create, open, allocate, ingest, materialise, inspect.

use std::sync::Arc;

use gribchunk::cube::layout::CycleSteps;
use gribchunk::ingest::NewTimes;
use gribchunk::selection::{SelectionError, parse_members, parse_steps, parse_times};
use gribchunk::{
    Conflict, IngestOptions, LayoutOptions, MaterialiseOptions, OpenOptions, Reference, Selection, inspect,
};
use pyo3::prelude::*;
use serde::Serialize;

use crate::errors::{exception, invalid};
use crate::runtime::wait;
use crate::snapshot::Snapshot;
use crate::transaction::Transaction;

/// A repository.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Repository(pub Arc<gribchunk::Repository>);

#[pymethods]
impl Repository {
    /// Makes a repository, in memory without a path, and a cube for the samples.
    #[staticmethod]
    #[pyo3(signature = (path, sources, *, times=None, steps=None, members=None, select=None, group=None,
        level_dimensions=Vec::new(), cycles=Vec::new(), control=None, allow=Vec::new(), require_verified=false,
        cache_bytes=None))]
    #[allow(clippy::too_many_arguments)]
    fn create(
        py: Python<'_>,
        path: Option<String>,
        sources: Vec<String>,
        times: Option<&str>,
        steps: Option<&str>,
        members: Option<&str>,
        select: Option<&str>,
        group: Option<String>,
        level_dimensions: Vec<String>,
        cycles: Vec<(Vec<u8>, String)>,
        control: Option<String>,
        allow: Vec<String>,
        require_verified: bool,
        cache_bytes: Option<usize>,
    ) -> PyResult<Self> {
        let cycle = |(hours, steps): (Vec<u8>, String)| {
            parse_steps(&steps).map(|steps| CycleSteps { hours, steps }).map_err(selection_error)
        };
        let layout = LayoutOptions {
            times: times.map(parse_times).transpose().map_err(selection_error)?,
            steps: steps.map(parse_steps).transpose().map_err(selection_error)?,
            cycles: cycles.into_iter().map(cycle).collect::<PyResult<_>>()?,
            members: members.map(parse_members).transpose().map_err(selection_error)?,
            control,
            select: select.map(selection).transpose()?,
            group,
            level_dimensions,
            ..LayoutOptions::default()
        };
        let options = open_options(allow, require_verified, cache_bytes);
        let work = move || async move {
            // A repository that could not get its cube is not left behind.
            let samples = if sources.is_empty() { None } else { Some(gribchunk::sample(&sources)?.0) };
            let repository = match path {
                Some(path) => gribchunk::Repository::create(path, options).await?,
                None => gribchunk::Repository::create_in_memory(options).await?,
            };
            if let Some(samples) = samples {
                gribchunk::init(&repository, &samples, &layout).await?;
            }
            Ok(repository)
        };
        wait(py, work)?.map(|repository| Self(Arc::new(repository))).map_err(exception)
    }

    /// Opens a repository in a directory.
    #[staticmethod]
    #[pyo3(signature = (path, *, allow=Vec::new(), require_verified=false, cache_bytes=None))]
    fn open(
        py: Python<'_>,
        path: String,
        allow: Vec<String>,
        require_verified: bool,
        cache_bytes: Option<usize>,
    ) -> PyResult<Self> {
        let options = open_options(allow, require_verified, cache_bytes);
        let opened = wait(py, move || async move { gribchunk::Repository::open(path, options).await })?;
        opened.map(|repository| Self(Arc::new(repository))).map_err(exception)
    }

    /// Where it is.
    #[getter]
    fn location(&self) -> &str {
        self.0.location()
    }

    /// Adds reference times, and what samples have besides; what was new as JSON, and the snapshot.
    #[pyo3(signature = (times, sources=Vec::new()))]
    fn allocate(
        &self,
        py: Python<'_>,
        times: Option<&str>,
        sources: Vec<String>,
    ) -> PyResult<(String, Option<String>)> {
        let times = times.map(parse_times).transpose().map_err(selection_error)?;
        let repository = Arc::clone(&self.0);
        let allocated = wait(py, move || async move {
            if sources.is_empty() {
                return gribchunk::allocate(&repository, &times.unwrap_or_default()).await;
            }
            let (samples, _) = gribchunk::sample(&sources)?;
            let options = LayoutOptions { times, ..LayoutOptions::default() };
            gribchunk::allocate_from(&repository, &samples, &options).await
        })?;
        let (extension, snapshot) = allocated.map_err(exception)?;
        Ok((json(&extension)?, snapshot))
    }

    /// Puts the fields of files into their slots; the report as JSON.
    #[pyo3(signature = (sources, *, materialise=None, on_conflict="replace", commit_each=false, new_times="allocate"))]
    fn ingest(
        &self,
        py: Python<'_>,
        sources: Vec<String>,
        materialise: Option<&str>,
        on_conflict: &str,
        commit_each: bool,
        new_times: &str,
    ) -> PyResult<String> {
        let new_times = match new_times {
            "allocate" => NewTimes::Allocate,
            "refuse" => NewTimes::Refuse,
            other => return Err(invalid(format!("new_times={other:?}: use \"allocate\" or \"refuse\""))),
        };
        let materialise = materialise.map(selection).transpose()?;
        let options = IngestOptions {
            materialise,
            on_conflict: conflict(on_conflict)?,
            commit_each,
            new_times,
            ..Default::default()
        };
        let repository = Arc::clone(&self.0);
        let report = wait(py, move || async move { gribchunk::ingest(&repository, &sources, &options, |_| {}).await })?;
        json(&report.map_err(exception)?)
    }

    /// Decodes virtual chunks and stores them; the report as JSON.
    #[pyo3(signature = (*, select=None, batch=None))]
    fn materialise(&self, py: Python<'_>, select: Option<&str>, batch: Option<usize>) -> PyResult<String> {
        let options = MaterialiseOptions { select: select.map(selection).transpose()?, batch };
        let repository = Arc::clone(&self.0);
        let report = wait(py, move || async move { gribchunk::materialise(&repository, &options).await })?;
        json(&report.map_err(exception)?)
    }

    /// Pins a snapshot.
    fn snapshot(&self, py: Python<'_>, at: &str) -> PyResult<Snapshot> {
        let (repository, at) = (Arc::clone(&self.0), Reference::from(at));
        let snapshot = wait(py, move || async move { repository.snapshot(&at).await })?;
        snapshot.map(Snapshot).map_err(exception)
    }

    /// Starts a transaction on a branch.
    fn transaction(&self, py: Python<'_>, branch: String) -> PyResult<Transaction> {
        let repository = Arc::clone(&self.0);
        let transaction = wait(py, move || async move { repository.transaction(&branch).await })?;
        let access = Arc::clone(self.0.access());
        transaction.map(|transaction| Transaction::new(transaction, access)).map_err(exception)
    }

    /// The snapshots of a reference, newest first, as JSON.
    fn log(&self, py: Python<'_>, at: &str, limit: usize) -> PyResult<String> {
        let (repository, at) = (Arc::clone(&self.0), Reference::from(at));
        let entries = wait(py, move || async move { repository.log(&at, limit).await })?;
        json(&entries.map_err(exception)?)
    }

    /// What a snapshot holds, as JSON.
    fn show(&self, py: Python<'_>, at: &str) -> PyResult<String> {
        let (repository, at) = (Arc::clone(&self.0), Reference::from(at));
        let summary = wait(py, move || async move { inspect::show(&repository.snapshot(&at).await?).await })?;
        json(&summary.map_err(exception)?)
    }

    /// What every slot of a selection is, as JSON.
    #[pyo3(signature = (at, select=None))]
    fn coverage(&self, py: Python<'_>, at: &str, select: Option<&str>) -> PyResult<String> {
        let (repository, at) = (Arc::clone(&self.0), Reference::from(at));
        let select = select.map(selection).transpose()?;
        let coverage =
            wait(
                py,
                move || async move { inspect::coverage(&repository.snapshot(&at).await?, select.as_ref()).await },
            )?;
        json(&coverage.map_err(exception)?)
    }
}

fn open_options(allow: Vec<String>, require_verified: bool, cache_bytes: Option<usize>) -> OpenOptions {
    OpenOptions { allow, require_verified, cache_bytes, ..Default::default() }
}

pub fn selection(text: &str) -> PyResult<Selection> {
    Selection::parse(text).map_err(selection_error)
}

pub fn conflict(text: &str) -> PyResult<Conflict> {
    match text {
        "replace" => Ok(Conflict::Replace),
        "keep" => Ok(Conflict::Keep),
        "fail" => Ok(Conflict::Fail),
        other => Err(invalid(format!("on_conflict={other:?}: use \"replace\", \"keep\" or \"fail\""))),
    }
}

fn selection_error(error: SelectionError) -> PyErr {
    invalid(error.to_string())
}

pub fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| invalid(error.to_string()))
}
