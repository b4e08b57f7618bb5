//! The deadlines of a client's connection and of the request on it, and what happens when one has
//! passed. `worker::timers` calls; it may call too early.

use std::time::Duration;

use super::downstream::{Alive, Closing, Downstream};
use super::failure::Failure;
use super::stream::Stream;
use crate::telemetry::stats::HcmCounter;
use crate::worker::Worker;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

impl Worker {
    pub fn downstream_timer(&mut self, key: Key) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        let now = self.clock.now_ms();
        let alive = self.check_deadlines(&mut d, now);
        let next = next_deadline(&d);
        if alive == Alive::Yes {
            self.arm_downstream(&d, next);
        }
        self.settle(d, alive);
    }

    fn check_deadlines(&mut self, d: &mut Downstream, now: u64) -> Alive {
        if d.closing == Closing::Lingering {
            if now < d.close_deadline {
                return Alive::Yes;
            }
            if !d.carrier.is_stream() {
                d.client.count_delayed_close();
            }
            return Alive::No;
        }
        if now >= d.drain_end {
            return Alive::No;
        }
        if let Some(stream) = d.stream.take() {
            return match expired(&stream, now) {
                None if now >= stream.wait_until => {
                    self.resume_request(d, stream, None);
                    Alive::Yes
                }
                None if now >= stream.retry.at => self.retry_now(d, stream),
                None => {
                    d.stream = Some(stream);
                    Alive::Yes
                }
                Some(failure) => self.fail_stream(d, stream, failure),
            };
        }
        if now >= head_deadline(d) {
            let failure = head_failure(d, now);
            if let Some(mut stream) = d.reading.take() {
                if failure == Failure::HeaderTimeout {
                    d.client
                        .http
                        .stats()
                        .inc(HcmCounter::DownstreamRqHeaderTimeout);
                }
                stream.request.clear();
                d.close_after_response();
                self.start_accounting(d, &mut stream);
                return self.fail_stream(d, stream, failure);
            }
            return Alive::No;
        }
        if d.reading.is_none() && !d.draining && now >= idle_deadline(d) {
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamCxIdleTimeout);
            if d.requests == 0 {
                return Alive::No;
            }
            // The client may be about to send the next one: it gets the drain time for that.
            d.draining = true;
            self.set_drain_deadline(d);
        }
        if d.reading.is_none() && now >= d.close_deadline {
            return Alive::No;
        }
        if let Some(max) = d.client.http.hcm.max_connection_duration
            && now >= d.opened_ms.saturating_add(millis(max))
            && d.reading.is_none()
        {
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamCxMaxDurationReached);
            return Alive::No;
        }
        Alive::Yes
    }

    /// Its listener drains: an idle connection may send one more request within the drain timeout.
    pub fn drain_downstream(&mut self, key: Key) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        d.drain_end = self
            .clock
            .now_ms()
            .saturating_add(self.shared.drain_time_ms);
        if d.stream.is_none() && d.closing == Closing::No {
            self.set_drain_deadline(&mut d);
        }
        let deadline = next_deadline(&d);
        self.arm_downstream(&d, deadline);
        self.downstreams.put(key, d);
    }

    pub(super) fn set_drain_deadline(&mut self, d: &mut Downstream) {
        let at = self
            .clock
            .now_ms()
            .saturating_add(millis(d.client.http.hcm.drain_timeout));
        d.close_deadline = d.close_deadline.min(at);
        let deadline = d.close_deadline;
        self.arm_downstream(d, deadline);
    }
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

/// Adds an optional duration to a time; `NEVER` when it is off.
pub fn after(since: u64, duration: Option<Duration>) -> u64 {
    duration.map_or(NEVER, |d| since.saturating_add(millis(d)))
}

fn idle_deadline(d: &Downstream) -> u64 {
    after(d.idle_since_ms, d.client.http.hcm.idle_timeout)
}

pub(super) fn head_deadline(d: &Downstream) -> u64 {
    if d.head_started_ms == NEVER {
        return NEVER;
    }
    let hcm = &d.client.http.hcm;
    after(d.head_started_ms, hcm.request_headers_timeout)
        .min(after(d.head_started_ms, hcm.request_timeout))
        .min(after(d.head_started_ms, hcm.stream_idle_timeout))
}

/// Which limit an incomplete head has passed.
fn head_failure(d: &Downstream, now: u64) -> Failure {
    let hcm = &d.client.http.hcm;
    if now >= after(d.head_started_ms, hcm.request_headers_timeout) {
        Failure::HeaderTimeout
    } else if now >= after(d.head_started_ms, hcm.request_timeout) {
        Failure::RequestTimeout
    } else {
        Failure::StreamIdle {
            request_complete: false,
        }
    }
}

pub(super) fn next_deadline(d: &Downstream) -> u64 {
    if d.closing == Closing::Lingering {
        return d.close_deadline;
    }
    match &d.stream {
        Some(stream) => stream.deadline().min(d.drain_end),
        None => if d.draining { NEVER } else { idle_deadline(d) }
            .min(head_deadline(d))
            .min(d.close_deadline)
            .min(after(
                d.opened_ms,
                d.client.http.hcm.max_connection_duration,
            )),
    }
}

fn expired(stream: &Stream, now: u64) -> Option<Failure> {
    if now >= stream.duration_deadline {
        Some(Failure::MaxDuration)
    } else if now >= stream.route_deadline {
        Some(Failure::ResponseTimeout)
    } else if now >= stream.try_deadline {
        Some(Failure::PerTryTimeout)
    } else if now >= stream.last_activity.saturating_add(stream.try_idle_ms) {
        Some(Failure::PerTryIdle)
    } else if !stream.request_complete && now >= stream.request_deadline {
        Some(Failure::RequestTimeout)
    } else if now >= stream.last_activity.saturating_add(stream.idle_timeout_ms) {
        Some(Failure::StreamIdle {
            request_complete: stream.request_complete,
        })
    } else {
        None
    }
}
