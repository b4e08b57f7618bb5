//! Messages of xDS streams as plain tuples, so that Python needs no protobuf.

use model::discovery::wire;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::config::unknown;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(decode_response, module)?)?;
    module.add_function(wrap_pyfunction!(decode_delta_response, module)?)?;
    module.add_function(wrap_pyfunction!(encode_request, module)?)?;
    module.add_function(wrap_pyfunction!(encode_delta_request, module)?)?;
    module.add_function(wrap_pyfunction!(holds_secrets, module)?)
}

/// (name, version, body or nothing in a heartbeat, TTL in seconds or 0)
type Item = (String, String, Option<Vec<u8>>, f64);

/// (type URL, version, nonce, control plane, resources, removed, why it cannot be read)
type Response = (
    String,
    String,
    String,
    String,
    Vec<Item>,
    Vec<String>,
    String,
);

fn tuple(response: wire::Response) -> Response {
    let item = |one: wire::Item| {
        let ttl = one.ttl.map_or(0.0, |ttl| ttl.as_secs_f64());
        (one.name, one.version, one.body, ttl)
    };
    (
        response.type_url,
        response.version,
        response.nonce,
        response.control_plane,
        response.resources.into_iter().map(item).collect(),
        response.removed,
        response.problem,
    )
}

#[pyfunction]
fn decode_response(py: Python<'_>, message: &[u8], ignore_unknown: bool) -> PyResult<Response> {
    py.detach(|| wire::response(message, unknown(ignore_unknown)))
        .map(tuple)
        .map_err(PyValueError::new_err)
}

#[pyfunction]
fn decode_delta_response(
    py: Python<'_>,
    message: &[u8],
    ignore_unknown: bool,
) -> PyResult<Response> {
    py.detach(|| wire::delta_response(message, unknown(ignore_unknown)))
        .map(tuple)
        .map_err(PyValueError::new_err)
}

#[pyfunction]
fn encode_request(
    node: &[u8],
    type_url: String,
    version: String,
    nonce: String,
    names: Vec<String>,
    error: &str,
) -> Vec<u8> {
    wire::request(node, type_url, version, nonce, names, error)
}

#[pyfunction]
#[allow(clippy::too_many_arguments)] // as many as the message has fields
fn encode_delta_request(
    node: &[u8],
    type_url: String,
    nonce: String,
    subscribe: Vec<String>,
    unsubscribe: Vec<String>,
    versions: Vec<(String, String)>,
    error: &str,
) -> Vec<u8> {
    wire::delta_request(
        node,
        type_url,
        nonce,
        subscribe,
        unsubscribe,
        versions,
        error,
    )
}

#[pyfunction]
fn holds_secrets(py: Python<'_>, type_url: &str, body: &[u8]) -> bool {
    py.detach(|| model::json::holds_secrets(type_url, body))
}
