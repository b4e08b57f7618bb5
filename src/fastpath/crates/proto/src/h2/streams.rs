//! The streams of a connection: a hash table by id that grows to the most there ever were at
//! once and then allocates no more; and the ids that are closed since a short time.

use super::event::StreamId;
use super::flow::{ReceiveWindow, SendWindow};

/// `Stream::remaining` of a body whose length nobody announced.
pub(super) const ANY_LENGTH: u64 = u64::MAX;

/// A stream that is not idle and not forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub send: SendWindow,
    pub receive: ReceiveWindow,
    /// Bytes given to the owner and not consumed.
    pub outstanding: u32,
    /// What its request's head takes.
    pub head_bytes: u32,
    /// Bytes of the body that are still to come by `content-length`.
    pub remaining: u64,
    pub opened_ms: u64,
    /// We ended our side.
    pub local_closed: bool,
    /// The peer ended its side.
    pub remote_closed: bool,
    /// The final head of the peer came.
    pub head_received: bool,
    /// We sent our final head.
    pub head_sent: bool,
    /// The request is HEAD.
    pub is_head: bool,
    /// The request is CONNECT.
    pub is_connect: bool,
    /// `data_head` could not take all for want of a window.
    pub blocked: bool,
}

impl Stream {
    /// Both sides ended; it is here only because of `outstanding`.
    pub fn is_closed(&self) -> bool {
        self.local_closed && self.remote_closed
    }
}

/// Open addressing, linear probing, deletion by shifting back; ids apart from the streams, so
/// that a long run of collisions costs a few cache lines.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// 0: free. The length is 0 or a power of two.
    ids: Vec<StreamId>,
    streams: Vec<Option<Stream>>,
    len: usize,
}

const FIRST_SIZE: usize = 8;

impl Streams {
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn mask(&self) -> usize {
        self.ids.len().wrapping_sub(1)
    }

    /// Where a search for `id` begins: neighbours in time are neighbours here.
    #[inline]
    fn home(&self, id: StreamId) -> usize {
        (id >> 1) as usize & self.mask()
    }

    #[inline]
    fn find(&self, id: StreamId) -> Option<usize> {
        if id == 0 {
            return None;
        }
        let mut at = self.home(id);
        // A free place is always there (`insert`), so this ends.
        loop {
            match self.ids.get(at) {
                Some(found) if *found == id => return Some(at),
                Some(0) | None => return None,
                Some(_) => at = at.wrapping_add(1) & self.mask(),
            }
        }
    }

    #[inline]
    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(self.find(id)?)?.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let at = self.find(id)?;
        self.streams.get_mut(at)?.as_mut()
    }

    /// Adds a stream whose id is not here.
    pub fn insert(&mut self, id: StreamId, stream: Stream) {
        // At most three quarters are used.
        if self.len.saturating_mul(4) >= self.ids.len().saturating_mul(3) {
            self.grow();
        }
        self.place(id, stream);
        self.len = self.len.saturating_add(1);
    }

    fn place(&mut self, id: StreamId, stream: Stream) {
        let mut at = self.home(id);
        while self.ids.get(at).is_some_and(|found| *found != 0) {
            at = at.wrapping_add(1) & self.mask();
        }
        if let (Some(key), Some(value)) = (self.ids.get_mut(at), self.streams.get_mut(at)) {
            *key = id;
            *value = Some(stream);
        }
    }

    fn grow(&mut self) {
        let size = self.ids.len().saturating_mul(2).max(FIRST_SIZE);
        let ids = std::mem::replace(&mut self.ids, vec![0; size]);
        let streams = std::mem::replace(&mut self.streams, vec![None; size]);
        for (id, stream) in ids.into_iter().zip(streams) {
            if let Some(stream) = stream {
                self.place(id, stream);
            }
        }
    }

    pub fn remove(&mut self, id: StreamId) -> Option<Stream> {
        let mut hole = self.find(id)?;
        let removed = self.streams.get_mut(hole)?.take();
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = at.wrapping_add(1) & mask;
            let next = self.ids.get(at).copied().unwrap_or(0);
            if next == 0 {
                break;
            }
            // `next` may fill the hole if its home is not after the hole (in circular order).
            let home = self.home(next);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.ids.swap(hole, at);
                self.streams.swap(hole, at);
                hole = at;
            }
        }
        if let Some(key) = self.ids.get_mut(hole) {
            *key = 0;
        }
        self.len = self.len.saturating_sub(1);
        removed
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut().flatten()
    }

    /// An id above `last`, if there is one.
    pub fn any_above(&self, last: StreamId) -> Option<StreamId> {
        self.ids.iter().copied().find(|id| *id > last)
    }

    /// Gives the memory back if there are no streams.
    pub fn shrink(&mut self) {
        if self.len == 0 {
            *self = Streams::default();
        }
    }
}

