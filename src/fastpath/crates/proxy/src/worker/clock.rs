//! The worker's clock: read once a turn of the loop, so that a request costs no clock calls.

use std::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// Wall-clock nanoseconds since the epoch at `origin`.
    wall_origin_ns: u64,
    /// Nanoseconds since `origin`, of this turn.
    now_ns: u64,
    /// `Date` header value of `date_second`.
    date: String,
    date_second: u64,
}

impl Default for Clock {
    fn default() -> Self {
        let mut clock = Self {
            origin: Instant::now(),
            wall_origin_ns: 0,
            now_ns: 0,
            date: String::new(),
            date_second: u64::MAX,
        };
        clock.sync_wall();
        clock.refresh_date();
        clock
    }
}

impl Clock {
    /// Takes the time. Call once after every wait.
    pub fn tick(&mut self) {
        self.now_ns = nanos(self.origin.elapsed());
        if self.wall_ns() / 1_000_000_000 != self.date_second {
            // Once a second: follow steps of the wall clock, too.
            self.sync_wall();
            self.refresh_date();
        }
    }

    fn sync_wall(&mut self) {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, nanos);
        self.wall_origin_ns = wall.saturating_sub(self.now_ns);
    }

    fn refresh_date(&mut self) {
        self.date_second = self.wall_ns() / 1_000_000_000;
        self.date = http_date(self.date_second);
    }

    /// Monotonic nanoseconds of this turn.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Monotonic milliseconds of this turn.
    pub fn now_ms(&self) -> u64 {
        self.now_ns / 1_000_000
    }

    /// Wall clock of this turn, nanoseconds since the epoch.
    pub fn wall_ns(&self) -> u64 {
        self.wall_origin_ns.saturating_add(self.now_ns)
    }

    /// IMF-fixdate of this second (RFC 9110 §5.6.7).
    pub fn date(&self) -> &str {
        &self.date
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since the epoch as `Sun, 06 Nov 1994 08:49:37 GMT`.
#[allow(clippy::arithmetic_side_effects)] // civil-from-days on bounded values, no input of others
pub fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = seconds / 86_400;
    let rest = seconds % 86_400;
    // Howard Hinnant's civil_from_days, for days since 1970-01-01.
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS.get((days % 7) as usize).unwrap_or(&"Thu"),
        MONTHS.get((month - 1) as usize).unwrap_or(&"Jan"),
        rest / 3_600,
        rest % 3_600 / 60,
        rest % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
    }

    #[test]
    fn time_does_not_run_backwards() {
        let mut c = Clock::default();
        let a = c.now_ns();
        c.tick();
        assert!(c.now_ns() >= a);
        assert!(c.date().ends_with("GMT"));
    }
}
