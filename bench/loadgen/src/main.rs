//! Origin servers and load generators of `mesh bench`: one thread each, so that both fit on one core
//! beside a proxy that has the other. HTTP/1.1 is on epoll, with an open loop; the rest is on tokio.

#![forbid(unsafe_code)]

mod args;
mod clients;
mod drive;
mod http;
mod load;
mod net;
mod origins;
mod pattern;
mod stream;
mod tally;
mod tls;
mod transfer;
mod upstream;
mod websocket;
mod windows;

use clients::{follow, grpc, h2, handshakes, tcp};

const USAGE: &str = "\
loadgen upstream [--listen 127.0.0.1:0] [--header 'name: value': of every answer]
    Prints {\"port\": N}, then serves until killed. The last segment of a path says the size of the
    body: small (12 bytes), 1k, 64k, 1m or any number. POST and PUT answer '<bytes> ok' or
    '<bytes> bad'.
loadgen origins
    Prints {\"h2\": N, \"tcp\": N, \"websocket\": N}, then serves until killed. h2 has the four named
    sizes and echoes gRPC calls.

Each load prints one JSON object.
loadgen load --target IP:PORT [--path /small] [--path-count N: {} in the path runs over 0..N]
    [--expect-body BYTES] [--body-size BYTES: POST the pattern] [--header 'name: value']
    [--ca PEM: TLS] [--connections 64] [--duration SECONDS] [--warmup SECONDS] [--requests N]
    [--rate R: open loop] [--new-connection-per-request]
    [--idle: one request on each connection, then hold them until stdin closes]
    --idle prints the object again at the end.
The others: --target IP:PORT [--connections 16] [--duration SECONDS] [--requests N], and
loadgen h2 [--path /small] [--expect-body BYTES] [--streams N] [--ca PEM: TLS] [--idle]
loadgen grpc [--message-size BYTES] [--streams N] [--messages N: streaming calls of so many]
loadgen websocket [--size BYTES]
loadgen tcp [--size BYTES] [--up] [--new-connection-per-request]
loadgen handshakes --ca PEM [--resumed]
loadgen follow --targets IP:PORT,... --watch HEADER [--path URL] [--pause SECONDS]
    Asks each of them all the time until stdin closes; a line of JSON when the value of that response
    header changes, and one at the end.";

fn main() {
    let mut raw = std::env::args().skip(1);
    let result = match raw.next().as_deref() {
        Some("upstream") => upstream::main(raw),
        Some("origins") => origins::main(raw),
        Some("load") => load::main(raw),
        Some("h2") => h2::main(raw),
        Some("grpc") => grpc::main(raw),
        Some("websocket") => clients::websocket::main(raw),
        Some("tcp") => tcp::main(raw),
        Some("follow") => follow::main(raw),
        Some("handshakes") => handshakes::main(raw),
        _ => Err(USAGE.to_owned()),
    };
    if let Err(message) = result {
        eprintln!("loadgen: {message}");
        std::process::exit(2);
    }
}
