//! Every rule about a peer's certificate, with one that passes and one that does not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // Tests.

mod chains;
mod contexts;
mod facts;
mod names;
mod pins;
mod revocation;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use model::resources::tls::{Certificate, Validation};
use support::{Ca, Pair, Side, accept, client, connect, downstream, inline, server, upstream};
use tls::{ClientContext, ErrorClass, ServerContext, TlsError};

/// A server that validates clients like this.
fn validating(ca: &Ca, required: bool, validation: Validation) -> Arc<ServerContext> {
    let mut down = downstream(&[&ca.leaf(&["server.test"])]);
    down.require_client_certificate = required;
    down.common.validation = inline(validation);
    server(&down)
}

/// A client that presents this.
fn presenting(certificate: Option<&Arc<Certificate>>) -> Arc<ClientContext> {
    let mut up = upstream();
    if let Some(certificate) = certificate {
        up.common.certificates = downstream(&[certificate]).common.certificates;
    }
    client(&up)
}

/// What the server thinks of a client's certificate: whether it is validated, or why not.
fn verdict(
    ca: &Ca,
    validation: Validation,
    certificate: &Arc<Certificate>,
) -> Result<bool, TlsError> {
    let (client, server) = (
        presenting(Some(certificate)),
        validating(ca, true, validation),
    );
    let mut pair = Pair::new(connect(&client, None), accept(&server)).start();
    match pair.run() {
        Ok(()) => Ok(pair.server.info().peer.as_ref().unwrap().validated),
        Err((side, error)) => {
            assert_eq!(side, Side::Server);
            Err(error)
        }
    }
}

fn class(verdict: Result<bool, TlsError>) -> ErrorClass {
    verdict.unwrap_err().class()
}
