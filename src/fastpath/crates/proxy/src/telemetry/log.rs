//! The process log: lines on stderr in Envoy's format, a level per component.
//!
//! `[2026-11-22 21:21:49.123][tid][info][main] message`. Control characters are escaped, so that
//! nothing a peer sends can forge a line, and long messages are cut.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::log_format::{Field, LogFormat};

/// Bytes of a message that are printed.
const MAX_MESSAGE: usize = 4096;

/// Least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
    Off,
}

impl Level {
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Off,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }

    /// Envoy's names; `warn` is one too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "warn" {
            return Some(Self::Warning);
        }
        Self::ALL.into_iter().find(|level| level.name() == text)
    }

    fn from_number(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Off)
    }
}

/// The components of Envoy that we have, sorted. `misc` takes what has no component.
pub const COMPONENTS: &[&str] = &[
    "admin",
    "client",
    "config",
    "connection",
    "dns",
    "file",
    "filter",
    "grpc",
    "hc",
    "health_checker",
    "http",
    "http1",
    "init",
    "io",
    "jwt",
    "main",
    "misc",
    "pool",
    "rbac",
    "router",
    "runtime",
    "secret",
    "stats",
    "tracing",
    "udp",
    "upstream",
    "wasm",
];

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

static LEVELS: [AtomicU8; COMPONENTS.len()] =
    [const { AtomicU8::new(Level::Info as u8) }; COMPONENTS.len()];

/// A component's place; for the `log!` macro, which finds it at compile time.
#[must_use]
pub const fn component(name: &str) -> usize {
    let mut rest = COMPONENTS;
    let mut place = 0_usize;
    let mut misc = 0_usize;
    while let Some((first, others)) = rest.split_first() {
        if same(first.as_bytes(), name.as_bytes()) {
            return place;
        }
        if same(first.as_bytes(), b"misc") {
            misc = place;
        }
        rest = others;
        place = place.saturating_add(1);
    }
    misc
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let (Some((x, more_a)), Some((y, more_b))) = (a.split_first(), b.split_first()) {
        if *x != *y {
            return false;
        }
        (a, b) = (more_a, more_b);
    }
    a.is_empty() && b.is_empty()
}

/// Whether a message would be printed: one relaxed load.
#[inline]
#[must_use]
pub fn enabled(level: Level, component: usize) -> bool {
    LEVELS
        .get(component)
        .is_some_and(|least| level as u8 >= least.load(Ordering::Relaxed))
        && level != Level::Off
}

/// Sets a component's level, or all of them for "". False: no such component.
pub fn set_level(component: &str, level: Level) -> bool {
    let mut found = false;
    for (name, cell) in COMPONENTS.iter().zip(&LEVELS) {
        if component.is_empty() || *name == component {
            cell.store(level as u8, Ordering::Relaxed);
            found = true;
        }
    }
    found
}

/// All components and their levels.
pub fn levels() -> impl Iterator<Item = (&'static str, Level)> {
    let cells = COMPONENTS.iter().zip(&LEVELS);
    cells.map(|(name, cell)| (*name, Level::from_number(cell.load(Ordering::Relaxed))))
}

/// `log!(Level::Info, "main", "loaded {n} listeners")`: the arguments are evaluated only if the
/// line is printed.
#[macro_export]
macro_rules! log {
    ($level:expr, $component:literal, $($message:tt)+) => {{
        const COMPONENT: usize = $crate::telemetry::log::component($component);
        if $crate::telemetry::log::enabled($level, COMPONENT) {
            $crate::telemetry::log::write($level, $component, format_args!($($message)+));
        }
    }};
}

/// `--log-format`; false: lines were written already, in another.
pub fn set_format(format: LogFormat) -> bool {
    FORMAT.set(format).is_ok()
}

/// Writes a line, whatever the levels say.
pub fn write(level: Level, component: &str, message: fmt::Arguments<'_>) {
    let mut line = Vec::with_capacity(160);
    let format = FORMAT.get_or_init(LogFormat::default);
    format_line(
        &mut line,
        format,
        now(),
        thread_id(),
        level,
        component,
        message,
    );
    // Nobody is left to tell if stderr is gone.
    let _ = std::io::stderr().lock().write_all(&line);
}

