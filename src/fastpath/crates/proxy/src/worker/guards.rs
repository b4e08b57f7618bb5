//! Network filters of a chain that decide whether the bytes of a client go on to the terminal filter:
//! `rbac` by its rules, `ext_authz` by asking a server.
//!
//! As in Envoy they are asked when the first bytes come, in the order of the chain, and the first
//! that refuses ends the connection.

use std::rc::Rc;
use std::time::Duration;

use tls::Info;

use super::chain::ChainRuntime;
use super::ext_authz::ExtAuthz;
use super::rbac::RbacFilter;
use crate::listener::ConnectionFacts;
use crate::telemetry::response_flags::ResponseFlags;

#[derive(Debug)]
pub enum Guard {
    Rbac(RbacFilter),
    ExtAuthz(Rc<ExtAuthz>),
}

/// A connection that has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `%CONNECTION_TERMINATION_DETAILS%`
    pub details: Option<Box<str>>,
    pub flags: ResponseFlags,
    /// How long it is held before.
    pub delay: Option<Duration>,
}

/// Why the filters are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The first bytes, or the end of a client that sent none.
    First,
    /// More of them.
    Again,
}

/// What they say.
#[derive(Debug)]
pub enum Judgement {
    Passes,
    Refused(Refusal),
    /// This one has to ask a server first; those behind it were not asked yet.
    Asks(Rc<ExtAuthz>, Asking),
}

/// A place among the filters of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking(usize);

impl Asking {
    /// Before the first of them.
    pub const START: Self = Self(0);
}

impl ChainRuntime {
    /// Asks the filters from a place on about a connection. What they find out is added to the facts.
    pub fn judge(
        &self,
        from: Asking,
        occasion: Occasion,
        facts: &mut ConnectionFacts,
        tls: Option<&Info>,
    ) -> Judgement {
        for (at, guard) in self.guards.iter().enumerate().skip(from.0) {
            match guard {
                Guard::Rbac(rbac) if occasion == Occasion::First || rbac.is_continuous() => {
                    if let Some(refusal) = rbac.ask(facts, tls) {
                        return Judgement::Refused(refusal);
                    }
                }
                Guard::ExtAuthz(filter) if occasion == Occasion::First && filter.wants(facts) => {
                    let next = Asking(at.saturating_add(1));
                    return Judgement::Asks(Rc::clone(filter), next);
                }
                Guard::Rbac(_) | Guard::ExtAuthz(_) => {}
            }
        }
        Judgement::Passes
    }

    /// Whether bytes after the first ones matter to a filter.
    pub fn has_continuous_guards(&self) -> bool {
        let is_continuous =
            |guard: &Guard| matches!(guard, Guard::Rbac(rbac) if rbac.is_continuous());
        self.guards.iter().any(is_continuous)
    }
}
