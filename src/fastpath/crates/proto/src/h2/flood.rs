//! Counters and limits against peers that make us work for nothing. Each names the attack.

use super::error::ConnectionError;
use super::options::Options;
use super::stats::Stats;

/// WINDOW_UPDATE frames that are free, before streams and DATA earn more (Envoy's constants).
const FREE_WINDOW_UPDATES: u64 = 5;
const WINDOW_UPDATES_PER_STREAM: u64 = 2;
/// One reset, in the units of the bucket.
const TOKEN: u64 = 1000;

#[derive(Debug)]
pub(super) struct Flood {
    limits: Limits,
    /// Frames without payload in a row (CVE-2019-9518).
    empty_run: u32,
    /// PRIORITY frames still allowed (CVE-2019-9513).
    priority: u64,
    /// WINDOW_UPDATE frames still allowed (CVE-2019-9511).
    window_updates: u64,
    /// Thousandths of resets still allowed (CVE-2023-44487, CVE-2025-8671), and when that was.
    reset_tokens: u64,
    refilled_ms: u64,
    /// Streams that ended otherwise than by our wish, and those of them reset prematurely.
    ended: u64,
    premature: u64,
    /// Bytes ever produced; what it was when the frames below began to be counted.
    written: u64,
    mark: u64,
    /// Frames since the mark (CVE-2019-9517), and those of them that answer (CVE-2019-9512,
    /// 9514, 9515).
    frames: u32,
    control: u32,
}

#[derive(Debug)]
struct Limits {
    empty_run: u32,
    priority_per_stream: u64,
    window_updates_per_data: u64,
    max_window_updates: u64,
    reset_burst: u64,
    reset_rate: u64,
    premature_total: u64,
    premature_lifetime_ms: u64,
    frames: u32,
    control: u32,
}

impl Flood {
    pub fn new(options: &Options) -> Flood {
        let per_data = u64::from(options.max_window_update_per_data).saturating_mul(2);
        let priority_per_stream = u64::from(options.max_priority_per_stream);
        let reset_burst = u64::from(options.reset_burst).saturating_mul(TOKEN);
        Flood {
            limits: Limits {
                empty_run: options.max_consecutive_empty_frames,
                priority_per_stream,
                window_updates_per_data: per_data,
                max_window_updates: per_data
                    .saturating_mul(u64::from(options.max_outbound_frames))
                    .saturating_add(FREE_WINDOW_UPDATES),
                reset_burst,
                reset_rate: u64::from(options.reset_rate),
                premature_total: u64::from(options.premature_reset_total),
                premature_lifetime_ms: options.premature_reset_lifetime_ms,
                frames: options.max_outbound_frames,
                control: options.max_outbound_control_frames,
            },
            empty_run: 0,
            priority: priority_per_stream,
            window_updates: FREE_WINDOW_UPDATES,
            reset_tokens: reset_burst,
            refilled_ms: 0,
            ended: 0,
            premature: 0,
            written: 0,
            mark: 0,
            frames: 0,
            control: 0,
        }
    }

    /// A HEADERS, CONTINUATION or DATA frame; `empty` if it carries nothing and ends nothing.
    #[inline]
    pub fn payload(&mut self, empty: bool, stats: &mut Stats) -> Result<(), ConnectionError> {
        if !empty {
            self.empty_run = 0;
            return Ok(());
        }
        self.empty_run = self.empty_run.saturating_add(1);
        if self.empty_run > self.limits.empty_run {
            stats.inbound_empty_frames_flood = stats.inbound_empty_frames_flood.saturating_add(1);
            return Err(ConnectionError::EmptyFramesFlood);
        }
        Ok(())
    }

    pub fn priority(&mut self, stats: &mut Stats) -> Result<(), ConnectionError> {
        let Some(left) = self.priority.checked_sub(1) else {
            stats.inbound_priority_frames_flood =
                stats.inbound_priority_frames_flood.saturating_add(1);
            return Err(ConnectionError::PriorityFlood);
        };
        self.priority = left;
        Ok(())
    }

