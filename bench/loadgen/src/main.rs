//! Origin server and load generator of `mesh bench`: one thread and one epoll each, so that both
//! fit on one core beside a proxy that has the other.

#![forbid(unsafe_code)]

mod args;
mod http;
mod load;
mod net;
mod pattern;
mod upstream;

const USAGE: &str = "\
loadgen upstream [--listen 127.0.0.1:0]
    Prints {\"port\": N}, then serves until killed. The last segment of a path says the size of the
    body: small (12 bytes), 1k, 64k, 1m or any number. POST and PUT answer '<bytes> ok' or
    '<bytes> bad'.
loadgen load --target IP:PORT [--path /small] [--path-count N: {} in the path runs over 0..N]
    [--expect-body BYTES] [--body-size BYTES: POST the pattern] [--header 'name: value']
    [--connections 64] [--duration SECONDS] [--warmup SECONDS] [--requests N]
    [--rate R: open loop] [--new-connection-per-request]
    [--idle: one request on each connection, then hold them until stdin closes]
    Prints one JSON object; --idle prints it again at the end.";

fn main() {
    let mut raw = std::env::args().skip(1);
    let result = match raw.next().as_deref() {
        Some("upstream") => upstream::main(raw),
        Some("load") => load::main(raw),
        _ => Err(USAGE.to_owned()),
    };
    if let Err(message) = result {
        eprintln!("loadgen: {message}");
        std::process::exit(2);
    }
}
