//! `Secret`: a certificate, a validation context or ticket keys under a name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::secret::Type;

use super::{certificate, validation};
use crate::problem::Problems;
use crate::resources::tls::{Secret, SecretValue};

/// `bytes`: those of the message.
pub(in crate::compile) fn compile(
    message: &pb::Secret,
    bytes: &[u8],
    problems: &mut Problems,
) -> Option<Secret> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let value = match message.r#type.as_ref() {
        Some(Type::TlsCertificate(message)) => {
            let found = problems.within("tls_certificate", |p| certificate::compile(message, p))?;
            certificate::hash(&found, &mut hasher);
            SecretValue::Certificate(Arc::new(found))
        }
        Some(Type::ValidationContext(message)) => {
            let found =
                problems.within("validation_context", |p| validation::compile(message, p))?;
            validation::hash(&found, &mut hasher);
            SecretValue::Validation(Arc::new(found))
        }
        Some(Type::SessionTicketKeys(message)) => {
            let level = problems.enter("session_ticket_keys");
            let found = certificate::ticket_keys(message, problems);
            problems.leave(level);
            let found = found?;
            found.0.hash(&mut hasher);
            SecretValue::TicketKeys(Arc::new(found))
        }
        // Refused by name.
        Some(Type::GenericSecret(_)) => return None,
        None => {
            problems.report("Secret type not implemented");
            return None;
        }
    };
    Some(Secret {
        name: message.name.as_str().into(),
        value,
        watched: directories(message),
        hash: hasher.finish(),
    })
}

/// The directories in which a move makes the files that a secret names worth reading again: the
/// one that is given, else those that they are in. Kubernetes' swap of `..data` is such a move.
pub(in crate::compile) fn directories(message: &pb::Secret) -> Vec<PathBuf> {
    let (files, given) = match message.r#type.as_ref() {
        Some(Type::TlsCertificate(message)) => (
            certificate::files_of(message),
            message.watched_directory.as_ref(),
        ),
        Some(Type::ValidationContext(message)) => (
            validation::files_of(message),
            message.watched_directory.as_ref(),
        ),
        Some(Type::SessionTicketKeys(message)) => (certificate::files(&message.keys), None),
        Some(Type::GenericSecret(_)) | None => return Vec::new(),
    };
    if files.is_empty() {
        return Vec::new();
    }
    if let Some(given) = given.filter(|given| !given.path.is_empty()) {
        return vec![given.path.as_str().into()];
    }
    let mut directories: Vec<PathBuf> = files.iter().map(|file| directory(file)).collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
