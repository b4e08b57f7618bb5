//! gRPC calls for Python: bytes of messages out and in, and how a call ended.

use std::os::fd::RawFd;
use std::sync::Arc;

use proxy::grpc::Request;
use proxy::grpc::inbox::Event;
use pyo3::prelude::*;

#[pyclass(frozen, module = "mesh._fastpath")]
pub struct Calls(pub proxy::grpc::Calls);

/// (call, what, message, status, text)
type Happened = (u64, &'static str, Vec<u8>, u32, String);

#[pymethods]
impl Calls {
    fn fileno(&self) -> RawFd {
        self.0.raw_fd()
    }

    /// `timeout`: in seconds, 0 for none.
    fn open(
        &self,
        cluster: &str,
        path: String,
        authority: String,
        metadata: Vec<(String, String)>,
        timeout: f64,
        max_message: Option<u32>,
    ) -> u64 {
        let milliseconds = (timeout.max(0.0) * 1000.0).ceil();
        self.0.open(Request {
            cluster: Arc::from(cluster),
            path,
            authority,
            metadata,
            timeout_ms: (milliseconds > 0.0).then_some(milliseconds as u64),
            max_message,
        })
    }

    fn send(&self, call: u64, message: Vec<u8>, end: bool) -> bool {
        self.0.send(call, message, end)
    }

    fn finish(&self, call: u64) {
        self.0.finish(call);
    }

    fn cancel(&self, call: u64) {
        self.0.cancel(call);
    }

    fn read(&self) -> Vec<Happened> {
        let events = self.0.read().into_iter();
        events
            .map(|(call, event)| match event {
                Event::Open => (call, "open", Vec::new(), 0, String::new()),
                Event::Message(message) => (call, "message", message, 0, String::new()),
                Event::Closed { status, message } => (call, "closed", Vec::new(), status, message),
            })
            .collect()
    }
}
