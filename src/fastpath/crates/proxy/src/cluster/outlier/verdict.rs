//! What a judgement came to: who was put out, who came back, and why.

use std::time::Duration;

use model::resources::address::Address;

use super::Reason;

/// What a judgement came to.
#[derive(Debug, Default)]
pub struct Verdict {
    pub events: Vec<Event>,
}

/// Something that befell a host.
#[derive(Debug)]
pub struct Event {
    pub address: Address,
    pub what: What,
    /// So often was it put out.
    pub ejections: u32,
    /// Since it came back, or was put out, the last time.
    pub since_last: Option<Duration>,
}

#[derive(Debug)]
pub enum What {
    Ejected {
        reason: Reason,
        /// Else it stays.
        is_enforced: bool,
        /// Its own, and what it was compared with.
        success_rate: f64,
        all: SuccessRates,
    },
    Returned,
}

impl Verdict {
    /// Other hosts are available than before.
    pub fn is_change(&self) -> bool {
        self.ejected().next().is_some() || self.returned().next().is_some()
    }

    pub fn ejected(&self) -> impl Iterator<Item = &Address> {
        self.those(|what| {
            matches!(
                what,
                What::Ejected {
                    is_enforced: true,
                    ..
                }
            )
        })
    }

    pub fn returned(&self) -> impl Iterator<Item = &Address> {
        self.those(|what| matches!(what, What::Returned))
    }

    fn those(&self, wanted: fn(&What) -> bool) -> impl Iterator<Item = &Address> {
        let events = self.events.iter().filter(move |event| wanted(&event.what));
        events.map(|event| &event.address)
    }
}

/// What the last interval said of all hosts; -1 where that is nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRates {
    pub average: f64,
    /// Below which a host is an outlier.
    pub threshold: f64,
}

pub(super) const NOTHING: SuccessRates = SuccessRates {
    average: -1.0,
    threshold: -1.0,
};