/// How a stream that is not in the table came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// We reset it: what the peer sent before it knew is ignored.
    ByUs,
    /// The peer ended or reset it: it knows, and sends no more.
    ByPeer,
    /// Never opened, or too long ago.
    Unknown,
}

/// Streams that the peer ended and that are remembered.
const ENDED: usize = 16;

/// The streams that closed last: as many resets of ours as streams can be open at once, and a
/// few others.
#[derive(Debug, Default)]
pub(super) struct Recent {
    reset: Vec<StreamId>,
    next_reset: usize,
    ended: [StreamId; ENDED],
    next_ended: usize,
}

impl Recent {
    /// `limit`: of resets to remember; memory is taken as it is needed.
    pub fn reset_by_us(&mut self, id: StreamId, limit: usize) {
        match self.reset.get_mut(self.next_reset) {
            Some(place) => *place = id,
            None => self.reset.push(id),
        }
        self.next_reset = self.next_reset.saturating_add(1);
        if self.next_reset >= limit {
            self.next_reset = 0;
        }
    }

    pub fn ended_by_peer(&mut self, id: StreamId) {
        if let Some(place) = self.ended.get_mut(self.next_ended) {
            *place = id;
        }
        self.next_ended = self.next_ended.wrapping_add(1) % ENDED;
    }

    /// The peer knows of our reset now, or ended the stream itself.
    pub fn forget_reset(&mut self, id: StreamId) {
        if let Some(place) = self.reset.iter_mut().find(|found| **found == id) {
            *place = 0;
            self.ended_by_peer(id);
        }
    }

    pub fn of(&self, id: StreamId) -> Closed {
        if self.ended.contains(&id) {
            Closed::ByPeer
        } else if self.reset.contains(&id) {
            Closed::ByUs
        } else {
            Closed::Unknown
        }
    }

    pub fn shrink(&mut self) {
        self.reset = Vec::new();
        self.next_reset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Told from others by what its head takes.
    fn stream(head_bytes: u32) -> Stream {
        Stream {
            send: SendWindow::new(0),
            receive: ReceiveWindow::new(0),
            outstanding: 0,
            head_bytes,
            remaining: ANY_LENGTH,
            opened_ms: 0,
            local_closed: false,
            remote_closed: false,
            head_received: false,
            head_sent: false,
            is_head: false,
            is_connect: false,
            blocked: false,
        }
    }

    proptest! {
        /// The table does what a map does, whatever the ids (collisions are likely: few bits).
        #[test]
        fn table_is_a_map(ops in proptest::collection::vec((0u8..3, 0u32..64, 0u32..4), 1..400)) {
            let mut table = Streams::default();
            let mut map = BTreeMap::new();
            for (i, (op, low, high)) in ops.into_iter().enumerate() {
                let id = ((high << 20) | (low << 1)) | 1;
                let mark = i as u32;
                match op {
                    0 if !map.contains_key(&id) => {
                        table.insert(id, stream(mark));
                        map.insert(id, mark);
                    }
                    1 => prop_assert_eq!(table.remove(id).map(|s| s.head_bytes), map.remove(&id)),
                    _ => prop_assert_eq!(table.get(id).map(|s| s.head_bytes), map.get(&id).copied()),
                }
                prop_assert_eq!(table.len(), map.len());
            }
            for (id, mark) in &map {
                prop_assert_eq!(table.get_mut(*id).map(|s| s.head_bytes), Some(*mark));
            }
            prop_assert_eq!(table.iter_mut().count(), map.len());
            let above = table.any_above(1 << 20).is_some();
            prop_assert_eq!(above, map.keys().any(|id| *id > 1 << 20));
        }
    }

    #[test]
    fn steady_state_takes_no_more_memory() {
        let mut table = Streams::default();
        let mut size = 0;
        for i in 0..10_000u32 {
            table.insert(i * 2 + 1, stream(i));
            if i >= 100 {
                assert_eq!(
                    table.remove((i - 100) * 2 + 1).map(|s| s.head_bytes),
                    Some(i - 100)
                );
            }
            if i == 200 {
                size = table.ids.len();
            }
        }
        assert_eq!((table.len(), table.ids.len()), (100, size));
        assert!(table.get(0).is_none());
    }

    #[test]
    fn recent_forgets_the_oldest() {
        let mut recent = Recent::default();
        for id in (1..100u32).step_by(2) {
            recent.reset_by_us(id, 10);
        }
        assert_eq!(
            (recent.of(99), recent.of(81), recent.of(79)),
            (Closed::ByUs, Closed::ByUs, Closed::Unknown)
        );
        recent.forget_reset(99);
        assert_eq!(recent.of(99), Closed::ByPeer);
        recent.ended_by_peer(201);
        assert_eq!(
            (recent.of(201), recent.of(203)),
            (Closed::ByPeer, Closed::Unknown)
        );
    }
}
