//! What to send, how, and what must come back.

use std::net::SocketAddr;
use std::time::Duration;

use crate::args::Args;
use crate::pattern::Pattern;
use crate::tls::Tls;

const OPTIONS: &[&str] = &[
    "target",
    "path",
    "path-count",
    "expect-body",
    "body-size",
    "header",
    "connections",
    "duration",
    "warmup",
    "requests",
    "rate",
    "ca",
];
const FLAGS: &[&str] = &["new-connection-per-request", "idle"];

/// A stride through the paths that is coprime to any sensible count, so that neighbours in time are
/// not neighbours in the route table.
const STRIDE: usize = 7919;

pub struct Plan {
    pub target: SocketAddr,
    pub tls: Option<Tls>,
    /// Heads of the requests, taken in turn.
    pub heads: Vec<Vec<u8>>,
    /// The request body, the same for all; empty for GET.
    pub body: Vec<u8>,
    pub expected: Expected,
    pub connections: usize,
    pub warmup: Duration,
    pub duration: Duration,
    pub requests: u64,
    /// Requests per second, open loop. `None`: closed loop.
    pub rate: Option<f64>,
    pub fresh_connections: bool,
    pub idle: bool,
    pub pattern: Pattern,
}

pub enum Expected {
    /// The pattern, of this length if it is known.
    Pattern(Option<usize>),
    /// Exactly these bytes.
    Exactly(Vec<u8>),
}

impl Plan {
    pub fn parse(raw: impl Iterator<Item = String>) -> Result<Self, String> {
        let args = Args::parse(raw, OPTIONS, FLAGS)?;
        let target: SocketAddr = args.get("target")?.ok_or("--target is required")?;
        let pattern = Pattern::new();
        let body = pattern.body(args.or("body-size", 0)?);
        let path: String = args.or("path", "/small".to_owned())?;
        let count: usize = args.or("path-count", 1)?;
        let header: Option<String> = args.get("header")?;
        let heads = (0..count)
            .map(|i| (i * STRIDE) % count)
            .map(|i| head(target, &path.replace("{}", &i.to_string()), header.as_deref(), &body))
            .collect();
        let expected = if body.is_empty() {
            Expected::Pattern(args.get("expect-body")?)
        } else {
            Expected::Exactly(format!("{} ok\n", body.len()).into_bytes())
        };
        let authority: Option<String> = args.get("ca")?;
        let tls = authority.map(|file| Tls::new(&file, "http/1.1")).transpose()?;
        let seconds = |name, default| -> Result<Duration, String> {
            Duration::try_from_secs_f64(args.or(name, default)?).map_err(|e| e.to_string())
        };
        Ok(Self {
            target,
            tls,
            heads,
            body,
            expected,
            connections: args.or("connections", 64)?,
            warmup: seconds("warmup", 0.0)?,
            duration: seconds("duration", 5.0)?,
            requests: args.or("requests", u64::MAX)?,
            rate: args.get("rate")?,
            fresh_connections: args.flag("new-connection-per-request"),
            idle: args.flag("idle"),
            pattern,
        })
    }

    pub fn head(&self, turn: u64) -> usize {
        (turn % self.heads.len() as u64) as usize
    }
}

fn head(target: SocketAddr, path: &str, extra: Option<&str>, body: &[u8]) -> Vec<u8> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {target}\r\nuser-agent: loadgen\r\naccept: */*\r\n"
    );
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    if let Some(extra) = extra {
        head += &format!("{extra}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}
