//! Ranges and sets of numbers, durations and enum values.

use std::fmt::Display;

use crate::problem::Problems;

/// `const`, `lt`, `lte`, `gt`, `gte`, `in`, `not_in`.
#[derive(Debug)]
pub struct Range<T> {
    pub equal: Option<T>,
    pub below: Option<T>,
    pub at_most: Option<T>,
    pub above: Option<T>,
    pub at_least: Option<T>,
    pub among: Vec<T>,
    pub not_among: Vec<T>,
    pub ignore_empty: bool,
}

impl<T: PartialOrd + Copy + Display + Default> Range<T> {
    pub fn check(&self, value: T, problems: &mut Problems) {
        self.check_shown(value, |value| value.to_string(), problems);
    }

    /// As `check`; `show` writes limits into the message.
    pub fn check_shown(&self, value: T, show: impl Fn(T) -> String, problems: &mut Problems) {
        if self.ignore_empty && value == T::default() {
            return;
        }
        if let Some(want) = self.equal
            && value != want
        {
            problems.report(format!("value must equal {}", show(want)));
        }
        self.check_bounds(value, &show, problems);
        let list = |values: &[T]| {
            let shown: Vec<String> = values.iter().map(|v| show(*v)).collect();
            shown.join(", ")
        };
        if !self.among.is_empty() && !self.among.contains(&value) {
            problems.report(format!("value must be in list [{}]", list(&self.among)));
        }
        if self.not_among.contains(&value) {
            problems.report(format!(
                "value must not be in list [{}]",
                list(&self.not_among)
            ));
        }
    }

    fn check_bounds(&self, value: T, show: &impl Fn(T) -> String, problems: &mut Problems) {
        let low = self
            .above
            .map(|v| (v, true))
            .or(self.at_least.map(|v| (v, false)));
        let high = self
            .below
            .map(|v| (v, true))
            .or(self.at_most.map(|v| (v, false)));
        let over = |(limit, strict)| {
            if strict {
                value > limit
            } else {
                value >= limit
            }
        };
        let under = |(limit, strict)| {
            if strict {
                value < limit
            } else {
                value <= limit
            }
        };
        let reason = match (low, high) {
            (Some(low), Some(high)) if low.0 <= high.0 => {
                let open = if low.1 { '(' } else { '[' };
                let close = if high.1 { ')' } else { ']' };
                (!over(low) || !under(high)).then(|| {
                    format!(
                        "value must be inside range {open}{}, {}{close}",
                        show(low.0),
                        show(high.0)
                    )
                })
            }
            // The limits exclude the middle.
            (Some(low), Some(high)) => (!over(low) && !under(high)).then(|| {
                format!(
                    "value must be outside range [{}, {}]",
                    show(high.0),
                    show(low.0)
                )
            }),
            (Some(low), None) => (!over(low)).then(|| {
                let or_equal = if low.1 { "" } else { "or equal to " };
                format!("value must be greater than {or_equal}{}", show(low.0))
            }),
            (None, Some(high)) => (!under(high)).then(|| {
                let or_equal = if high.1 { "" } else { "or equal to " };
                format!("value must be less than {or_equal}{}", show(high.0))
            }),
            (None, None) => None,
        };
        if let Some(reason) = reason {
            problems.report(reason);
        }
    }
}

/// Limits of a duration, in nanoseconds.
#[derive(Debug)]
pub struct Durations(pub Range<i128>);

impl Durations {
    pub fn check(&self, nanos: i128, problems: &mut Problems) {
        self.0.check_shown(nanos, show_duration, problems);
    }
}

/// `1000000` → `0.001s`.
fn show_duration(nanos: i128) -> String {
    let seconds = nanos.checked_div(1_000_000_000).unwrap_or(0);
    let rest = nanos.checked_rem(1_000_000_000).unwrap_or(0);
    if rest == 0 {
        return format!("{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// `defined_only`, `const`, `in`, `not_in` of an enum.
#[derive(Debug)]
pub struct Enums {
    /// The numbers the enum has, if no other is allowed.
    pub defined: Option<Vec<i32>>,
    pub range: Range<i128>,
}

impl Enums {
    pub fn check(&self, number: i32, problems: &mut Problems) {
        if self
            .defined
            .as_ref()
            .is_some_and(|defined| !defined.contains(&number))
        {
            problems.report("value must be one of the defined enum values");
        }
        self.range.check(number.into(), problems);
    }
}