    pub fn window_update(&mut self, stats: &mut Stats) -> Result<(), ConnectionError> {
        let Some(left) = self.window_updates.checked_sub(1) else {
            stats.inbound_window_update_frames_flood =
                stats.inbound_window_update_frames_flood.saturating_add(1);
            return Err(ConnectionError::WindowUpdateFlood);
        };
        self.window_updates = left;
        Ok(())
    }

    #[inline]
    pub fn stream_opened(&mut self) {
        self.priority = self
            .priority
            .saturating_add(self.limits.priority_per_stream);
        self.earn_window_updates(WINDOW_UPDATES_PER_STREAM);
    }

    /// Limits are per active stream: a stream that ends takes what is left of its share along.
    #[inline]
    pub fn stream_gone(&mut self, active: usize) {
        let shares = (active as u64).saturating_add(1);
        let most = shares.saturating_mul(self.limits.priority_per_stream);
        self.priority = self.priority.min(most);
    }

    #[inline]
    fn earn_window_updates(&mut self, n: u64) {
        self.window_updates = self
            .window_updates
            .saturating_add(n)
            .min(self.limits.max_window_updates);
    }

    /// A stream ended in a reset by the peer, or in ours for the peer's fault.
    pub fn reset(&mut self, now_ms: u64, stats: &mut Stats) -> Result<(), ConnectionError> {
        let elapsed = now_ms.saturating_sub(self.refilled_ms);
        self.refilled_ms = self.refilled_ms.max(now_ms);
        let earned = elapsed.saturating_mul(self.limits.reset_rate);
        self.reset_tokens = self
            .reset_tokens
            .saturating_add(earned)
            .min(self.limits.reset_burst);
        let Some(left) = self.reset_tokens.checked_sub(TOKEN) else {
            stats.reset_flood = stats.reset_flood.saturating_add(1);
            return Err(ConnectionError::ResetFlood);
        };
        self.reset_tokens = left;
        Ok(())
    }

    /// A stream came to its end.
    #[inline]
    pub fn completed(&mut self) {
        self.ended = self.ended.saturating_add(1);
    }

    /// A stream ended in a reset that is not the owner's wish. `age_ms` if there was no response. The rule is Envoy's (`maybeDrainDueToPrematureResets`).
    pub fn ended(&mut self, age_ms: Option<u64>, stats: &mut Stats) -> Result<(), ConnectionError> {
        self.ended = self.ended.saturating_add(1);
        if age_ms.is_none_or(|age| age > self.limits.premature_lifetime_ms) {
            return Ok(());
        }
        self.premature = self.premature.saturating_add(1);
        let doubled = self.premature.saturating_mul(2);
        if doubled < self.limits.premature_total.max(self.ended) {
            return Ok(());
        }
        stats.too_many_premature_resets = stats.too_many_premature_resets.saturating_add(1);
        Err(ConnectionError::PrematureResets)
    }

