//! The data plane's request parser, for the admin port.

use proto::h1::{BodyLength, HeadLimits, HeadReader, RequestHead, RequestPolicy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// (bytes of the head, method, target, headers, body length or -1 for chunked)
type Parsed = (usize, String, String, Vec<(String, String)>, i64);

#[pyfunction]
pub fn parse_request_head(buf: &[u8]) -> PyResult<Option<Parsed>> {
    let mut head = RequestHead::new();
    let policy = RequestPolicy {
        accept_http_10: true,
        ..RequestPolicy::default()
    };
    let read = HeadReader::new().read_request(buf, &HeadLimits::default(), &policy, &mut head);
    let Some(used) = read.map_err(|e| PyValueError::new_err(e.to_string()))? else {
        return Ok(None);
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    let body = match head.body {
        BodyLength::None => 0,
        BodyLength::Length(n) => i64::try_from(n).unwrap_or(i64::MAX),
        BodyLength::Chunked | BodyLength::UntilClose => -1,
    };
    Ok(Some((
        used,
        text(head.method()),
        text(head.path()),
        headers,
        body,
    )))
}
