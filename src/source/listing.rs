//! From URLs, prefixes and globs to the files that are there.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::remote::{ObjectInfo, Remote};
use super::{Expanded, Location, RemoteUrl, Sidecar, SourceFile, failure, named_like_grib};
use crate::error::{Error, Result};
use crate::index;

/// From so many wanted files of one directory on, the directory is listed instead of asking for each.
const WORTH_LISTING: usize = 3;
const GLOB_CHARACTERS: [char; 3] = ['*', '?', '['];
const CONCURRENT_LOOKS: usize = 16;
/// Bytes of a link on a directory's page.
const LONGEST_LINK: usize = 4096;

type Listing = BTreeMap<RemoteUrl, ObjectInfo>;

/// The files that a remote argument means.
pub(super) async fn expand(argument: &str, remote: &Remote) -> Result<Vec<SourceFile>> {
    if let Some(place) = glob_place(argument) {
        return glob(argument, place, remote).await;
    }
    let (url, account) = RemoteUrl::parse_with_account(argument)?;
    if let Some(account) = account {
        remote.remember(url.root(), super::Remembered { account: Some(account), ..Default::default() });
    }
    if url.is_prefix() {
        return below(&url, remote).await;
    }
    match one(&url, remote).await {
        Err(error @ Error::NotFound { .. }) if !url.scheme.is_http() => {
            // A directory without its slash.
            let directory = url.with_key(format!("{}/", url.key))?;
            below(&directory, remote).await.map_err(|_| error)
        }
        file => Ok(vec![file?]),
    }
}

/// Where a pattern begins. On HTTP servers a question mark begins a query, which is refused with the URL.
fn glob_place(argument: &str) -> Option<usize> {
    let is_http = argument.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
    argument.find(|c| GLOB_CHARACTERS.contains(&c) && !(is_http && c == '?'))
}

/// The files that the names of a pattern mean, and the names that are not there.
pub(super) async fn expand_names(names: &[String], remote: &Remote) -> Result<Expanded> {
    let mut expanded = Expanded::default();
    let mut by_directory: BTreeMap<RemoteUrl, Vec<RemoteUrl>> = BTreeMap::new();
    for name in names {
        if let Some(place) = glob_place(name) {
            match glob(name, place, remote).await {
                Ok(files) => expanded.files.extend(files),
                Err(Error::NotFound { .. }) => expanded.not_there.push(name.clone()),
                Err(error) => return Err(error),
            }
            continue;
        }
        let url = RemoteUrl::parse(name)?;
        by_directory.entry(url.parent()).or_default().push(url);
    }
    for (directory, urls) in by_directory {
        let listing = if urls.len() >= WORTH_LISTING && !directory.scheme.is_http() {
            // Some public buckets refuse lists: then each file is asked for.
            remote.list(&directory).await.ok()
        } else {
            None
        };
        let files: Vec<(RemoteUrl, Result<SourceFile>)> = match &listing {
            Some(objects) => {
                let listing: Listing = objects.iter().cloned().collect();
                urls.into_iter().map(|url| (url.clone(), listed(&url, &listing))).collect()
            }
            None => {
                let looks: Vec<_> = urls.iter().map(|url| one(url, remote)).collect();
                let files: Vec<_> = futures::stream::iter(looks).buffered(CONCURRENT_LOOKS).collect().await;
                urls.iter().cloned().zip(files).collect()
            }
        };
        for (url, file) in files {
            match file {
                file if failure::is_not_found(&file) => expanded.not_there.push(url.to_string()),
                file => expanded.files.push(file?),
            }
        }
    }
    Ok(expanded)
}

/// One file by its own URL, or by its sidecar's.
async fn one(url: &RemoteUrl, remote: &Remote) -> Result<SourceFile> {
    let gribs = index::grib_of_sidecar(&url.key);
    if gribs.is_empty() {
        let info = remote.head(url).await?;
        return Ok(file(url.clone(), Some(Sidecar::Unknown), Some(info)));
    }
    for key in gribs {
        let grib = url.with_key(key)?;
        let info = remote.head(&grib).await;
        if failure::is_not_found(&info) {
            continue;
        }
        return Ok(file(grib, Some(Sidecar::At(Location::Remote(url.clone()))), Some(info?)));
    }
    Err(no_grib(url))
}

