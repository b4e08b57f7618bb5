//! `Engine` for Python.

use std::sync::Arc;
use std::time::Duration;

use model::compile::{Needs, Source};
use proxy::cluster::report;
use proxy::telemetry::stats::Kind;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::calls::Calls;
use super::config::{Bootstrap, ServerTuple, server_tuple};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<Applied>()
}

/// (type_url, name, path, watched_directory, initial_fetch_timeout, stat_scope)
type Wanted = (&'static str, String, String, String, f64, String);

/// (type_url, name, initial_fetch_timeout, stat_scope, server)
type Remote = (&'static str, String, f64, String, Option<ServerTuple>);

#[pyclass(frozen, module = "mesh._fastpath")]
pub struct Applied {
    #[pyo3(get)]
    accepted: Vec<String>,
    #[pyo3(get)]
    unchanged: Vec<String>,
    #[pyo3(get)]
    removed: Vec<String>,
    #[pyo3(get)]
    rejected: Vec<(String, String, String)>,
    #[pyo3(get)]
    watched: Vec<(&'static str, String, String)>,
    #[pyo3(get)]
    revision: u64,
    /// Made into tuples only when somebody looks.
    needs: Arc<[Needs]>,
}

#[pymethods]
impl Applied {
    #[getter]
    fn wanted(&self) -> Vec<Wanted> {
        let files = self.needs.iter().filter_map(|need| match &need.source {
            Source::File {
                path,
                watched_directory,
            } => Some((
                need.type_url,
                need.name.clone(),
                path.clone(),
                watched_directory.clone(),
                need.initial_fetch_timeout.as_secs_f64(),
                need.stat_scope.clone(),
            )),
            Source::Ads | Source::Grpc(_) => None,
        });
        files.collect()
    }

    #[getter]
    fn remote(&self) -> Vec<Remote> {
        let remote = self.needs.iter().filter_map(|need| {
            let server = match &need.source {
                Source::File { .. } => return None,
                Source::Ads => None,
                Source::Grpc(server) => Some(server_tuple(server)),
            };
            Some((
                need.type_url,
                need.name.clone(),
                need.initial_fetch_timeout.as_secs_f64(),
                need.stat_scope.clone(),
                server,
            ))
        });
        remote.collect()
    }
}

#[pyclass(frozen, module = "mesh._fastpath")]
pub struct Engine(proxy::engine::Engine);

fn kind(text: &str) -> PyResult<Kind> {
    Kind::parse(text)
        .ok_or_else(|| PyValueError::new_err(format!("no kind of statistics '{text}'")))
}

fn bad_filter(error: proxy::telemetry::stats::FilterError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pymethods]
impl Engine {
    /// `drain_time` is `--drain-time-s`: how long connections of a replaced or removed listener
    /// may live on. Times in seconds.
    #[new]
    fn new(
        concurrency: usize,
        drain_time: f64,
        service_node: String,
        service_cluster: String,
        file_flush_interval: f64,
        local_ipv6: bool,
    ) -> PyResult<Self> {
        let time = |name: &str, seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|e| PyValueError::new_err(format!("{name}: {e}")))
        };
        let options = proxy::engine::Options {
            concurrency,
            drain_time: time("drain_time", drain_time)?,
            service_node,
            service_cluster,
            file_flush_interval: time("file_flush_interval", file_flush_interval)?,
            local_ipv6,
        };
        proxy::engine::Engine::start(&options)
            .map(Self)
            .map_err(|e| PyOSError::new_err(format!("cannot start the workers: {e}")))
    }

    #[pyo3(signature = (type_url, updated, removed, r#static))]
    fn apply(
        &self,
        py: Python<'_>,
        type_url: &str,
        updated: Vec<(String, Vec<u8>)>,
        removed: Vec<String>,
        r#static: bool,
    ) -> Applied {
        let applied = py.detach(|| self.0.apply(type_url, &updated, &removed, r#static));
        Applied {
            accepted: applied.accepted,
            unchanged: applied.unchanged,
            removed: applied.removed,
            rejected: applied.rejected,
            needs: applied.wanted,
            revision: applied.revision,
            watched: applied
                .watched
                .into_iter()
                .map(|w| {
                    let directory = w.directory.to_string_lossy().into_owned();
                    (w.type_url, w.name, directory)
                })
                .collect(),
        }
    }

    fn allow_ads(&self) {
        self.0.allow_ads();
    }

    fn bind_upstreams(&self, bootstrap: &Bootstrap) {
        self.0.bind_upstreams(bootstrap.upstream_bind());
    }

    fn log_ejections(&self, bootstrap: &Bootstrap) -> PyResult<()> {
        match bootstrap.ejection_log() {
            None => Ok(()),
            Some(path) => Ok(self.0.log_ejections(path)?),
        }
    }

    fn introduce(&self, bootstrap: &Bootstrap) {
        self.0.introduce(bootstrap.local());
    }

    fn grpc_calls(&self) -> PyResult<Calls> {
        Ok(Calls(self.0.grpc_calls()?))
    }

    fn fetch_timed_out(&self, py: Python<'_>, type_url: &str, name: &str) {
        py.detach(|| self.0.fetch_timed_out(type_url, name));
    }

    fn listeners(&self) -> Vec<(String, String, &'static str)> {
        self.0
            .listeners()
            .into_iter()
            .map(|l| (l.name, l.address, l.state))
            .collect()
    }

    fn clusters_json(&self, py: Python<'_>) -> String {
        py.detach(|| {
            let mut out = String::from("{\"cluster_statuses\":[");
            let mut first = true;
            self.0.each_cluster(|view| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                report::as_json(view, &mut out);
            });
            out.push_str("]}");
            out
        })
    }

    fn clusters_text(&self, py: Python<'_>) -> String {
        py.detach(|| {
            let mut out = String::new();
            self.0.each_cluster(|view| report::as_text(view, &mut out));
            out
        })
    }

    fn certs_json(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.certs_json())
    }

    fn warming(&self) -> Vec<(String, String)> {
        self.0.warming()
    }

    fn drain_listeners(&self, graceful: bool, inbound_only: bool) {
        self.0.drain_listeners(graceful, inbound_only);
    }

    fn fail_health_check(&self, fail: bool) {
        self.0.fail_health_check(fail);
    }

    fn shutdown(&self, py: Python<'_>, drain_seconds: f64) -> bool {
        let drain = Duration::try_from_secs_f64(drain_seconds).unwrap_or_default();
        py.detach(|| self.0.shutdown(drain))
    }

    fn active_connections(&self) -> u64 {
        self.0.active_connections()
    }

    fn reopen_logs(&self, py: Python<'_>) {
        py.detach(|| self.0.reopen_logs());
    }

    #[pyo3(signature = (filter, used_only, kind))]
    fn stats_text(
        &self,
        py: Python<'_>,
        filter: Option<&str>,
        used_only: bool,
        kind: &str,
    ) -> PyResult<String> {
        let kind = self::kind(kind)?;
        py.detach(|| self.0.stats().text(filter, used_only, kind))
            .map_err(bad_filter)
    }

    #[pyo3(signature = (filter, used_only, kind))]
    fn stats_json(
        &self,
        py: Python<'_>,
        filter: Option<&str>,
        used_only: bool,
        kind: &str,
    ) -> PyResult<String> {
        let kind = self::kind(kind)?;
        py.detach(|| self.0.stats().json(filter, used_only, kind))
            .map_err(bad_filter)
    }

    #[pyo3(signature = (filter, used_only))]
    fn stats_prometheus(
        &self,
        py: Python<'_>,
        filter: Option<&str>,
        used_only: bool,
    ) -> PyResult<String> {
        py.detach(|| self.0.stats().prometheus(filter, used_only))
            .map_err(bad_filter)
    }

    fn reset_counters(&self) {
        self.0.stats().reset_counters();
    }

    fn count(&self, name: &str, delta: i64) {
        self.0.stats().add(name, delta);
    }

    fn gauge(&self, name: &str, value: u64) {
        self.0.stats().set_gauge(name, value);
    }

    fn text_readout(&self, name: &str, value: &str) {
        self.0.stats().set_text(name, value);
    }

    fn flush_histograms(&self) {
        self.0.stats().flush_histograms();
    }
}
