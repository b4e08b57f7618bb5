//! Before anything else a peer says who it is, where ALPN came to that (`istio.metadata_exchange`).

use std::sync::Arc;

use model::introduction::{Introduction, MARK};
use model::resources::istio::Workload;

use super::io::{Input, Io, Scratch};

/// What came of listening to a peer.
#[derive(Debug)]
pub enum Heard {
    /// It has not said all.
    More,
    /// What is held now, and what follows, is no introduction. `None`: it did not say who it is.
    Said(Option<Arc<Workload>>),
    /// It has said something else.
    Foreign,
    /// It is gone, or says too much.
    Failed,
}

/// Reads until a peer has introduced itself, or says something else. `held`: what was read of it;
/// `hung_up`: a short read does not mean that there is no more.
pub fn hear(
    io: &mut Io,
    scratch: &mut Scratch,
    held: &mut Vec<u8>,
    readable: &mut bool,
    hung_up: bool,
) -> Heard {
    if io.backlog() > 0 && io.flush().is_err() {
        return Heard::Failed;
    }
    loop {
        match Introduction::read(held) {
            Introduction::Said { len, workload } => {
                held.drain(..len);
                return Heard::Said(workload.map(Arc::new));
            }
            Introduction::Foreign => return Heard::Foreign,
            Introduction::TooLong => return Heard::Failed,
            Introduction::Incomplete => {}
        }
        if !*readable {
            return Heard::More;
        }
        match io.read(scratch) {
            Input::Data { bytes, drained } => {
                held.extend_from_slice(bytes);
                if drained && !hung_up {
                    *readable = false;
                }
            }
            Input::Interrupted => {}
            Input::Empty => *readable = false,
            // Half an introduction is nobody's data. Who comes next reads the end again.
            Input::Eof => {
                if held.len() >= MARK {
                    held.clear();
                }
                return Heard::Foreign;
            }
            Input::Broken => return Heard::Failed,
        }
    }
}
