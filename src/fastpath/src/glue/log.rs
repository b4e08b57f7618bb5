//! The process log, shared by both languages.

use std::collections::BTreeMap;

use proxy::telemetry::log::{self as core, Level};
use proxy::telemetry::log_format::LogFormat;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn level(text: &str) -> PyResult<Level> {
    Level::parse(text).ok_or_else(|| PyValueError::new_err(format!("no log level '{text}'")))
}

#[pyfunction]
#[pyo3(name = "log")]
pub fn log(level_name: &str, component: &str, message: &str) -> PyResult<()> {
    core::write_if_enabled(level(level_name)?, component, message);
    Ok(())
}

#[pyfunction]
pub fn set_log_level(component: &str, level_name: &str) -> PyResult<bool> {
    Ok(core::set_level(component, level(level_name)?))
}

/// False: something was logged before.
#[pyfunction]
pub fn set_log_format(pattern: &str) -> PyResult<bool> {
    let format = LogFormat::parse(pattern).map_err(PyValueError::new_err)?;
    Ok(core::set_format(format))
}

#[pyfunction]
pub fn log_levels() -> BTreeMap<&'static str, &'static str> {
    core::levels()
        .map(|(component, level)| (component, level.name()))
        .collect()
}
