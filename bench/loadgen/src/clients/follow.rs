//! Clients that ask all the time and say when the value of a response header changes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::args::Args;
use crate::http::{Framing, framing, head_len, header, status};

const PATIENCE: Duration = Duration::from_secs(10);

/// What all clients do, and what came of it.
struct Follow {
    request: Vec<u8>,
    watched: String,
    pause: Duration,
    over: AtomicBool,
    requests: AtomicU64,
    errors: AtomicU64,
    /// One line is written at a time.
    out: Mutex<io::Stdout>,
}

/// A client for each target; a line for each change, and at the end of stdin one with the counts.
pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let args = Args::parse(raw, &["targets", "path", "watch", "pause"], &[])?;
    let targets: String = args.get("targets")?.ok_or("--targets is required")?;
    let targets: Vec<SocketAddr> = targets
        .split(',')
        .map(|one| one.parse().map_err(|_| format!("--targets: not an address: {one}")))
        .collect::<Result<_, _>>()?;
    let path: String = args.or("path", "/small".to_owned())?;
    let pause = Duration::try_from_secs_f64(args.or("pause", 0.001)?).map_err(|e| e.to_string())?;
    let follow = Follow {
        request: format!("GET {path} HTTP/1.1\r\nhost: loadgen\r\n\r\n").into_bytes(),
        watched: args.get("watch")?.ok_or("--watch is required")?,
        pause,
        over: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        out: Mutex::new(io::stdout()),
    };
    let ended = thread::scope(|scope| {
        for (number, &target) in targets.iter().enumerate() {
            let follow = &follow;
            scope.spawn(move || follow.run(number, target));
        }
        let ended = io::stdin().read_to_end(&mut Vec::new());
        follow.over.store(true, Ordering::Relaxed);
        ended
    });
    let (requests, errors) = (follow.requests.into_inner(), follow.errors.into_inner());
    println!("{{\"requests\": {requests}, \"errors\": {errors}}}");
    ended.map(drop).map_err(|error| error.to_string())
}

impl Follow {
    fn run(&self, number: usize, target: SocketAddr) {
        let (mut connection, mut last) = (None, Vec::new());
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(self.pause);
            self.requests.fetch_add(1, Ordering::Relaxed);
            match self.ask(&mut connection, target) {
                Ok(value) if value != last => {
                    self.tell(number, &value);
                    last = value;
                }
                Ok(_) => {}
                Err(_) => {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                }
            }
        }
    }

    /// The watched value of one answer.
    fn ask(&self, connection: &mut Option<TcpStream>, target: SocketAddr) -> io::Result<Vec<u8>> {
        let stream = match connection {
            Some(stream) => stream,
            None => connection.insert(connect(target)?),
        };
        stream.write_all(&self.request)?;
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let got = stream.read(&mut chunk)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(chunk.get(..got).unwrap_or_default());
            let Some(end) = head_len(&bytes) else { continue };
            let head = bytes.get(..end).unwrap_or_default();
            let Some(Framing::Length(length)) = framing(head) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            if bytes.len() - end < length {
                continue;
            }
            return match (status(head), header(head, self.watched.as_bytes())) {
                (Some(200), Some(value)) => Ok(value.to_vec()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            };
        }
    }

    /// Seconds are those of the monotonic clock, which all processes share.
    fn tell(&self, number: usize, value: &[u8]) {
        let now = clock_gettime(ClockId::Monotonic);
        let value = String::from_utf8_lossy(value);
        if let Ok(mut out) = self.out.lock() {
            let (seconds, nanos) = (now.tv_sec, now.tv_nsec);
            let _ = writeln!(
                out,
                "{{\"client\": {number}, \"value\": \"{value}\", \"at\": {seconds}.{nanos:09}}}"
            );
        }
    }
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