    /// A frame of `bytes` was appended, or its head was made.
    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.written = self.written.wrapping_add(bytes as u64);
        self.frames = self.frames.saturating_add(1);
    }

    /// The same for a frame that a peer can cause: acknowledgements and resets.
    #[inline]
    pub fn sent_control(&mut self, bytes: usize) {
        self.sent(bytes);
        self.control = self.control.saturating_add(1);
    }

    /// The same for DATA.
    #[inline]
    pub fn sent_data(&mut self, bytes: usize) {
        self.sent(bytes);
        self.earn_window_updates(self.limits.window_updates_per_data);
    }

    /// `unsent` of the bytes produced still wait. Frames are counted from a mark on; once all
    /// before the mark is sent, a new one is set. So what is counted waits for certain, and
    /// what waits is at most twice the limit.
    pub fn set_unsent(&mut self, unsent: usize) {
        let sent = self.written.saturating_sub(unsent as u64);
        if sent >= self.mark {
            self.mark = self.written;
            self.frames = 0;
            self.control = 0;
        }
    }

    #[inline]
    pub fn check_outbound(&mut self, stats: &mut Stats) -> Result<(), ConnectionError> {
        if self.frames > self.limits.frames {
            stats.outbound_flood = stats.outbound_flood.saturating_add(1);
            return Err(ConnectionError::OutboundFlood);
        }
        if self.control > self.limits.control {
            stats.outbound_control_flood = stats.outbound_control_flood.saturating_add(1);
            return Err(ConnectionError::OutboundControlFlood);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood() -> (Flood, Stats) {
        (Flood::new(&Options::default()), Stats::default())
    }

    #[test]
    fn empty_frames_in_a_row() {
        let (mut f, mut s) = flood();
        for _ in 0..10 {
            assert!(f.payload(true, &mut s).is_ok() && f.payload(false, &mut s).is_ok());
        }
        assert!(f.payload(true, &mut s).is_ok());
        assert_eq!(
            f.payload(true, &mut s),
            Err(ConnectionError::EmptyFramesFlood)
        );
        assert_eq!(s.inbound_empty_frames_flood, 1);
    }

    #[test]
    fn priority_is_per_active_stream() {
        let (mut f, mut s) = flood();
        let taken =
            |f: &mut Flood, s: &mut Stats| (0..).take_while(|_| f.priority(s).is_ok()).count();
        assert_eq!(taken(&mut f, &mut s), 100);
        f.stream_opened();
        f.stream_opened();
        assert_eq!(taken(&mut f, &mut s), 200);
        for _ in 0..1000 {
            f.stream_opened();
            f.stream_gone(0);
        }
        assert_eq!(taken(&mut f, &mut s), 100, "closed streams leave nothing");
        assert_eq!(s.inbound_priority_frames_flood, 3);
    }

    #[test]
    fn window_updates_are_earned_by_streams_and_data() {
        let (mut f, mut s) = flood();
        let taken =
            |f: &mut Flood, s: &mut Stats| (0..).take_while(|_| f.window_update(s).is_ok()).count();
        assert_eq!(taken(&mut f, &mut s), 5);
        f.stream_opened();
        f.sent_data(100);
        assert_eq!(taken(&mut f, &mut s), 22);
        for _ in 0..1_000_000 {
            f.sent_data(100);
        }
        assert_eq!(taken(&mut f, &mut s), 200_005);
    }

    #[test]
    fn resets_are_a_bucket() {
        let (mut f, mut s) = flood();
        let taken = |f: &mut Flood, s: &mut Stats, now| {
            (0..).take_while(|_| f.reset(now, s).is_ok()).count()
        };
        assert_eq!(taken(&mut f, &mut s, 5000), 1000);
        assert_eq!(taken(&mut f, &mut s, 5000), 0);
        assert_eq!(taken(&mut f, &mut s, 6000), 33);
        assert_eq!(
            taken(&mut f, &mut s, 1000),
            0,
            "a clock that goes back gives nothing"
        );
        assert_eq!(taken(&mut f, &mut s, u64::MAX), 1000);
    }

    #[test]
    fn premature_resets_by_envoys_rule() {
        let (mut f, mut s) = flood();
        for _ in 0..249 {
            assert!(f.ended(Some(10), &mut s).is_ok());
        }
        assert_eq!(
            f.ended(Some(10), &mut s),
            Err(ConnectionError::PrematureResets)
        );
        let (mut f, mut s) = flood();
        for _ in 0..1000 {
            assert!(f.ended(None, &mut s).is_ok() && f.ended(Some(1001), &mut s).is_ok());
        }
        for _ in 0..1999 {
            assert!(f.ended(Some(1000), &mut s).is_ok());
        }
        assert_eq!(
            f.ended(Some(0), &mut s),
            Err(ConnectionError::PrematureResets)
        );
    }

    #[test]
    fn outbound_frames_are_those_that_certainly_wait() {
        let (mut f, mut s) = flood();
        for _ in 0..1000 {
            f.sent_control(17);
        }
        assert!(f.check_outbound(&mut s).is_ok());
        f.sent_control(17);
        assert_eq!(
            f.check_outbound(&mut s),
            Err(ConnectionError::OutboundControlFlood)
        );
        // A peer that always reads a little too late is not a flood.
        let (mut f, mut s) = flood();
        for _ in 0..100_000 {
            f.sent_control(17);
            f.set_unsent(17 * 400);
            assert!(f.check_outbound(&mut s).is_ok());
        }
        let (mut f, mut s) = flood();
        for _ in 0..10_001 {
            f.sent(9);
        }
        assert_eq!(
            f.check_outbound(&mut s),
            Err(ConnectionError::OutboundFlood)
        );
    }
}