fn no_grib(sidecar: &RemoteUrl) -> Error {
    Error::not_found(
        format!("the GRIB file of the sidecar {sidecar}"),
        "an index describes the messages of a file beside it; put both under one prefix",
    )
}

/// All files below a prefix.
async fn below(prefix: &RemoteUrl, remote: &Remote) -> Result<Vec<SourceFile>> {
    let listing: Listing = remote.list(prefix).await?.into_iter().collect();
    let files = gribs(&listing, |_| true);
    if files.is_empty() {
        let seen = listing.len();
        return Err(Error::not_found(
            format!("a GRIB file below {prefix}"),
            format!("{seen} objects are there, none of them named like GRIB or with an index beside it"),
        ));
    }
    Ok(files)
}

async fn glob(argument: &str, place: usize, remote: &Remote) -> Result<Vec<SourceFile>> {
    let bad = |reason: String| Error::invalid(format!("the pattern {argument}"), reason);
    let (literal, _) = argument.split_at(place);
    let end = literal.rfind('/').ok_or_else(|| bad("give the bucket or host in full".into()))?;
    let (directory, rest) = argument.split_at(end + 1);
    let directory = RemoteUrl::parse(directory)?;
    if !directory.is_prefix() || directory.authority.is_empty() {
        return Err(bad("give the bucket or host in full".into()));
    }
    if directory.scheme.is_http() && rest.contains(['/', '?']) {
        return Err(bad("on HTTP servers only the last part of the path may hold * or ?".into()));
    }
    let pattern = glob::Pattern::new(rest).map_err(|e| bad(e.to_string()))?;
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let matches = |url: &RemoteUrl| {
        let relative = url.key.strip_prefix(&directory.key).unwrap_or(&url.key);
        pattern.matches_with(relative, options)
    };
    let listing: Listing = remote.list(&directory).await?.into_iter().collect();
    let mut files = gribs(&listing, matches);
    // What was named by a pattern is taken for GRIB whatever it is called, sidecars and the like excepted.
    let known: BTreeSet<Location> = files.iter().map(|f| f.location.clone()).collect();
    let others = listing.iter().filter(|(url, _)| matches(url) && named_like_grib(url.name()).is_none());
    let others = others.map(|(url, info)| file(url.clone(), None, known_size(info)));
    files.extend(others.filter(|f| !known.contains(&f.location)));
    if files.is_empty() {
        return Err(Error::not_found(format!("the source {argument}"), "nothing that is there matches"));
    }
    Ok(files)
}

/// The GRIB files of a listing that are wanted, by themselves or by their sidecars.
fn gribs(listing: &Listing, wanted: impl Fn(&RemoteUrl) -> bool) -> Vec<SourceFile> {
    let mut urls = BTreeSet::new();
    for url in listing.keys().filter(|url| wanted(url)) {
        match named_like_grib(url.name()) {
            Some(true) => {
                urls.insert(url.clone());
            }
            Some(false) => {
                let gribs = index::grib_of_sidecar(&url.key).into_iter().filter_map(|key| url.with_key(key).ok());
                urls.extend(gribs.into_iter().find(|grib| listing.contains_key(grib)));
            }
            None => {
                // NOAA's files have no ending; their sidecars tell.
                if sidecar_in(url, listing).is_some() {
                    urls.insert(url.clone());
                }
            }
        }
    }
    let files = urls.into_iter().filter_map(|url| listed(&url, listing).ok());
    files.collect()
}

