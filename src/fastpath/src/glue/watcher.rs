//! inotify for Python, which has none in its library.

use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

#[pyclass(frozen, module = "mesh._fastpath")]
pub struct Watcher(Mutex<proxy::net::watch::Watcher>);

impl Watcher {
    fn with<T>(&self, act: impl FnOnce(&mut proxy::net::watch::Watcher) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Watcher {
    #[new]
    fn new() -> PyResult<Self> {
        let watcher = proxy::net::watch::Watcher::new()?;
        Ok(Self(Mutex::new(watcher)))
    }

    fn fileno(&self) -> RawFd {
        self.with(|w| w.raw_fd())
    }

    fn add(&self, directory: &str) -> PyResult<()> {
        Ok(self.with(|w| w.add(directory))?)
    }

    fn remove(&self, directory: &str) {
        self.with(|w| w.remove(directory));
    }

    fn read(&self) -> PyResult<Vec<(String, String)>> {
        Ok(self.with(proxy::net::watch::Watcher::read)?)
    }
}
