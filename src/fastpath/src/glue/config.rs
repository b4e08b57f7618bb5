//! Configuration text for Python: bootstraps, discovery responses, JSON.

use std::path::Path;
use std::sync::Arc;

use model::compile::{Server, Source};
use model::problem::ConfigProblem;
use model::resources::bind::BindConfig;
use model::resources::istio::Local;
use model::text::UnknownFields;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(mesh._fastpath, ConfigError, PyValueError);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ConfigError", module.py().get_type::<ConfigError>())?;
    module.add_class::<Bootstrap>()?;
    module.add_function(wrap_pyfunction!(load_bootstrap, module)?)?;
    module.add_function(wrap_pyfunction!(merge_bootstrap, module)?)?;
    module.add_function(wrap_pyfunction!(validate, module)?)?;
    module.add_function(wrap_pyfunction!(load_discovery_response, module)?)?;
    module.add_function(wrap_pyfunction!(to_json, module)?)
}

/// (file, line, column, field path, reason)
type ProblemTuple = (String, u32, u32, String, String);

fn config_error(py: Python<'_>, problems: Vec<ConfigProblem>) -> PyErr {
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let error = ConfigError::new_err(text.join("\n"));
    let tuples: Vec<ProblemTuple> = problems
        .into_iter()
        .map(|p| (p.file, p.line, p.column, p.path, p.reason))
        .collect();
    match error.value(py).setattr("problems", tuples) {
        Ok(()) => error,
        Err(other) => other,
    }
}

#[pyclass(frozen, module = "mesh._fastpath")]
pub struct Bootstrap(model::bootstrap::Bootstrap);

impl Bootstrap {
    pub fn local(&self) -> &Arc<Local> {
        &self.0.local
    }

    pub fn upstream_bind(&self) -> Option<Arc<BindConfig>> {
        self.0.upstream_bind.clone()
    }

    pub fn ejection_log(&self) -> Option<&Path> {
        self.0.ejection_log.as_deref()
    }
}

#[pymethods]
impl Bootstrap {
    #[getter]
    fn body(&self) -> &[u8] {
        &self.0.body
    }

    #[getter]
    fn node_id(&self) -> &str {
        &self.0.node_id
    }

    #[getter]
    fn node_cluster(&self) -> &str {
        &self.0.node_cluster
    }

    #[getter]
    fn admin_address(&self) -> Option<(String, u16)> {
        self.0.admin_address.map(|a| (a.ip().to_string(), a.port()))
    }

    #[getter]
    fn static_listeners(&self) -> Vec<(&str, &[u8])> {
        pairs(&self.0.static_listeners)
    }

    #[getter]
    fn static_clusters(&self) -> Vec<(&str, &[u8])> {
        pairs(&self.0.static_clusters)
    }

    #[getter]
    fn static_secrets(&self) -> Vec<(&str, &[u8])> {
        pairs(&self.0.static_secrets)
    }

    #[getter]
    fn dynamic(&self) -> Vec<(&str, &str, &str, f64)> {
        let files = self.0.dynamic.iter().filter_map(|s| match &s.source {
            Source::File {
                path,
                watched_directory,
            } => {
                let timeout = s.initial_fetch_timeout.as_secs_f64();
                Some((s.type_url, &**path, &**watched_directory, timeout))
            }
            Source::Ads | Source::Grpc(_) => None,
        });
        files.collect()
    }

    #[getter]
    fn remote(&self) -> Vec<(&str, f64, Option<ServerTuple>)> {
        let remote = self.0.dynamic.iter().filter_map(|s| {
            let server = match &s.source {
                Source::File { .. } => return None,
                Source::Ads => None,
                Source::Grpc(server) => Some(server_tuple(server)),
            };
            Some((s.type_url, s.initial_fetch_timeout.as_secs_f64(), server))
        });
        remote.collect()
    }

    #[getter]
    fn ads(&self) -> Option<ServerTuple> {
        self.0.ads.as_ref().map(server_tuple)
    }

    fn node(&self, id: &str, cluster: &str, zone: &str) -> Vec<u8> {
        model::discovery::node(&self.0.body, id, cluster, zone)
    }