/// A file as a listing shows it.
fn listed(url: &RemoteUrl, listing: &Listing) -> Result<SourceFile> {
    let gribs = index::grib_of_sidecar(&url.key);
    if !gribs.is_empty() {
        let mut gribs = gribs.into_iter().filter_map(|key| url.with_key(key).ok());
        let grib = gribs.find_map(|grib| listing.get(&grib).map(|info| (grib.clone(), info)));
        let (grib, info) = grib.filter(|_| listing.contains_key(url)).ok_or_else(|| no_grib(url))?;
        return Ok(file(grib, Some(Sidecar::At(Location::Remote(url.clone()))), known_size(info)));
    }
    let info = listing.get(url).ok_or_else(|| Error::not_found(url.to_string(), "no such object"))?;
    Ok(file(url.clone(), sidecar_in(url, listing).map(|s| Sidecar::At(Location::Remote(s))), known_size(info)))
}

fn sidecar_in(url: &RemoteUrl, listing: &Listing) -> Option<RemoteUrl> {
    let candidates = index::sidecar_candidates(&url.key).into_iter();
    candidates.filter_map(|key| url.with_key(key).ok()).find(|sidecar| listing.contains_key(sidecar))
}

/// An HTTP server's page does not say sizes.
fn known_size(info: &ObjectInfo) -> Option<ObjectInfo> {
    (info.size > 0 || info.etag.is_some()).then(|| info.clone())
}

fn file(url: RemoteUrl, sidecar: Option<Sidecar>, listed: Option<ObjectInfo>) -> SourceFile {
    SourceFile { location: Location::Remote(url), sidecar, listed }
}

/// The files that an HTML page of a directory links to, directly below the directory.
pub(super) fn links(directory: &RemoteUrl, page: &str) -> Vec<RemoteUrl> {
    let Ok(base) = url::Url::parse(&directory.to_string()) else { return Vec::new() };
    let mut found = Vec::new();
    // The same bytes but for the case of letters.
    let lower = page.to_ascii_lowercase();
    for (place, name) in lower.match_indices("href=") {
        let rest = page.get(place + name.len()..).unwrap_or_default();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        let mut characters = rest.char_indices().skip(1).take(LONGEST_LINK);
        let Some((end, _)) = characters.find(|(_, c)| *c == quote) else { continue };
        let link = rest.get(1..end).unwrap_or_default();
        let link = link.replace("&amp;", "&");
        let Some(url) = base.join(&link).ok().and_then(|url| RemoteUrl::parse(url.as_str()).ok()) else { continue };
        let relative = url.key.strip_prefix(&directory.key).filter(|_| directory.holds(&url));
        if relative.is_some_and(|name| !name.is_empty() && !name.contains('/')) {
            found.push(url);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_page_gives_the_files_below_it_only() {
        let directory = RemoteUrl::parse("https://host/data/").unwrap();
        let page = r#"<a href="?C=N;O=D">Name</a> <a href="../">up</a> <a href='a.grib2'>a</a> <A HREF="b%20c.grib2">b</A>
            <a href="/data/d.grib2.idx">d</a> <a href="https://other/data/x.grib2">x</a> <a href="/etc/x.grib2">y</a>
            <a href="../data/../etc/z.grib2">z</a> <a href="deeper/">deeper</a> <a href=""#;
        let names: Vec<String> = links(&directory, page).iter().map(|u| u.key.clone()).collect();
        assert_eq!(names, ["data/a.grib2", "data/b c.grib2", "data/d.grib2.idx"]);
    }

    #[test]
    fn a_listing_pairs_files_with_their_sidecars() {
        let url = |name: &str| RemoteUrl::parse(&format!("s3://b/{name}")).unwrap();
        let info = ObjectInfo { size: 7, etag: None, modified_ns: 1 };
        let names = ["x/a.grib2", "x/a.index", "x/gfs.f000", "x/gfs.f000.idx", "x/readme", "x/y.json", "x/lonely.idx"];
        let listing: Listing = names.iter().map(|name| (url(name), info.clone())).collect();
        let found: Vec<(String, bool)> = gribs(&listing, |_| true)
            .into_iter()
            .map(|f| (f.location.to_string(), matches!(f.sidecar, Some(Sidecar::At(_)))))
            .collect();
        assert_eq!(found, [("s3://b/x/a.grib2".to_string(), true), ("s3://b/x/gfs.f000".to_string(), true)]);
    }
}
