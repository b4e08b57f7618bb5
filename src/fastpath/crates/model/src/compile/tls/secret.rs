//! `Secret`: a certificate, a validation context or ticket keys under a name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::WatchedDirectory;
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
    let (value, watched) = match message.r#type.as_ref() {
        Some(Type::TlsCertificate(certificate)) => {
            let level = problems.enter("tls_certificate");
            let found = certificate::compile(certificate, problems);
            problems.leave(level);
            let found = found?;
            certificate::hash(&found, &mut hasher);
            let watched = directories(&found.files, certificate.watched_directory.as_ref());
            (SecretValue::Certificate(Arc::new(found)), watched)
        }
        Some(Type::ValidationContext(context)) => {
            let level = problems.enter("validation_context");
            let found = validation::compile(context, problems);
            problems.leave(level);
            let found = found?;
            validation::hash(&found, &mut hasher);
            let watched = directories(&found.files, context.watched_directory.as_ref());
            (SecretValue::Validation(Arc::new(found)), watched)
        }
        Some(Type::SessionTicketKeys(keys)) => {
            let level = problems.enter("session_ticket_keys");
            let found = certificate::ticket_keys(keys, problems);
            problems.leave(level);
            let found = found?;
            found.keys.0.hash(&mut hasher);
            let watched = directories(&found.files, None);
            (SecretValue::TicketKeys(Arc::new(found.keys)), watched)
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
        watched,
        hash: hasher.finish(),
    })
}

/// The directories in which a move makes the files worth reading again: the one that is given,
/// else those that they are in. Kubernetes' swap of `..data` is such a move.
fn directories(files: &[PathBuf], given: Option<&WatchedDirectory>) -> Vec<PathBuf> {
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
