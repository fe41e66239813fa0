//! From an error of an object store to ours: the place, what happened, and what to do about it.

use std::ops::Range;

use object_store::client::HttpError;

use super::RemoteUrl;
use super::remote::Remembered;
use crate::error::{Error, Result};

/// The error of looking at an object or a prefix.
pub(super) fn of(url: &RemoteUrl, error: object_store::Error, how: &Remembered) -> Error {
    match error {
        object_store::Error::NotFound { .. } if body(&error).contains("NoSuchBucket") => {
            Error::not_found(format!("the bucket of {url}"), "check its name, and the endpoint")
        }
        object_store::Error::NotFound { .. } => {
            Error::not_found(url.to_string(), "no such object; a prefix ends in a slash")
        }
        // Listing says it in another way.
        error if status(&error) == Some(404) => {
            Error::not_found(format!("the bucket or container of {url}"), "check its name, and the endpoint")
        }
        error => source(url, reason(url, &error, how)),
    }
}

/// The error of reading a part of an object that was there before.
pub(super) fn of_read(url: &RemoteUrl, range: &Range<u64>, error: object_store::Error, how: &Remembered) -> Error {
    match &error {
        object_store::Error::Precondition { .. } => {
            Error::SourceChanged { location: url.to_string(), reason: "the server has another version".into() }
        }
        object_store::Error::NotFound { .. } => gone(url),
        error if status(error) == Some(416) => Error::SourceChanged {
            location: url.to_string(),
            reason: format!("it is shorter than byte {}, where the reference begins", range.start),
        },
        error => source(url, reason(url, error, how)),
    }
}

/// An object that was there when its references were made.
pub(super) fn gone(url: &RemoteUrl) -> Error {
    source(url, "the object is gone; restore it, or ingest its fields again".into())
}

pub(super) fn source(url: &RemoteUrl, reason: String) -> Error {
    Error::Source { location: url.to_string(), reason }
}

/// The same error for another reader of the same request.
pub(super) fn again(error: &Error) -> Error {
    match error {
        Error::Source { location, reason } => Error::Source { location: location.clone(), reason: reason.clone() },
        Error::SourceChanged { location, reason } => {
            Error::SourceChanged { location: location.clone(), reason: reason.clone() }
        }
        Error::NotAllowed { location } => Error::NotAllowed { location: location.clone() },
        Error::NotFound { what, remedy } => Error::NotFound { what: what.clone(), remedy: remedy.clone() },
        other => Error::invalid("a shared request", other.to_string()),
    }
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Whether an answer says that there is nothing.
pub(super) fn is_not_found<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

fn reason(url: &RemoteUrl, error: &object_store::Error, how: &Remembered) -> String {
    let root = url.root();
    let text = chain(error);
    if ["169.254.169.254", "169.254.170.2", "metadata.google.internal"].iter().any(|host| text.contains(host)) {
        return format!(
            "no credentials were found; set them in the environment, or for public data use --anonymous {root}"
        );
    }
    let status = status(error);
    match (status, error) {
        (Some(401 | 403), _) | (_, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) => {
            let code = code(&body(error)).map(|code| format!(" ({code})")).unwrap_or_default();
            let remedy = if how.anonymous {
                "it is not public, or not there: give credentials in the environment and leave out --anonymous".to_string()
            } else if url.scheme.is_http() {
                "the server wants a login, which is not supported".to_string()
            } else {
                format!("check the credentials in the environment; for public data use --anonymous {root}")
            };
            format!("the server answers {}{code}: {remedy}", status.unwrap_or(403))
        }
        (Some(301 | 307 | 400), _) if how.region.is_some() => format!(
            "the server answers {}: is {} the bucket's region? Give it with --storage-option region=...",
            status.unwrap_or(400),
            how.region.as_deref().unwrap_or_default()
        ),
        (Some(429), _) => "the server answers 429 (too many requests) again and again: try later, or with --storage-option max_requests=4".into(),
        (Some(status), _) if status >= 500 => format!("the server answers {status} again and again: try later"),
        (Some(status), _) => match code(&body(error)) {
            Some(code) => format!("the server answers {status} ({code})"),
            None => format!("the server answers {status}"),
        },
        (None, error) => {
            if text.contains("non-partial response") || text.contains("Range request not supported") {
                return "the server sends whole files only; copy the file to a place that serves ranges".into();
            }
            if let Some(to) = find::<HttpError>(error).map(|e| chain(e)).filter(|t| t.contains("redirects to")) {
                return to.rsplit("HTTP error: ").next().unwrap_or(&to).to_string();
            }
            if text.contains("timed out") || text.contains("Timeout") || text.contains("deadline") {
                return format!("the answer stood still and was given up: {text}");
            }
            text
        }
    }
}

/// The `Code` of an S3 or Azure error answer.
fn code(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() < 60 && code.chars().all(|c| c.is_ascii_alphanumeric())).then(|| code.to_string())
}

/// The text around a status: object stores give it in their messages only.
fn body(error: &object_store::Error) -> String {
    chain(error)
}

/// The HTTP status of an answer that was an error.
pub(super) fn status(error: &object_store::Error) -> Option<u16> {
    let text = chain(error);
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

fn find<T: std::error::Error + 'static>(error: &dyn std::error::Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}
