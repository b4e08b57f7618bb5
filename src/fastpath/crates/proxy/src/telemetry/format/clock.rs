//! Wall-clock times as text: the proleptic Gregorian calendar in UTC.

use model::format::{TimeFormat, TimePart};

use super::address::{decimal, padded, two};

const SECOND: u64 = 1_000_000_000;
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Nanoseconds since 1970.
pub(super) fn wall_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// A moment, taken apart.
struct Civil {
    year: u64,
    /// 1 to 12.
    month: u64,
    day: u64,
    /// 1 to 366.
    day_of_year: u64,
    /// 0 is Sunday.
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
    nanos: u64,
    epoch: u64,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`, for times from 1970 on.
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "u64 nanoseconds end in 2554: every value stays below 2^40"
    )]
    fn at(wall: u64) -> Self {
        let epoch = wall / SECOND;
        let days = epoch / 86_400;
        let of_day = epoch % 86_400;
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let leap =
            (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        let before_march = if leap { 60 } else { 59 };
        // `of_year` counts from March 1st.
        let day_of_year = if month > 2 {
            of_year + before_march + 1
        } else {
            of_year - 306 + 1
        };
        Self {
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanos: wall % SECOND,
            epoch,
        }
    }

    fn weekday_name(&self) -> &'static str {
        usize::try_from(self.weekday)
            .ok()
            .and_then(|n| WEEKDAYS.get(n))
            .copied()
            .unwrap_or("")
    }

    fn month_name(&self) -> &'static str {
        let index = usize::try_from(self.month)
            .ok()
            .and_then(|n| n.checked_sub(1));
        index.and_then(|n| MONTHS.get(n)).copied().unwrap_or("")
    }
}

/// Appends `wall` (nanoseconds since 1970) in this format.
pub(crate) fn write(format: &TimeFormat, wall: u64, out: &mut Vec<u8>) {
    let civil = Civil::at(wall);
    for part in &format.parts {
        write_part(part, &civil, out);
    }
}

fn write_part(part: &TimePart, c: &Civil, out: &mut Vec<u8>) {
    let mut text = |t: &str| out.extend_from_slice(t.as_bytes());
    match part {
        TimePart::Text(t) => text(t),
        TimePart::Year => padded(c.year, 4, out),
        TimePart::YearOfCentury => two(c.year % 100, out),
        TimePart::Century => two(c.year / 100, out),
        TimePart::Month => two(c.month, out),
        TimePart::Day => two(c.day, out),
        TimePart::DayPadded => {
            if c.day < 10 {
                out.push(b' ');
            }
            decimal(c.day, out);
        }
        TimePart::DayOfYear => padded(c.day_of_year, 3, out),
        TimePart::Hour => two(c.hour, out),
        TimePart::Hour12 => {
            let hour = c.hour % 12;
            two(if hour == 0 { 12 } else { hour }, out);
        }
        TimePart::AmPm => text(if c.hour < 12 { "AM" } else { "PM" }),
        TimePart::Minute => two(c.minute, out),
        TimePart::Second => two(c.second, out),
        TimePart::WeekdayShort => text(c.weekday_name().get(..3).unwrap_or_default()),
        TimePart::WeekdayLong => text(c.weekday_name()),
        TimePart::WeekdayNumber => decimal(c.weekday, out),
        TimePart::WeekdayIso => decimal(if c.weekday == 0 { 7 } else { c.weekday }, out),
        TimePart::MonthShort => text(c.month_name().get(..3).unwrap_or_default()),
        TimePart::MonthLong => text(c.month_name()),
        TimePart::Offset => text("+0000"),
        TimePart::OffsetColon => text("+00:00"),
        TimePart::Zone => text("UTC"),
        TimePart::Epoch => decimal(c.epoch, out),
        TimePart::Fraction(digits) => {
            let drop = 9_u32.saturating_sub(u32::from(*digits));
            let scale = 10_u64.checked_pow(drop).unwrap_or(1);
            padded(
                c.nanos.checked_div(scale).unwrap_or(0),
                usize::from(*digits),
                out,
            );
        }
        TimePart::FractionTrimmed => {
            if c.nanos != 0 {
                out.push(b'.');
                padded(c.nanos, 9, out);
                while out.last() == Some(&b'0') {
                    out.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::format::{Format, Operator, Part};

    fn shown(format: &str, wall: u64) -> String {
        let format = Format::parse(&format!("%START_TIME({format})%")).unwrap();
        let [Part::Command(command)] = format.parts() else {
            panic!()
        };
        let Operator::StartTime(format) = &command.operator else {
            panic!()
        };
        let mut out = Vec::new();
        write(format, wall, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Envoy's own output for this moment.
    #[test]
    fn every_specifier() {
        let wall = 1_795_383_723_316_532_000;
        for (format, want) in [
            ("", "2026-11-22T21:42:03.316Z"),
            (
                "%Y/%m/%dT%H:%M:%S%z %s",
                "2026/11/22T21:42:03+0000 1795383723",
            ),
            (
                "%s.%3f|%6f|%9f|%f|%1f|%2f|%5f",
                "1795383723.316|316532|316532000|316532000|3|31|31653",
            ),
            (
                "%E3S %E*S %Ez %e %j %a %A %b %B %p %I %y %D %T %F %R %Z %%",
                "03.316 03.316532 +00:00 22 326 Sun Sunday Nov November PM 09 26 11/22/26 21:42:03 2026-11-22 21:42 UTC %",
            ),
        ] {
            assert_eq!(shown(format, wall), want);
        }
    }

    #[test]
    fn the_calendar_holds() {
        for (seconds, want) in [
            (0_u64, "1970-01-01 001 4"),
            (951_782_400, "2000-02-29 060 2"),
            (951_868_800, "2000-03-01 061 3"),
            (978_220_800, "2000-12-31 366 7"),
            (1_772_323_200, "2026-03-01 060 7"),
            (4_107_542_400, "2100-03-01 060 1"),
        ] {
            assert_eq!(shown("%F %j %u", seconds * SECOND), want);
        }
    }
}
