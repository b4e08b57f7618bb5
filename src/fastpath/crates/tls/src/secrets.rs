//! Secrets: here, or by name.

use std::sync::Arc;

use model::problem::Problem;
use model::resources::tls::{
    Certificate, Secret, SecretSource, SecretValue, TicketKeys, Validation, ValidationSource,
};

/// Where secrets are found by name: `Snapshot::secrets`.
pub trait Secrets {
    fn secret(&self, name: &str) -> Option<&Arc<Secret>>;
}

impl Secrets for model::resources::Snapshot {
    fn secret(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }
}

/// # Errors
/// The secret is not there, or is of another type.
pub(crate) fn certificate(
    source: &SecretSource<Certificate>,
    secrets: &dyn Secrets,
    path: &str,
) -> Result<Arc<Certificate>, Problem> {
    let name = match source {
        SecretSource::Inline(here) => return Ok(Arc::clone(here)),
        SecretSource::Named(name) => name,
    };
    match &find(name, secrets, path)?.value {
        SecretValue::Certificate(certificate) => Ok(Arc::clone(certificate)),
        _ => Err(wrong(path, name, "tls_certificate")),
    }
}

/// # Errors
/// As [`certificate`]'s.
pub(crate) fn ticket_keys(
    source: &SecretSource<TicketKeys>,
    secrets: &dyn Secrets,
    path: &str,
) -> Result<Arc<TicketKeys>, Problem> {
    let name = match source {
        SecretSource::Inline(here) => return Ok(Arc::clone(here)),
        SecretSource::Named(name) => name,
    };
    match &find(name, secrets, path)?.value {
        SecretValue::TicketKeys(keys) => Ok(Arc::clone(keys)),
        _ => Err(wrong(path, name, "session_ticket_keys")),
    }
}

/// The context that holds: a combined one is merged.
///
/// # Errors
/// As [`certificate`]'s, and what Envoy does not allow either (`Validation::contradiction`).
pub(crate) fn validation(
    source: Option<&ValidationSource>,
    secrets: &dyn Secrets,
    path: &str,
) -> Result<Option<Arc<Validation>>, Problem> {
    let validation = match source {
        None => return Ok(None),
        Some(ValidationSource::Inline(here)) => Arc::clone(here),
        Some(ValidationSource::Named(name)) => named_validation(name, secrets, path)?,
        Some(ValidationSource::Combined { default, name }) => {
            let named = named_validation(name, secrets, path)?;
            Arc::new(default.merged(&named))
        }
    };
    match validation.contradiction() {
        None => Ok(Some(validation)),
        Some(why) => Err(Problem {
            path: path.into(),
            reason: why.into(),
        }),
    }
}

fn named_validation(
    name: &str,
    secrets: &dyn Secrets,
    path: &str,
) -> Result<Arc<Validation>, Problem> {
    match &find(name, secrets, path)?.value {
        SecretValue::Validation(validation) => Ok(Arc::clone(validation)),
        _ => Err(wrong(path, name, "validation_context")),
    }
}

fn find<'a>(name: &str, secrets: &'a dyn Secrets, path: &str) -> Result<&'a Arc<Secret>, Problem> {
    secrets.secret(name).ok_or_else(|| Problem {
        path: path.into(),
        reason: format!("the secret {name:?} is not there (yet)"),
    })
}

fn wrong(path: &str, name: &str, wanted: &str) -> Problem {
    Problem {
        path: path.into(),
        reason: format!("the secret {name:?} is no {wanted}"),
    }
}