    #[getter]
    fn ignored(&self) -> Vec<String> {
        self.0.ignored.iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn stats_flush_interval(&self) -> f64 {
        self.0.stats_flush_interval.as_secs_f64()
    }
}

/// (cluster, is delta, authority, initial metadata, node only once, back-off: base, most; largest
/// message)
pub type ServerTuple = (
    String,
    bool,
    String,
    Vec<(String, String)>,
    bool,
    f64,
    f64,
    Option<u32>,
);

pub fn server_tuple(server: &Server) -> ServerTuple {
    (
        server.cluster.clone(),
        server.delta,
        server.authority.clone(),
        server.initial_metadata.clone(),
        server.node_once,
        server.retry_base.as_secs_f64(),
        server.retry_max.as_secs_f64(),
        server.max_message,
    )
}

fn pairs(resources: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    resources
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

pub fn unknown(ignored: bool) -> UnknownFields {
    if ignored {
        UnknownFields::Ignored
    } else {
        UnknownFields::Refused
    }
}

#[pyfunction]
fn load_bootstrap(
    py: Python<'_>,
    text: &[u8],
    filename: &str,
    ignore_unknown: bool,
) -> PyResult<Bootstrap> {
    py.detach(|| model::bootstrap::load_with(text, filename, unknown(ignore_unknown)))
        .map(Bootstrap)
        .map_err(|problems| config_error(py, problems))
}

#[pyfunction]
fn merge_bootstrap(
    py: Python<'_>,
    base: &Bootstrap,
    text: &[u8],
    filename: &str,
    ignore_unknown: bool,
) -> PyResult<Bootstrap> {
    let unknown = unknown(ignore_unknown);
    py.detach(|| model::bootstrap::merge_with(&base.0, text, filename, unknown))
        .map(Bootstrap)
        .map_err(|problems| config_error(py, problems))
}

/// What loading does not see: resources are compiled together, as `Engine.apply` would.
#[pyfunction]
fn validate(py: Python<'_>, bootstrap: &Bootstrap) -> PyResult<()> {
    let problems = py.detach(|| {
        let mut store = model::store::Store::new();
        let mut problems = Vec::new();
        for (type_url, list, resources) in [
            (
                model::compile::SECRET,
                "secrets",
                &bootstrap.0.static_secrets,
            ),
            (
                model::compile::CLUSTER,
                "clusters",
                &bootstrap.0.static_clusters,
            ),
            (
                model::compile::LISTENER,
                "listeners",
                &bootstrap.0.static_listeners,
            ),
        ] {
            for (name, path, reason) in store.apply(type_url, resources, &[], true).rejected {
                let index = resources
                    .iter()
                    .position(|(n, _)| *n == name)
                    .unwrap_or_default();
                let dot = if path.is_empty() { "" } else { "." };
                problems.push(ConfigProblem {
                    file: String::new(),
                    line: 0,
                    column: 0,
                    path: format!("static_resources.{list}[{index}]{dot}{path}"),
                    reason,
                });
            }
        }
        problems
    });
    if problems.is_empty() {
        Ok(())
    } else {
        Err(config_error(py, problems))
    }
}

/// (name, field path, file:line:column and reason)
type Rejected = (String, String, String);

/// (version_info, [(name, bytes)], [rejected])
type Response = (String, Vec<(String, Vec<u8>)>, Vec<Rejected>);

#[pyfunction]
fn load_discovery_response(
    py: Python<'_>,
    text: &[u8],
    filename: &str,
    type_url: &str,
    ignore_unknown: bool,
) -> PyResult<Response> {
    let unknown = unknown(ignore_unknown);
    py.detach(|| model::discovery::load_with(text, filename, type_url, unknown))
        .map(|response| (response.version_info, response.resources, response.rejected))
        .map_err(|problems| config_error(py, problems))
}

#[pyfunction]
fn to_json(py: Python<'_>, type_url: &str, body: &[u8]) -> PyResult<String> {
    py.detach(|| model::json::to_json(type_url, body))
        .map_err(PyValueError::new_err)
}
