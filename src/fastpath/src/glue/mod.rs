//! The module `mesh._fastpath`.

mod calls;
mod config;
mod discovery;
mod engine;
mod head;
mod log;
mod memory;
mod watcher;

use pyo3::prelude::*;

#[pymodule]
fn _fastpath(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    config::register(module)?;
    engine::register(module)?;
    discovery::register(module)?;
    module.add_class::<calls::Calls>()?;
    module.add_class::<watcher::Watcher>()?;
    module.add_function(wrap_pyfunction!(head::parse_request_head, module)?)?;
    module.add_function(wrap_pyfunction!(memory::release_memory, module)?)?;
    module.add_function(wrap_pyfunction!(log::log, module)?)?;
    module.add_function(wrap_pyfunction!(log::set_log_level, module)?)?;
    module.add_function(wrap_pyfunction!(log::set_log_format, module)?)?;
    module.add_function(wrap_pyfunction!(log::log_levels, module)?)?;
    Ok(())
}
