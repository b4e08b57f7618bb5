//! The deadlines of a tunnel. `worker::timers` calls; it may call too early.

use super::end::By;
use super::{Stage, Tunnel};
use crate::http::deadlines::{after, millis};
use crate::http::failure::Failure;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::TcpCounter;
use crate::telemetry::stream_info::AccessLogType;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Worker, token};

impl Worker {
    /// At the begin of a tunnel.
    pub(super) fn set_deadlines(&mut self, t: &mut Tunnel) {
        let config = &t.tcp.config;
        if !config.access_logs.is_empty() {
            t.next_log_ms = after(self.clock.now_ms(), config.access_log_flush_interval);
        }
        t.drain_end = t.tcp.drain_end.get();
        let longest = config.max_downstream_connection_duration;
        t.duration_end = after(t.opened_ns / 1_000_000, longest).saturating_add(
            config
                .duration_jitter
                .map_or(0, |jitter| self.rng.u64(..millis(jitter).max(1))),
        );
        self.arm_tunnel(t);
    }

    pub(super) fn arm_tunnel(&mut self, t: &Tunnel) {
        let deadline = next_deadline(t);
        let token = token(Kind::TunnelClient, t.key);
        let now = self.clock.now_ms();
        self.timers.arm(token, now, deadline);
    }

    pub fn tunnel_timer(&mut self, key: Key) {
        let Some(mut t) = self.tunnels.take(key) else {
            return;
        };
        let now = self.clock.now_ms();
        if now >= t.drain_end || now >= t.gate.deadline() {
            return self.end_tunnel(t, By::Us);
        }
        let config = &t.tcp.config;
        if now >= t.duration_end {
            let stats = t.tcp.stats();
            stats.inc(TcpCounter::MaxDownstreamConnectionDuration);
            t.seen.flags.insert(ResponseFlags::DURATION_TIMEOUT);
            return self.end_tunnel(t, By::Us);
        }
        if now >= after(t.active_ms, config.idle_timeout) {
            t.tcp.stats().inc(TcpCounter::IdleTimeout);
            return self.end_tunnel(t, By::Us);
        }
        if now >= t.next_log_ms {
            t.next_log_ms = after(now, config.access_log_flush_interval);
            self.log_tunnel(&t, AccessLogType::TcpPeriodic);
        }
        self.report_tunnel(&mut t, false);
        if now >= connect_end(&t) {
            self.arm_tunnel(&t);
            return self.attempt_failed(t, Failure::ConnectTimeout);
        }
        if now >= t.retry_at {
            t.retry_at = NEVER;
            self.arm_tunnel(&t);
            return self.connect_tunnel(t);
        }
        self.arm_tunnel(&t);
        self.tunnels.put(key, t);
    }
}

fn next_deadline(t: &Tunnel) -> u64 {
    after(t.active_ms, t.tcp.config.idle_timeout)
        .min(t.duration_end)
        .min(connect_end(t))
        .min(t.retry_at)
        .min(t.next_log_ms)
        .min(t.drain_end)
        .min(t.report_deadline())
        .min(t.gate.deadline())
}

fn connect_end(t: &Tunnel) -> u64 {
    match t.server.as_ref().map(|server| server.stage) {
        Some(Stage::Connecting { deadline_ms } | Stage::Handshaking { deadline_ms }) => deadline_ms,
        Some(Stage::Asking | Stage::Open) | None => NEVER,
    }
}
