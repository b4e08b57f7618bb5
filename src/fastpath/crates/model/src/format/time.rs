//! Time formats: strftime's specifiers and Envoy's `%3f`, split once. All times are UTC.

use super::FormatError;

/// A parsed time format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    pub parts: Vec<TimePart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimePart {
    Text(Box<str>),
    Year,
    YearOfCentury,
    Century,
    Month,
    Day,
    DayPadded,
    DayOfYear,
    Hour,
    Hour12,
    AmPm,
    Minute,
    Second,
    WeekdayShort,
    WeekdayLong,
    /// Sunday is 0.
    WeekdayNumber,
    /// Monday is 1.
    WeekdayIso,
    MonthShort,
    MonthLong,
    /// `+0000`
    Offset,
    /// `+00:00`
    OffsetColon,
    /// `UTC`
    Zone,
    /// Seconds since 1970.
    Epoch,
    /// The first n digits of the fraction of the second.
    Fraction(u8),
    /// The fraction with a dot, without trailing zeros; nothing if it is zero.
    FractionTrimmed,
}

impl TimeFormat {
    /// `2026-11-22T21:42:03.316Z`
    #[must_use]
    pub fn iso() -> Self {
        use TimePart::{Day, Fraction, Hour, Minute, Month, Second, Text, Year};
        let text = |t: &str| Text(t.into());
        let (dash, colon) = (text("-"), text(":"));
        let date = [Year, dash.clone(), Month, dash, Day, text("T")];
        let time = [
            Hour,
            colon.clone(),
            Minute,
            colon,
            Second,
            text("."),
            Fraction(3),
            text("Z"),
        ];
        Self {
            parts: date.into_iter().chain(time).collect(),
        }
    }

    /// Parses the argument of `operator` (START_TIME or EMIT_TIME).
    pub(super) fn parse(operator: &str, text: &str) -> Result<Self, FormatError> {
        let bad = |reason| FormatError::BadArgument {
            operator: operator.to_owned(),
            argument: text.to_owned(),
            reason,
        };
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            let specifier = chars.next().ok_or_else(|| bad("ends in a single %"))?;
            if let Some(literal) = literal(specifier) {
                plain.push(literal);
                continue;
            }
            if !plain.is_empty() {
                parts.push(TimePart::Text(std::mem::take(&mut plain).into()));
            }
            match specifier {
                '1'..='9' => {
                    let digits = u8::try_from(specifier.to_digit(10).unwrap_or(9)).unwrap_or(9);
                    if chars.next() != Some('f') {
                        return Err(bad("a digit after % must be followed by f"));
                    }
                    parts.push(TimePart::Fraction(digits));
                }
                'E' => extension(&mut chars, &mut parts)
                    .ok_or_else(|| bad("%E knows %Ez, %E*S and %E1S to %E9S"))?,
                _ => {
                    let known = simple(specifier);
                    parts.extend(known.ok_or_else(|| bad("has an unknown time specifier"))?);
                }
            }
        }
        if !plain.is_empty() {
            parts.push(TimePart::Text(plain.into()));
        }
        Ok(Self { parts })
    }
}

fn literal(specifier: char) -> Option<char> {
    match specifier {
        '%' => Some('%'),
        'n' => Some('\n'),
        't' => Some('\t'),
        _ => None,
    }
}

/// `%Ez`, `%E*S`, `%E3S`.
fn extension(chars: &mut std::str::Chars<'_>, parts: &mut Vec<TimePart>) -> Option<()> {
    let which = chars.next()?;
    if which == 'z' {
        parts.push(TimePart::OffsetColon);
        return Some(());
    }
    if chars.next()? != 'S' {
        return None;
    }
    parts.push(TimePart::Second);
    if which == '*' {
        parts.push(TimePart::FractionTrimmed);
    } else {
        let digits = u8::try_from(which.to_digit(10)?).ok()?;
        if digits > 0 {
            parts.push(TimePart::Text(".".into()));
            parts.push(TimePart::Fraction(digits));
        }
    }
    Some(())
}

fn simple(specifier: char) -> Option<Vec<TimePart>> {
    use TimePart as P;
    let text = |t: &str| P::Text(t.into());
    let clock = || vec![P::Hour, text(":"), P::Minute, text(":"), P::Second];
    let us_date = || vec![P::Month, text("/"), P::Day, text("/"), P::YearOfCentury];
    Some(match specifier {
        'Y' => vec![P::Year],
        'y' => vec![P::YearOfCentury],
        'C' => vec![P::Century],
        'm' => vec![P::Month],
        'd' => vec![P::Day],
        'e' => vec![P::DayPadded],
        'j' => vec![P::DayOfYear],
        'H' => vec![P::Hour],
        'I' => vec![P::Hour12],
        'p' => vec![P::AmPm],
        'M' => vec![P::Minute],
        'S' => vec![P::Second],
        'a' => vec![P::WeekdayShort],
        'A' => vec![P::WeekdayLong],
        'w' => vec![P::WeekdayNumber],
        'u' => vec![P::WeekdayIso],
        'b' | 'h' => vec![P::MonthShort],
        'B' => vec![P::MonthLong],
        'z' => vec![P::Offset],
        'Z' => vec![P::Zone],
        's' => vec![P::Epoch],
        'f' => vec![P::Fraction(9)],
        'F' => vec![P::Year, text("-"), P::Month, text("-"), P::Day],
        'T' | 'X' => clock(),
        'R' => vec![P::Hour, text(":"), P::Minute],
        'D' | 'x' => us_date(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_become_parts() {
        let parsed = TimeFormat::parse("START_TIME", "%s.%3f%%x%E3S").unwrap();
        let text = |t: &str| TimePart::Text(t.into());
        let want = [
            TimePart::Epoch,
            text("."),
            TimePart::Fraction(3),
            text("%x"),
            TimePart::Second,
            text("."),
            TimePart::Fraction(3),
        ];
        assert_eq!(parsed.parts, want);
        assert_eq!(
            TimeFormat::parse("START_TIME", "%Y-%m-%dT%H:%M:%S.%3fZ").unwrap(),
            TimeFormat::iso()
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in ["%", "%q", "%3", "%3x", "%E", "%ES", "%EQ"] {
            assert!(TimeFormat::parse("START_TIME", bad).is_err(), "{bad}");
        }
    }
}