/// For callers that have the component as a string (the Python side).
pub fn write_if_enabled(level: Level, name: &str, message: &str) {
    if enabled(level, component(name)) {
        write(level, name, format_args!("{message}"));
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_id() -> u32 {
    thread_local!(static ID: u32 = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
    ID.with(|id| *id)
}

fn format_line(
    line: &mut Vec<u8>,
    format: &LogFormat,
    wall: u64,
    thread: u32,
    level: Level,
    component: &str,
    message: fmt::Arguments<'_>,
) {
    format.write(wall, line, |field, line| match field {
        Field::Message => write_message(line, message, false),
        Field::MessageJson => write_message(line, message, true),
        Field::Component => line.extend_from_slice(component.as_bytes()),
        Field::Level => line.extend_from_slice(level.name().as_bytes()),
        Field::LevelLetter => {
            line.extend(level.name().bytes().take(1).map(|b| b.to_ascii_uppercase()))
        }
        Field::Thread => line.extend_from_slice(thread.to_string().as_bytes()),
        Field::Process => line.extend_from_slice(std::process::id().to_string().as_bytes()),
    });
    line.push(b'\n');
}

fn write_message(line: &mut Vec<u8>, message: fmt::Arguments<'_>, is_json: bool) {
    let mut out = Escaped {
        out: line,
        left: MAX_MESSAGE,
        is_json,
    };
    // Writing to memory cannot fail.
    let _ = out.write_fmt(message);
    if out.left == 0 {
        line.extend_from_slice(b"...");
    }
}

/// Escapes control characters and stops at a length.
struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
    /// Into a JSON string.
    is_json: bool,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let cost = c.len_utf8();
            if self.left < cost {
                self.left = 0;
                return Ok(());
            }
            self.left = self.left.saturating_sub(cost);
            match c {
                '\n' => self.out.extend_from_slice(b"\\n"),
                '\r' => self.out.extend_from_slice(b"\\r"),
                '\t' => self.out.extend_from_slice(b"\\t"),
                '"' | '\\' if self.is_json => {
                    self.out.push(b'\\');
                    self.out.extend(u8::try_from(c));
                }
                c if self.is_json && (c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) => {
                    let escaped = format!("\\u{:04x}", u32::from(c));
                    self.out.extend_from_slice(escaped.as_bytes());
                }
                // Line and paragraph separators count: some viewers break lines there.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    self.out
                        .extend(c.escape_unicode().map(|c| u8::try_from(c).unwrap_or(b'?')));
                }
                c => self
                    .out
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(())
    }
}

/// Lets one message through per interval and counts the rest.
pub struct RateLimit {
    interval_ms: u64,
    /// Milliseconds since 1970 from which the next message may pass.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl RateLimit {
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        // Intervals are seconds: no overflow to speak of.
        let interval_ms = interval.as_secs().saturating_mul(1000);
        Self {
            interval_ms,
            next: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Some(how many were suppressed since the last one) if a message may be written now.
    pub fn allow(&self) -> Option<u64> {
        self.allow_at(now() / 1_000_000)
    }

    fn allow_at(&self, now_ms: u64) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let then = now_ms.saturating_add(self.interval_ms);
        let mine = now_ms >= next
            && self
                .next
                .compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> String {
        line_of("[%Y-%m-%d %T.%e][%t][%l][%n] %v", message)
    }

    fn line_of(pattern: &str, message: &str) -> String {
        let mut out = Vec::new();
        let wall = 1_795_383_723_316_532_000;
        format_line(
            &mut out,
            &LogFormat::parse(pattern).unwrap(),
            wall,
            12311,
            Level::Info,
            "main",
            format_args!("{message}"),
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_look_like_envoys() {
        assert_eq!(
            line("hello"),
            "[2026-11-22 21:42:03.316][12311][info][main] hello\n"
        );
    }

    #[test]
    fn nothing_forges_a_line() {
        let shown = line("a\nb\r\tc\x1b[31m\u{85}\u{2028}ä");
        let want = "a\\nb\\r\\tc\\u{1b}[31m\\u{85}\\u{2028}ä\n";
        assert!(shown.ends_with(want), "{shown}");
        assert_eq!(shown.lines().count(), 1);
        assert!(line(&"x".repeat(100_000)).len() < MAX_MESSAGE + 100);
    }

    #[test]
    fn json_stays_json() {
        let pattern = "{\"level\":\"%l\",\"letter\":\"%L\",\"msg\":\"%j\"}";
        let shown = line_of(pattern, "a \"b\" \\ \n\x1b");
        let want =
            "{\"level\":\"info\",\"letter\":\"I\",\"msg\":\"a \\\"b\\\" \\\\ \\n\\u001b\"}\n";
        assert_eq!(shown, want);
    }

    #[test]
    fn levels_are_per_component() {
        const WASM: usize = component("wasm");
        assert!(!enabled(Level::Debug, WASM));
        assert!(set_level("wasm", Level::Trace));
        assert!(enabled(Level::Trace, WASM) && !enabled(Level::Trace, component("jwt")));
        assert!(set_level("wasm", Level::Off));
        assert!(!enabled(Level::Critical, WASM) && !enabled(Level::Off, WASM));
        assert!(!set_level("nope", Level::Info));
        assert_eq!(component("nope"), component("misc"));
        assert_eq!(Level::parse("warn"), Some(Level::Warning));
        assert!(levels().any(|pair| pair == ("wasm", Level::Off)));
        assert!(COMPONENTS.is_sorted());
    }

    #[test]
    fn repeated_messages_are_limited() {
        let limit = RateLimit::new(Duration::from_secs(10));
        assert_eq!(limit.allow_at(1_000), Some(0));
        assert_eq!(limit.allow_at(1_001), None);
        assert_eq!(limit.allow_at(10_999), None);
        assert_eq!(limit.allow_at(11_000), Some(2));
    }
}
