//! Sources behind URLs, against real servers: S3 (moto) and plain HTTP with faults.

mod access;
mod http;
mod morning;
mod s3;
mod server;
mod support;
