//! `key_log`: the secrets of chosen connections, in the format that NSS began
//! (draft-ietf-tls-keylogfile).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use model::problem::Problem;
use model::resources::hcm::Cidr;
use model::resources::tls;

#[derive(Debug)]
pub(crate) struct KeyLog {
    file: Arc<LogFile>,
    local: Vec<Cidr>,
    remote: Vec<Cidr>,
}

impl KeyLog {
    /// Opens (creates, with mode 0600) the file.
    pub(crate) fn open(config: &tls::KeyLog) -> Result<Self, Problem> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&config.path)
            .map_err(|why| Problem {
                path: "common_tls_context.key_log.path".into(),
                reason: format!("cannot open {}: {why}", config.path.display()),
            })?;
        let copy = |ranges: &[Cidr]| {
            ranges
                .iter()
                .map(|range| Cidr {
                    address: range.address,
                    prefix_len: range.prefix_len,
                })
                .collect()
        };
        Ok(Self {
            file: Arc::new(LogFile(file)),
            local: copy(&config.local),
            remote: copy(&config.remote),
        })
    }

    /// The log, if this connection's addresses are in the ranges (none given: any; a pipe's are in
    /// none).
    pub(crate) fn of(&self, local: Option<IpAddr>, remote: Option<IpAddr>) -> Option<Arc<LogFile>> {
        let inside = |ranges: &[Cidr], ip: Option<IpAddr>| {
            let has = |ip| ranges.iter().any(|range| range.contains(ip));
            ranges.is_empty() || ip.is_some_and(has)
        };
        (inside(&self.local, local) && inside(&self.remote, remote)).then(|| Arc::clone(&self.file))
    }
}

pub(crate) struct LogFile(File);

impl rustls::KeyLog for LogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = &data_encoding::HEXLOWER;
        let line = format!(
            "{label} {} {}\n",
            hex.encode(client_random),
            hex.encode(secret)
        );
        // One write of an append-only file is one line, whichever worker does it. A full disk must
        // not end connections, and there is nobody here to tell.
        let _ = (&self.0).write_all(line.as_bytes());
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFile")
    }
}
